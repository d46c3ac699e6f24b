//! An address that never answers a connect.

use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

/// A listener whose backlog is full. Linux drops further SYNs, as if no host had the address.
pub struct DeadEnd {
    listener: TcpListener,
    _waiting: Vec<Socket>,
}

impl DeadEnd {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let at = listener.local_addr().unwrap();
        let first: TcpStream = TcpStream::connect(at).unwrap(); // fills a backlog of 0
        let mut waiting = vec![Socket::from(first)];
        waiting.extend((0..3).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&at.into());
            socket
        }));
        Self { listener, _waiting: waiting }
    }

    pub fn at(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}
