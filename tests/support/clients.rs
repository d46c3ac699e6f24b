//! Blocking clients.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};

#[cfg(unix)]
use super::unix;
use super::{PATIENCE, Transport, descriptors::raise_limit};

/// Connects a blocking client, whose calls fail after [`PATIENCE`].
pub fn connect(to: SocketAddr) -> TcpStream {
    raise_limit();
    #[cfg(unix)]
    if let Some(path) = unix::path_of(to) {
        return patient(unix::connect_to(&path, |_| {}));
    }
    let stream = patient(TcpStream::connect(to).unwrap());
    // Without this option, a small message may wait for an acknowledgement, and a reset of the client would discard it.
    stream.set_nodelay(true).unwrap();
    stream
}

/// Connects a client with small buffers, so that bytes for the client have to wait in the server.
pub fn connect_narrow(to: SocketAddr) -> TcpStream {
    raise_limit();
    let narrow = |socket: &Socket| {
        // The size is set before `connect`, because `connect` announces how far the window can be scaled: tcp(7).
        socket.set_recv_buffer_size(32 << 10).unwrap();
        socket.set_send_buffer_size(32 << 10).unwrap();
    };
    #[cfg(unix)]
    if let Some(path) = unix::path_of(to) {
        return patient(unix::connect_to(&path, narrow));
    }
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    narrow(&socket);
    socket.connect(&to.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap(); // as in `connect`
    patient(socket.into())
}

pub(super) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Closes the stream with a reset in place of an end of file.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Asserts that `found` and `expected` are equal, and prints the place of the first difference instead of all bytes.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8]) {
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!(differs, None, "the bytes differ, first at this place");
    assert_eq!(found.len(), expected.len(), "the bytes are equal as far as both go, but the lengths differ");
}

/// Makes pseudo-random bytes. Two patterns with different seeds differ, and so do a pattern and a copy with lost, doubled
/// or swapped bytes.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// Sends `message`, and reads as many bytes as `message` has.
pub fn exchange(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    stream.write_all(message).unwrap();
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo).unwrap();
    echo
}

/// Returns a column of the line that `/proc/net/tcp` has for one end of a connection, counted from 0: proc(5).
#[cfg(target_os = "linux")]
pub fn socket_column(local: SocketAddr, remote: SocketAddr, column: usize) -> String {
    let hexadecimal = |at: SocketAddr| match at {
        SocketAddr::V4(at) => format!("{:08X}:{:04X}", u32::from_ne_bytes(at.ip().octets()), at.port()),
        SocketAddr::V6(at) => panic!("{at}"),
    };
    let pair = format!(" {} {} ", hexadecimal(local), hexadecimal(remote));
    // The system may leave a line out while other connections come and go, so the loop reads the table again.
    let end = Instant::now() + PATIENCE;
    loop {
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        if let Some(line) = table.lines().find(|line| line.contains(&pair)) {
            return line.split_whitespace().nth(column).expect("the table has that many columns").into();
        }
        assert!(Instant::now() < end, "the system has no connection from {local} to {remote}");
    }
}

/// How a stream ended for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Eof,
    Reset,
}

impl End {
    /// Returns how a client sees the end of a connection that the server resets. Unix sockets have no reset: on Linux, whether
    /// the client reads ECONNRESET depends on whether the server had unread bytes, and `read_out` makes no difference.
    pub fn of_abort() -> Self {
        if crate::TRANSPORT == Transport::Tcp { Self::Reset } else { Self::Eof }
    }
}

/// Returns true if nothing listens at this address, which the loop of the test had listened at.
pub fn is_refused(at: SocketAddr) -> bool {
    #[cfg(unix)]
    if let Some(path) = unix::path_of(at) {
        return !path.exists(); // the file of a listener is removed with the listener
    }
    TcpStream::connect(at).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Reads all bytes until the stream ends, and returns how the stream ended.
pub fn read_out(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => (all, End::Eof),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (all, End::of_abort()),
        Err(error) => panic!("no end after {} bytes: {error}", all.len()),
    }
}
