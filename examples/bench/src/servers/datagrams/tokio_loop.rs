//! The server with tokio, as users of tokio write such a server: one task for the socket.

use std::io;

use tokio::net::UdpSocket;

use super::LONGEST;

pub fn serve(socket: std::net::UdpSocket) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async move {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer = vec![0; LONGEST];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await?;
            // The client sends a datagram again if its echo does not come.
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    })
}
