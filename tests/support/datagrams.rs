//! A handler for datagrams, and blocking clients.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
};

use tidegate::{
    Accepted, Conn, Datagram, DatagramOptions, EventLoop, Handler, Net, Options, Socket, SocketId,
};

use super::{PATIENCE, turn_until};

type OnDatagram<'a> = Box<dyn FnMut(&mut Socket<'_>, &Datagram<'_>) + 'a>;

/// Records what datagram sockets receive, and runs the code of the test for each datagram. Connections echo.
pub struct Post<'a> {
    pub received: Vec<Letter>,
    /// The errors of receives.
    pub errors: Vec<(SocketId, io::ErrorKind)>,
    /// How many bytes connections have received.
    pub stream_bytes: usize,
    on_datagram: OnDatagram<'a>,
}

/// A datagram that was received.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter {
    pub socket: SocketId,
    pub bytes: Vec<u8>,
    pub from: SocketAddr,
    pub to: Option<IpAddr>,
}

impl<'a> Post<'a> {
    pub fn new(on_datagram: impl FnMut(&mut Socket<'_>, &Datagram<'_>) + 'a) -> Self {
        Self { received: Vec::new(), errors: Vec::new(), stream_bytes: 0, on_datagram: Box::new(on_datagram) }
    }

    /// Answers nothing.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    /// Answers each datagram with itself.
    pub fn echo() -> Self {
        Self::new(|socket, datagram| assert!(socket.reply(datagram, datagram.bytes()).is_taken()))
    }

    /// The bytes of the datagrams that a socket has received.
    pub fn of(&self, socket: SocketId) -> Vec<Vec<u8>> {
        let letters = self.received.iter().filter(|letter| letter.socket == socket);
        letters.map(|letter| letter.bytes.clone()).collect()
    }
}

impl Handler for Post<'_> {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.stream_bytes += input.len();
        conn.send_all(input);
        input.len()
    }

    fn on_datagram(&mut self, socket: &mut Socket<'_>, datagram: &Datagram<'_>) {
        let bytes = datagram.bytes().to_vec();
        self.received.push(Letter { socket: socket.id(), bytes, from: datagram.from(), to: datagram.to() });
        (self.on_datagram)(socket, datagram);
    }

    fn on_datagram_error(&mut self, socket: &mut Socket<'_>, error: io::Error) {
        self.errors.push((socket.id(), error.kind()));
    }
}

/// A loop with a datagram socket on loopback.
pub fn bound(options: DatagramOptions) -> (EventLoop, SocketId, SocketAddr) {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (socket, at) = bind(event_loop.net(), "127.0.0.1:0", options);
    (event_loop, socket, at)
}

pub fn bind(net: &mut Net, at: &str, options: DatagramOptions) -> (SocketId, SocketAddr) {
    let socket = net.bind(at, options).unwrap();
    (socket, net.socket_address(socket).unwrap().socket_addrs()[0])
}

/// A blocking client, whose receives fail after [`PATIENCE`].
pub fn client() -> UdpSocket {
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Turns until the sockets of the loop have received this number of datagrams together.
pub fn turn_until_received(event_loop: &mut EventLoop, post: &mut Post<'_>, count: usize) {
    turn_until(event_loop, post, |post, _| post.received.len() >= count);
}

/// The next datagram that a client receives.
pub fn receive(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (len, from) = client.recv_from(&mut buffer).expect("a datagram comes in time");
    buffer.truncate(len);
    (buffer, from)
}
