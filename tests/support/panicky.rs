//! A recorder that panics where the test says, and a reactor that the test turns.

use std::{
    io::Write,
    net::{Shutdown, SocketAddr, TcpStream},
    ops::{Deref, DerefMut, RangeBounds},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use mio::{Token, Waker};
use tidegate::{CloseKind, Conn, ConnId, Net, Options, Remote};

use super::{Act, Call, End, Guest, Recorder, connect, id_of, listen, read_out};

/// A callback that panics, with the number of its client. `None` as the number stands for the callbacks that concern no
/// connection.
#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    Accept(u32),
    Call(Option<u32>, Call),
}

/// Panics once, at its place. Otherwise sends back the input, and closes at an end of file and when a drain begins.
pub struct Panics {
    pub at: Option<Place>,
    /// The bytes that `on_data` sends before it can panic.
    pub send: &'static [u8],
    /// Called in each callback of a connection that does not panic.
    pub act: fn(&mut Conn<'_, u32>, &Call),
}

pub type Panicky = Recorder<Panics>;

impl Panicky {
    /// Makes a recorder whose next call of this callback panics. The arguments of `call` do not matter.
    pub fn at(who: impl Into<Option<u32>>, call: Call) -> Self {
        Self::in_place(Place::Call(who.into(), call))
    }

    pub fn in_place(place: Place) -> Self {
        Self::with(Panics { at: Some(place), send: b"", act: closes })
    }
}

/// Sends back the input, and closes at an end of file and when a drain begins.
fn closes(conn: &mut Conn<'_, u32>, call: &Call) {
    match call {
        Call::Data(bytes) => _ = conn.send_all(bytes),
        Call::Eof | Call::Drain => conn.close(),
        _ => {}
    }
}

/// Panics without the message that `panic!` prints.
pub fn panic_silently() -> ! {
    resume_unwind(Box::new("a panic that the test wants"))
}

/// Returns true if `work` panics.
pub fn panics(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

impl Panics {
    fn pass(&mut self, who: Option<u32>, call: &Call) {
        if let Some(Place::Call(at, kind)) = &self.at
            && *at == who
            && kind.is_a(call)
        {
            self.at = None;
            panic_silently();
        }
    }
}

impl Act<u32> for Panics {
    fn on_accept(&mut self, number: u32) {
        if self.at == Some(Place::Accept(number)) {
            self.at = None;
            panic_silently();
        }
    }

    fn on_conn(&mut self, conn: &mut Conn<'_, u32>, call: &Call) {
        if let Call::Data(_) = call {
            conn.send_all(self.send);
        }
        self.pass(Some(*conn.session()), call);
        (self.act)(conn, call);
    }

    fn on_net(&mut self, _net: &mut Net<u32>, closed: Option<(ConnId, u32)>, call: &Call) {
        self.pass(closed.map(|(_, who)| who), call);
    }
}

/// A guest with a listener and clients.
pub struct World {
    guest: Guest<Panicky>,
    pub at: SocketAddr,
    pub clients: Vec<TcpStream>,
}

impl Deref for World {
    type Target = Guest<Panicky>;

    fn deref(&self) -> &Self::Target {
        &self.guest
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.guest
    }
}

impl World {
    pub fn new(handler: Panicky, clients: usize) -> Self {
        Self::with_tokens(1..1000, handler, clients)
    }

    pub fn with_tokens(tokens: impl RangeBounds<usize>, handler: Panicky, clients: usize) -> Self {
        let mut guest = Guest::in_poll(tokens, Options::default(), handler);
        let at = listen(guest.reactor.net());
        let mut world = Self { guest, at, clients: Vec::new() };
        for n in 1..=clients {
            world.clients.push(connect(at));
            world.turn_until(|handler, _| handler.count(&Call::Open) == n);
        }
        world.turn_until_quiet();
        world
    }

    /// Makes one turn. Returns an error if a callback panicked, and otherwise `Turn::finished`.
    pub fn settle(&mut self) -> Result<bool, ()> {
        let turn = catch_unwind(AssertUnwindSafe(|| self.guest.settle()));
        turn.map(|turn| turn.finished).map_err(drop)
    }

    pub fn id(&mut self, who: u32) -> ConnId {
        id_of(self.reactor.net(), who)
    }

    pub fn remote(&mut self) -> Remote {
        let waker = Waker::new(self.host.poll.registry(), Token(0)).unwrap();
        self.reactor.remote(waker.into())
    }

    /// Asserts that a new client is served.
    pub fn assert_serves(&mut self) {
        let mut client = connect(self.at);
        client.write_all(b"hello").unwrap();
        let who = self.handler.clients;
        self.handler.act.send = b"";
        self.turn_until(|handler, _| handler.of(who).contains(&Call::Data(b"hello".to_vec())));
        self.turn_until_quiet();
        client.shutdown(Shutdown::Write).unwrap();
        self.turn_until(|handler, _| handler.of(who).last() == Some(&Call::Close(CloseKind::Eof)));
        assert_eq!(read_out(&mut client), (b"hello".to_vec(), End::Eof));
    }
}
