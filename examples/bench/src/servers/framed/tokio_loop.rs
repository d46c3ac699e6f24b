//! The server with tokio, as users of tokio write such a server: a task for each client, and the codec of tokio-util.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::protocol::{LONGEST_FRAME, Ledger};

pub fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    super::super::tokio_loop::run(listener, |stream| {
        tokio::spawn(receive(stream));
    })
}

async fn receive(stream: TcpStream) -> io::Result<()> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(LONGEST_FRAME).new_codec();
    let mut framed = Framed::new(stream, codec);
    let mut ledger = Ledger::default();
    while let Some(frame) = framed.next().await {
        ledger.add(&frame?);
        if let Some(acknowledgement) = ledger.due() {
            framed.get_mut().write_all(&acknowledgement).await?;
        }
    }
    if let Some(acknowledgement) = ledger.last() {
        framed.get_mut().write_all(&acknowledgement).await?;
    }
    Ok(())
}
