//! A handler with a closure for each callback, which tells the test about its calls through a channel.

use std::sync::mpsc::Sender;

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net};

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
type OnData = Box<dyn FnMut(&mut Conn<'_>, &[u8]) -> usize + Send>;

/// Tells the test about each callback, and then calls the closure of the test. Without a closure, the default of the trait
/// applies.
pub struct Script {
    tell: Sender<Told>,
    open: Callback,
    data: OnData,
    eof: Callback,
    writable: Callback,
}

impl Script {
    pub fn new(tell: &Sender<Told>) -> Self {
        let data = tell.clone();
        Self {
            tell: tell.clone(),
            open: Box::new(|_| {}),
            data: Box::new(move |_, input| {
                // The send fails if the test has ended, which is no failure of the server.
                let _ = data.send(Told::Data(input.to_vec()));
                input.len()
            }),
            eof: Box::new(|conn| conn.close()),
            writable: Box::new(|_| {}),
        }
    }

    pub fn on_open(mut self, open: impl FnMut(&mut Conn<'_>) + Send + 'static) -> Self {
        self.open = Box::new(open);
        self
    }

    pub fn on_data(mut self, data: impl FnMut(&mut Conn<'_>, &[u8]) -> usize + Send + 'static) -> Self {
        self.data = Box::new(data);
        self
    }

    pub fn on_eof(mut self, eof: impl FnMut(&mut Conn<'_>) + Send + 'static) -> Self {
        self.eof = Box::new(eof);
        self
    }

    pub fn on_writable(mut self, writable: impl FnMut(&mut Conn<'_>) + Send + 'static) -> Self {
        self.writable = Box::new(writable);
        self
    }

    fn tell(&self, what: Told) {
        let _ = self.tell.send(what);
    }
}

impl Handler for Script {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Open(conn.id()));
        (self.open)(conn);
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        (self.data)(conn, input)
    }

    fn on_eof(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Eof(conn.unconsumed().to_vec()));
        (self.eof)(conn);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Writable(conn.queued()));
        (self.writable)(conn);
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
        self.tell(Told::Close(why.kind()));
    }
}
