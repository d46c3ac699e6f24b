//! A recorder with a closure for each callback, which tells the test about its calls through a channel.

use std::sync::mpsc::{self, Receiver, Sender};

use tidegate::{CloseKind, Conn, ConnId, Net, Options};

use super::{Act, Call, Recorder, Server, as_by_default};

#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Open(ConnId),
    /// Sent by a script without an `on_data` closure. Such a script consumes all bytes.
    Data(Vec<u8>),
    /// Contains the bytes that were not consumed.
    Eof(Vec<u8>),
    /// Contains the number of unsent bytes.
    Writable(usize),
    Close(CloseKind),
    /// A send returned `Full`. Only closures of tests send this message. Contains the number of unsent bytes.
    Full(usize),
}

impl Told {
    /// Returns the connection of an `Open`, which is the first message about each connection.
    pub fn open(self) -> ConnId {
        match self {
            Self::Open(id) => id,
            other => panic!("the first message is {other:?} and not an `Open`"),
        }
    }
}

/// Sends messages to the test.
pub struct Tell(Sender<Told>);

impl Tell {
    pub fn send(&self, message: Told) {
        let _ = self.0.send(message); // The send fails if the test has ended, which is no failure of the server.
    }
}

type Callback = Box<dyn FnMut(&mut Conn<'_>, &Tell) + Send>;
type OnData = Box<dyn FnMut(&mut Conn<'_>, &[u8], &Tell) -> usize + Send>;
type OnWake = Box<dyn FnMut(&mut Net) + Send>;

/// Tells the test about each callback, and then calls the closure of the test.
pub struct Tells {
    tell: Tell,
    told: Option<Receiver<Told>>,
    open: Callback,
    data: OnData,
    eof: Callback,
    writable: Callback,
    wake: OnWake,
}

/// A recorder that tells the test about its calls while a thread runs it. Without a closure, a callback has the default of
/// the trait.
pub type Script = Recorder<Tells, ()>;

impl Default for Script {
    fn default() -> Self {
        let (tell, told) = mpsc::channel();
        Self::with(Tells {
            tell: Tell(tell),
            told: Some(told),
            open: Box::new(|_, _| {}),
            data: Box::new(|_, input, tell| {
                tell.send(Told::Data(input.to_vec()));
                input.len()
            }),
            eof: Box::new(|conn, _| conn.close()),
            writable: Box::new(|_, _| {}),
            wake: Box::new(|_| {}),
        })
    }
}

impl Script {
    /// Makes a script that sends back each message.
    pub fn echo() -> Self {
        Self::default().on_data(|conn, input, _| {
            conn.send_all(input);
            input.len()
        })
    }

    pub fn on_open(mut self, open: impl FnMut(&mut Conn<'_>, &Tell) + Send + 'static) -> Self {
        self.act.open = Box::new(open);
        self
    }

    pub fn on_data(
        mut self,
        data: impl FnMut(&mut Conn<'_>, &[u8], &Tell) -> usize + Send + 'static,
    ) -> Self {
        self.act.data = Box::new(data);
        self
    }

    pub fn on_eof(mut self, eof: impl FnMut(&mut Conn<'_>, &Tell) + Send + 'static) -> Self {
        self.act.eof = Box::new(eof);
        self
    }

    pub fn on_writable(mut self, writable: impl FnMut(&mut Conn<'_>, &Tell) + Send + 'static) -> Self {
        self.act.writable = Box::new(writable);
        self
    }

    pub fn on_wake(mut self, wake: impl FnMut(&mut Net) + Send + 'static) -> Self {
        self.act.wake = Box::new(wake);
        self
    }

    /// Returns the messages of this script, which no thread has taken.
    pub(super) fn told(&self) -> &Receiver<Told> {
        self.act.told.as_ref().expect("no thread has the messages")
    }

    pub(super) fn take_told(&mut self) -> Receiver<Told> {
        self.act.told.take().expect("the messages are taken once")
    }

    /// Runs this script in a server, and returns the messages of the script as well.
    pub fn serve(mut self, options: Options) -> (Server<Self>, Receiver<Told>) {
        let told = self.take_told();
        (Server::start(options, self), told)
    }
}

impl Act<()> for Tells {
    fn on_conn(&mut self, conn: &mut Conn<'_>, call: &Call) {
        let (told, act) = match call {
            Call::Open => (Told::Open(conn.id()), &mut self.open),
            Call::Eof => (Told::Eof(conn.unconsumed().to_vec()), &mut self.eof),
            Call::Writable => (Told::Writable(conn.queued()), &mut self.writable),
            other => return as_by_default(conn, other),
        };
        self.tell.send(told);
        act(conn, &self.tell);
    }

    fn on_net(&mut self, net: &mut Net, _closed: Option<(ConnId, ())>, call: &Call) {
        match call {
            Call::Close(kind) => self.tell.send(Told::Close(*kind)),
            Call::Wake => (self.wake)(net),
            _ => {}
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        (self.data)(conn, input, &self.tell)
    }
}
