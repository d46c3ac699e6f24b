//! The handler of most tests, which records its calls and runs the code of the test in each callback.

use std::{collections::HashSet, time::Instant};

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net, Readiness, SourceId};

/// A callback of the handler. `on_accept` is not recorded, because connects and adopted streams have none.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    Open,
    /// The bytes that `on_data` consumed.
    Data(Vec<u8>),
    Writable,
    Eof,
    Timeout(u64),
    Drain,
    Close(CloseKind),
    Timer(u64),
    Wake,
    Ready(SourceId, Readiness),
}

impl Call {
    /// Returns true if both are calls of the same callback. The arguments are not compared.
    pub fn is_a(&self, other: &Call) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A call that was recorded.
pub struct Note {
    /// `None` for a call that concerns no connection.
    pub id: Option<ConnId>,
    /// The session of the connection, or 0 if sessions are not numbers.
    pub who: u32,
    pub call: Call,
    /// `Net::now` in the callback.
    pub at: Instant,
}

/// The sessions of a [`Recorder`]: numbers in the order in which clients are accepted, or nothing.
pub trait Session: Copy {
    fn numbered(number: u32) -> Self;
    fn number(self) -> Option<u32>;
}

impl Session for u32 {
    fn numbered(number: u32) -> Self {
        number
    }

    fn number(self) -> Option<u32> {
        Some(self)
    }
}

impl Session for () {
    fn numbered(_number: u32) -> Self {}

    fn number(self) -> Option<u32> {
        None
    }
}

/// The end of a session, as `on_close` reported it.
#[derive(Debug)]
pub struct Ended {
    pub id: ConnId,
    pub why: CloseReason,
    /// `Net::undelivered` in `on_close`.
    pub undelivered: bool,
}

/// The code of a test that a [`Recorder`] runs in its callbacks. The call is recorded already, so a test can see a call that
/// panics.
pub trait Act<S> {
    fn on_conn(&mut self, conn: &mut Conn<'_, S>, call: &Call);

    /// Called in `on_close`, `on_timer`, `on_wake` and `on_ready`, which have no `Conn`. `closed` is `None` except in `on_close`.
    fn on_net(&mut self, net: &mut Net<S>, closed: Option<(ConnId, S)>, call: &Call);

    /// Called in `on_accept` with the number that the client gets.
    fn on_accept(&mut self, _number: u32) {}

    /// Returns how many bytes `on_data` consumes.
    fn on_data(&mut self, conn: &mut Conn<'_, S>, input: &[u8]) -> usize {
        self.on_conn(conn, &Call::Data(input.to_vec()));
        input.len()
    }
}

impl<F: FnMut(&mut Net<u32>, ConnId, u32, &Call)> Act<u32> for F {
    fn on_conn(&mut self, conn: &mut Conn<'_, u32>, call: &Call) {
        let (who, id) = (*conn.session(), conn.id());
        self(conn.net(), id, who, call);
    }

    fn on_net(&mut self, net: &mut Net<u32>, closed: Option<(ConnId, u32)>, call: &Call) {
        if let Some((id, who)) = closed {
            self(net, id, who, call);
        }
    }
}

/// Does what the trait does by default in `on_eof` and `on_drain`. A recorder does nothing in them by itself.
pub fn as_by_default<S>(conn: &mut Conn<'_, S>, call: &Call) {
    match call {
        Call::Eof => conn.close(),
        Call::Drain => {
            let quiet = conn.net().options().drain_quiet;
            conn.close_when_idle(quiet);
        }
        _ => {}
    }
}

type OnConn<'a> = Box<dyn FnMut(&mut Conn<'_>, &Call) + 'a>;
type OnNet<'a> = Box<dyn FnMut(&mut Net, &Call) + 'a>;
type OnData<'a> = Box<dyn FnMut(&mut Conn<'_>, &[u8]) -> usize + 'a>;

/// Closures: `conn` is called in callbacks that have a connection, and `net` in all other callbacks. If there is a `data`,
/// `on_data` calls `data` in place of `conn`.
pub struct WithConn<'a> {
    conn: OnConn<'a>,
    net: OnNet<'a>,
    data: Option<OnData<'a>>,
}

impl Act<()> for WithConn<'_> {
    fn on_conn(&mut self, conn: &mut Conn<'_>, call: &Call) {
        (self.conn)(conn, call);
    }

    fn on_net(&mut self, net: &mut Net, _closed: Option<(ConnId, ())>, call: &Call) {
        (self.net)(net, call);
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        if let Some(data) = &mut self.data {
            return data(conn, input);
        }
        (self.conn)(conn, &Call::Data(input.to_vec()));
        input.len()
    }
}

/// Records its calls and runs the code of the test in each callback.
pub struct Recorder<A, S = u32> {
    pub notes: Vec<Note>,
    pub ended: Vec<Ended>,
    /// If false, `on_accept` turns clients away.
    pub accepts: bool,
    /// The largest number of bytes that `on_data` consumes in one call. Initially `on_data` consumes all bytes.
    pub portion: usize,
    /// The number of clients that were accepted.
    pub clients: u32,
    /// The numbers of the sessions that had their `on_close`.
    closed: HashSet<u32>,
    pub act: A,
    session: std::marker::PhantomData<fn(S)>,
}

/// A recorder without sessions, whose closures get the connection.
pub type Actor<'a> = Recorder<WithConn<'a>, ()>;

impl<A: Act<S>, S: Session> Recorder<A, S> {
    pub fn with(act: A) -> Self {
        Self {
            notes: Vec::new(),
            ended: Vec::new(),
            accepts: true,
            portion: usize::MAX,
            clients: 0,
            closed: HashSet::new(),
            act,
            session: std::marker::PhantomData,
        }
    }

    /// Returns the calls for a session.
    pub fn of(&self, who: u32) -> Vec<Call> {
        self.notes
            .iter()
            .filter(|note| note.id.is_some() && note.who == who)
            .map(|note| note.call.clone())
            .collect()
    }

    /// Returns the calls for a connection.
    pub fn of_id(&self, id: ConnId) -> Vec<Call> {
        self.notes.iter().filter(|note| note.id == Some(id)).map(|note| note.call.clone()).collect()
    }

    /// Returns the calls for all connections, with their sessions.
    pub fn calls(&self) -> Vec<(u32, Call)> {
        let of_connections = self.notes.iter().filter(|note| note.id.is_some());
        of_connections.map(|note| (note.who, note.call.clone())).collect()
    }

    /// Returns all calls since the last `take_calls`.
    pub fn take_calls(&mut self) -> Vec<Call> {
        self.notes.drain(..).map(|note| note.call).collect()
    }

    /// Returns the number of calls of a callback, whatever the arguments.
    pub fn count(&self, kind: &Call) -> usize {
        self.notes.iter().filter(|note| note.call.is_a(kind)).count()
    }

    /// Returns how the sessions ended, in the order of their ends.
    pub fn ends(&self) -> Vec<CloseKind> {
        self.ended.iter().map(|end| end.why.kind()).collect()
    }

    /// Returns the time of the last call that equals `call`.
    pub fn time_of(&self, call: &Call) -> Option<Instant> {
        self.notes.iter().rev().find(|note| note.call == *call).map(|note| note.at)
    }

    pub fn has_heard(&self, call: &Call) -> bool {
        self.time_of(call).is_some()
    }

    pub fn has_opened(&self, who: u32) -> bool {
        self.of(who).contains(&Call::Open)
    }

    pub fn has_closed(&self, who: u32) -> bool {
        self.of(who).iter().any(|call| matches!(call, Call::Close(_)))
    }

    fn on(&mut self, conn: &mut Conn<'_, S>, call: Call) {
        self.note(conn, call.clone());
        self.act.on_conn(conn, &call);
    }

    fn note(&mut self, conn: &mut Conn<'_, S>, call: Call) {
        let (number, id, at) = (conn.session().number(), conn.id(), conn.net().now());
        let who = number.unwrap_or(0);
        assert!(number.is_none() || !self.closed.contains(&who), "{call:?} for {who} after its on_close");
        self.notes.push(Note { id: Some(id), who, call, at });
    }

    fn on_net(&mut self, net: &mut Net<S>, closed: Option<(ConnId, S)>, call: Call) {
        let who = closed.map_or(0, |(_, session)| session.number().unwrap_or(0));
        let (id, at) = (closed.map(|(id, _)| id), net.now());
        self.notes.push(Note { id, who, call: call.clone(), at });
        self.act.on_net(net, closed, &call);
    }
}

impl<F: FnMut(&mut Net<u32>, ConnId, u32, &Call)> Recorder<F> {
    /// `act` is called in every callback of a connection: with the id of the connection, its number, and the call.
    pub fn new(act: F) -> Self {
        Self::with(act)
    }
}

impl<'a> Actor<'a> {
    /// `act` is called in every callback that has a connection.
    pub fn with_conn(act: impl FnMut(&mut Conn<'_>, &Call) + 'a) -> Self {
        Self::with(WithConn { conn: Box::new(act), net: Box::new(|_, _| {}), data: None })
    }

    /// Makes a recorder that only records.
    pub fn idle() -> Self {
        Self::with_conn(|_, _| {})
    }

    /// Makes a recorder that does what the trait does by default.
    pub fn by_default() -> Self {
        Self::with_conn(as_by_default)
    }

    /// Makes a recorder that sends back each message, and closes after the end of file of the peer.
    pub fn echo() -> Self {
        Self::with_conn(|conn, call| match call {
            Call::Data(bytes) => _ = conn.send_all(bytes),
            Call::Eof => conn.close(),
            _ => {}
        })
    }

    /// Makes a recorder that consumes as many bytes as `data` returns, and otherwise does what the trait does by default.
    pub fn consuming(data: impl FnMut(&mut Conn<'_>, &[u8]) -> usize + 'a) -> Self {
        Self::by_default().with_data(data)
    }

    /// `data` is called in `on_data`, and returns how many bytes `on_data` consumes.
    pub fn with_data(mut self, data: impl FnMut(&mut Conn<'_>, &[u8]) -> usize + 'a) -> Self {
        self.act.data = Some(Box::new(data));
        self
    }

    /// `act` is called in `on_timer`, `on_wake`, `on_ready` and `on_close`.
    pub fn with_net(mut self, act: impl FnMut(&mut Net, &Call) + 'a) -> Self {
        self.act.net = Box::new(act);
        self
    }
}

impl<A: Act<S>, S: Session> Handler for Recorder<A, S> {
    type Session = S;

    fn on_accept(&mut self, _net: &mut Net<S>, _from: &Accepted) -> Option<S> {
        self.accepts.then(|| {
            self.clients += 1;
            self.act.on_accept(self.clients - 1);
            S::numbered(self.clients - 1)
        })
    }

    fn on_data(&mut self, conn: &mut Conn<'_, S>, input: &[u8]) -> usize {
        let shown = &input[..input.len().min(self.portion)];
        self.note(conn, Call::Data(shown.to_vec()));
        let used = self.act.on_data(conn, shown);
        if let Some(Note { call: Call::Data(bytes), .. }) = self.notes.last_mut() {
            bytes.truncate(used);
        }
        used
    }

    fn on_open(&mut self, conn: &mut Conn<'_, S>) {
        self.on(conn, Call::Open);
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, S>) {
        self.on(conn, Call::Eof);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, S>) {
        self.on(conn, Call::Writable);
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, S>, tag: u64) {
        self.on(conn, Call::Timeout(tag));
    }

    fn on_drain(&mut self, conn: &mut Conn<'_, S>) {
        self.on(conn, Call::Drain);
    }

    fn on_close(&mut self, net: &mut Net<S>, id: ConnId, session: S, why: CloseReason) {
        if let Some(who) = session.number() {
            assert!(self.closed.insert(who), "{who} has a second on_close");
        }
        assert!(
            net.conn(id).is_none() && net.session(id).is_none(),
            "{id:?} still has a connection in its on_close"
        );
        assert!(
            net.sessions().all(|(other, _)| other != id),
            "`sessions` still lists {id:?} in its on_close"
        );
        let (kind, undelivered) = (why.kind(), net.undelivered());
        assert_eq!(net.undelivered(), undelivered, "a second call of `undelivered` gives another answer");
        self.ended.push(Ended { id, why, undelivered });
        self.on_net(net, Some((id, session)), Call::Close(kind));
    }

    fn on_timer(&mut self, net: &mut Net<S>, tag: u64) {
        self.on_net(net, None, Call::Timer(tag));
    }

    fn on_wake(&mut self, net: &mut Net<S>) {
        self.on_net(net, None, Call::Wake);
    }

    fn on_ready(&mut self, net: &mut Net<S>, source: SourceId, ready: Readiness) {
        self.on_net(net, None, Call::Ready(source, ready));
    }
}

/// Makes a recorder that sends back each message, and closes after the end of file of the peer.
pub fn echo() -> Recorder<impl FnMut(&mut Net<u32>, ConnId, u32, &Call)> {
    Recorder::new(|net, id, _, call| match call {
        Call::Data(bytes) => _ = net.send_all(id, bytes),
        Call::Eof => net.close(id),
        _ => {}
    })
}
