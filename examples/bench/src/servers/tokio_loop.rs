//! The echo server with tokio, as users of tokio write such a server: a task for each client, with a buffer for each
//! task.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    run(listener, |stream| {
        tokio::spawn(echo(stream));
    })
}

/// Accepts clients for ever, and calls `start` for each client.
pub fn run(listener: std::net::TcpListener, start: impl Fn(TcpStream)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            if !cfg!(target_os = "linux") {
                stream.set_nodelay(true)?;
            }
            start(stream);
        }
    })
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 8 << 10];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(received) => {
                if stream.write_all(&buffer[..received]).await.is_err() {
                    return;
                }
            }
        }
    }
}
