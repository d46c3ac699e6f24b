//! SO_LINGER with a time makes close(2) of a TCP socket wait until the peer has taken all bytes, even if the socket is
//! nonblocking. An adopted socket can bring this option along; the close of its connections must not stop the loop.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    time::Duration,
};

use socket2::SockRef;
use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, ListenerId, Net, Options};

use crate::support::{
    self, PATIENCE, Server, connect, connect_narrow, exchange, listening, next, pair::connected, turn_until,
};

/// A close that waits for this long fails the test.
const LINGER: Duration = PATIENCE.saturating_mul(20);

/// The number of bytes that is more than a narrow client can receive without reading.
const MORE_THAN_IS_TAKEN: usize = 128 << 10;

/// How a handler ends a connection whose socket still holds unsent bytes. The outbox is empty, so neither way resets.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Deadline,
    Close,
}

/// The role of a connection in the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// The connection fills the buffers of its socket and ends at once.
    Overfed,
    Echo,
}

/// Ends overfed connections, tells when their `on_close` has come, and echoes the bytes of all other clients.
struct Overfeeding {
    ending: Ending,
    /// The clients of this listener are overfed.
    listener: Option<ListenerId>,
    closed: Sender<()>,
}

impl Handler for Overfeeding {
    type Session = Role;

    fn on_accept(&mut self, _net: &mut Net<Role>, from: &Accepted) -> Option<Role> {
        Some(if self.listener == Some(from.listener) { Role::Overfed } else { Role::Echo })
    }

    fn on_open(&mut self, conn: &mut Conn<'_, Role>) {
        if *conn.session() == Role::Echo {
            return;
        }
        let (block, mut taken) = ([7; 16 << 10], 0);
        while let Ok(count) = conn.try_send(&block) {
            taken += count;
        }
        assert!(taken >= MORE_THAN_IS_TAKEN, "only {taken} bytes are in the kernel");
        assert_eq!(conn.queued(), 0);
        match self.ending {
            Ending::Close => conn.close(),
            Ending::Deadline => {
                let now = conn.net().now();
                conn.set_deadline(Some(now));
            }
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Role>, input: &[u8]) -> usize {
        conn.send_all(input);
        input.len()
    }

    fn on_close(&mut self, _net: &mut Net<Role>, _id: ConnId, role: Role, _why: CloseReason) {
        if role == Role::Overfed {
            let _ = self.closed.send(());
        }
    }
}

/// A server that tells when an overfed connection has closed.
struct Running {
    server: Server<Overfeeding>,
    closed: Receiver<()>,
}

impl Running {
    fn start(listening: (EventLoop<Role>, SocketAddr), ending: Ending, listener: Option<ListenerId>) -> Self {
        let (tell, closed) = mpsc::channel();
        Self { server: Server::run(listening, Overfeeding { ending, listener, closed: tell }), closed }
    }

    /// Waits until an overfed connection has closed, and until another client is served after that.
    fn assert_goes_on(&self) {
        next(&self.closed);
        assert_eq!(exchange(&mut self.server.connect(), b"hello"), b"hello");
    }
}

/// Makes a loop that does not wait for the end of file of the peer. The socket of an ended connection is closed at once.
fn a_loop() -> (EventLoop<Role>, SocketAddr) {
    listening(Options::default().linger(Duration::ZERO))
}

fn set_linger<'a>(socket: impl Into<SockRef<'a>>) {
    socket.into().set_linger(Some(LINGER)).unwrap();
}

fn a_lingering_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    set_linger(&listener);
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[test]
fn an_adopted_stream_loses_its_linger_time() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (_client, stream) = connected();
    set_linger(&stream);
    let twin = stream.try_clone().unwrap();
    event_loop.net().adopt_stream(stream, Role::Echo).unwrap();
    assert_eq!(SockRef::from(&twin).linger().unwrap(), None);
}

/// Linux copies SO_LINGER from the listener to a connection when the connection is established. So the adoption of the
/// listener comes too late for the clients that wait in its backlog.
#[test]
#[cfg(target_os = "linux")]
fn no_client_of_an_adopted_listener_has_a_linger_time() {
    use crate::support::{pair::turn_until_quiet, twin};

    let mut event_loop = EventLoop::new(Options::default().accept_budget(2)).unwrap();
    let (listener, at) = a_lingering_listener();
    let early = [(); 3].map(|()| connect(at));
    event_loop.net().adopt_listener(listener).unwrap();
    let late = [(); 2].map(|()| connect(at));
    let mut echo = support::Echo;
    turn_until(&mut event_loop, &mut echo, |_, net| net.stats().accepted == 5);
    turn_until_quiet(&mut event_loop, &mut echo);
    let last = connect(at); // This client connects after the backlog was found empty.
    turn_until(&mut event_loop, &mut echo, |_, net| net.stats().accepted == 6);
    for (number, client) in early.iter().chain(&late).chain([&last]).enumerate() {
        let Some(twin) = twin::of_the_other_end(client) else { return };
        assert_eq!(SockRef::from(&twin).linger().unwrap(), None, "client {number}");
    }
}

#[test]
fn the_close_of_an_adopted_stream_with_unsent_bytes_does_not_stop_the_loop() {
    for ending in [Ending::Deadline, Ending::Close] {
        println!("{ending:?}"); // If the test fails, its output names the case.
        let (mut event_loop, at) = a_loop();
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let _reads_nothing: TcpStream = connect_narrow(host.local_addr().unwrap());
        let stream = host.accept().unwrap().0;
        set_linger(&stream);
        event_loop.net().adopt_stream(stream, Role::Overfed).unwrap();
        let running = Running::start((event_loop, at), ending, None);
        running.assert_goes_on();
        running.server.stop();
    }
}

#[test]
fn the_close_of_a_client_of_an_adopted_listener_does_not_stop_the_loop() {
    for ending in [Ending::Deadline, Ending::Close] {
        println!("{ending:?}"); // If the test fails, its output names the case.
        let (mut event_loop, at) = a_loop();
        let (listener, of_the_listener) = a_lingering_listener();
        let _waits_in_the_backlog = connect_narrow(of_the_listener);
        let id = event_loop.net().adopt_listener(listener).unwrap();
        let running = Running::start((event_loop, at), ending, Some(id));
        running.assert_goes_on();
        let _connects_later = connect_narrow(of_the_listener);
        running.assert_goes_on();
        running.server.stop();
    }
}
