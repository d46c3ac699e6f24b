//! A handler for a `Rehearsal`, or for any loop in the test's own thread: it notes what it is called for and when,
//! and does what the test says about it.

use std::time::Instant;

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net};

#[derive(Clone, PartialEq, Debug)]
pub enum Cue {
    Open,
    Data(Vec<u8>),
    Writable,
    Eof,
    Timeout(u64),
    Drain,
    Close(CloseKind),
    Timer(u64),
    Wake,
}

pub struct Note {
    /// `None` for what concerns no connection.
    pub who: Option<ConnId>,
    pub cue: Cue,
    /// What `Net::now` said.
    pub at: Instant,
}

type Act<'a> = Box<dyn FnMut(&mut Conn<'_>, &Cue) + 'a>;
type ActAlone<'a> = Box<dyn FnMut(&mut Net, &Cue) + 'a>;

pub struct Actor<'a> {
    pub notes: Vec<Note>,
    /// Whether clients are welcome.
    pub accepts: bool,
    /// How many bytes `on_data` uses at the most; all of them at first.
    pub portion: usize,
    act: Act<'a>,
    alone: ActAlone<'a>,
}

impl<'a> Actor<'a> {
    /// `act` is called in every callback that has a connection.
    pub fn new(act: impl FnMut(&mut Conn<'_>, &Cue) + 'a) -> Self {
        Self {
            notes: Vec::new(),
            accepts: true,
            portion: usize::MAX,
            act: Box::new(act),
            alone: Box::new(|_, _| {}),
        }
    }

    /// Does nothing of its own accord.
    pub fn idle() -> Self {
        Self::new(|_, _| {})
    }

    /// Sends back what it receives, and closes after the peer has.
    pub fn echo() -> Self {
        Self::new(|conn, cue| match cue {
            Cue::Data(bytes) => _ = conn.send_all(bytes),
            Cue::Eof => conn.close(),
            _ => {}
        })
    }

    /// `alone` is called in `on_timer`, `on_wake` and `on_close`.
    pub fn alone(mut self, alone: impl FnMut(&mut Net, &Cue) + 'a) -> Self {
        self.alone = Box::new(alone);
        self
    }

    /// What it was called for by one connection.
    pub fn of(&self, who: ConnId) -> Vec<Cue> {
        self.notes.iter().filter(|note| note.who == Some(who)).map(|note| note.cue.clone()).collect()
    }

    /// What it was called for, and by whomever, since this was asked last.
    pub fn cues(&mut self) -> Vec<Cue> {
        self.notes.drain(..).map(|note| note.cue).collect()
    }

    /// When it was called for `cue` last.
    pub fn time_of(&self, cue: &Cue) -> Option<Instant> {
        self.notes.iter().rev().find(|note| note.cue == *cue).map(|note| note.at)
    }

    pub fn has_heard(&self, cue: &Cue) -> bool {
        self.time_of(cue).is_some()
    }

    fn on(&mut self, conn: &mut Conn<'_>, cue: Cue) {
        let (who, at) = (Some(conn.id()), conn.net().now());
        (self.act)(conn, &cue);
        self.notes.push(Note { who, cue, at });
    }

    fn on_alone(&mut self, net: &mut Net, who: Option<ConnId>, cue: Cue) {
        (self.alone)(net, &cue);
        self.notes.push(Note { who, cue, at: net.now() });
    }
}

impl Handler for Actor<'_> {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        self.accepts.then_some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        let used = input.len().min(self.portion);
        self.on(conn, Cue::Data(input[..used].to_vec()));
        used
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        self.on(conn, Cue::Open);
    }

    fn on_eof(&mut self, conn: &mut Conn<'_>) {
        self.on(conn, Cue::Eof);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.on(conn, Cue::Writable);
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_>, tag: u64) {
        self.on(conn, Cue::Timeout(tag));
    }

    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        self.on(conn, Cue::Drain);
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, _session: (), why: CloseReason) {
        self.on_alone(net, Some(id), Cue::Close(why.kind()));
    }

    fn on_timer(&mut self, net: &mut Net, tag: u64) {
        self.on_alone(net, None, Cue::Timer(tag));
    }

    fn on_wake(&mut self, net: &mut Net) {
        self.on_alone(net, None, Cue::Wake);
    }
}
