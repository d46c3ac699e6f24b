//! The server with tokio, as users of tokio write such a server: a broadcast channel, and a task for each subscriber that
//! receives from the channel and writes.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::MOST_BEHIND;
use crate::protocol::{MESSAGE, PUBLISH, SUBSCRIBE};

pub fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let (messages, _) = broadcast::channel(MOST_BEHIND / MESSAGE);
    super::super::tokio_loop::run(listener, move |stream| {
        tokio::spawn(client(stream, messages.clone()));
    })
}

async fn client(mut stream: TcpStream, messages: Sender<Arc<[u8]>>) -> io::Result<()> {
    match stream.read_u8().await? {
        PUBLISH => publish(stream, messages).await,
        SUBSCRIBE => {
            let received = messages.subscribe();
            stream.write_u8(SUBSCRIBE).await?;
            let (mut input, output) = stream.into_split();
            let task = tokio::spawn(forward(received, output));
            // A subscriber sends nothing more, so the read returns only if the subscriber has closed the connection.
            let end = input.read_u8().await;
            task.abort();
            end.map(drop)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn publish(mut stream: TcpStream, messages: Sender<Arc<[u8]>>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut filled = 0;
    loop {
        let received = stream.read(&mut buffer[filled..]).await?;
        if received == 0 {
            return Ok(());
        }
        filled += received;
        let whole = buffer[..filled].chunks_exact(MESSAGE);
        let rest = whole.remainder().len();
        for message in whole {
            // An error means that there is no subscriber.
            let _ = messages.send(message.into());
        }
        buffer.copy_within(filled - rest..filled, 0);
        filled = rest;
    }
}

async fn forward(mut messages: Receiver<Arc<[u8]>>, mut output: OwnedWriteHalf) {
    // An error of the channel means that this subscriber is too far behind.
    while let Ok(message) = messages.recv().await {
        if output.write_all(&message).await.is_err() {
            return;
        }
    }
}
