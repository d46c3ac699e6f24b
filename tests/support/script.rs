//! A recorder with a closure for each callback, which tells the test about its calls through a channel.

use std::sync::mpsc::Sender;

use tidegate::{CloseKind, Conn, ConnId, Net};

use super::{Act, Call, Recorder, as_by_default};

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

type Callback = Box<dyn FnMut(&mut Conn<'_>) + Send>;
type OnWake = Box<dyn FnMut(&mut Net) + Send>;
type OnData = Box<dyn FnMut(&mut Conn<'_>, &[u8]) -> usize + Send>;

/// Tells the test about each callback, and then calls the closure of the test.
pub struct Tells {
    tell: Sender<Told>,
    open: Callback,
    data: OnData,
    eof: Callback,
    writable: Callback,
    wake: OnWake,
}

/// A recorder that tells the test about its calls while a thread runs it. Without a closure, a callback has the default of
/// the trait.
pub type Script = Recorder<Tells, ()>;

impl Script {
    pub fn telling(tell: &Sender<Told>) -> Self {
        let data = tell.clone();
        Self::with(Tells {
            tell: tell.clone(),
            open: Box::new(|_| {}),
            data: Box::new(move |_, input| {
                // The send fails if the test has ended, which is no failure of the server.
                let _ = data.send(Told::Data(input.to_vec()));
                input.len()
            }),
            eof: Box::new(|conn| conn.close()),
            writable: Box::new(|_| {}),
            wake: Box::new(|_| {}),
        })
    }

    pub fn on_open(mut self, open: impl FnMut(&mut Conn<'_>) + Send + 'static) -> Self {
        self.act.open = Box::new(open);
        self
    }

    pub fn on_data(mut self, data: impl FnMut(&mut Conn<'_>, &[u8]) -> usize + Send + 'static) -> Self {
        self.act.data = Box::new(data);
        self
    }

    pub fn on_eof(mut self, eof: impl FnMut(&mut Conn<'_>) + Send + 'static) -> Self {
        self.act.eof = Box::new(eof);
        self
    }

    pub fn on_writable(mut self, writable: impl FnMut(&mut Conn<'_>) + Send + 'static) -> Self {
        self.act.writable = Box::new(writable);
        self
    }

    pub fn on_wake(mut self, wake: impl FnMut(&mut Net) + Send + 'static) -> Self {
        self.act.wake = Box::new(wake);
        self
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
        let _ = self.tell.send(told);
        act(conn);
    }

    fn on_net(&mut self, net: &mut Net, _closed: Option<(ConnId, ())>, call: &Call) {
        match call {
            Call::Close(kind) => _ = self.tell.send(Told::Close(*kind)),
            Call::Wake => (self.wake)(net),
            _ => {}
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        (self.data)(conn, input)
    }
}
