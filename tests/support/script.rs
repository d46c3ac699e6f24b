//! A handler made of closures, which tells the test what is called.

use std::sync::mpsc::Sender;

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net};

#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Open(ConnId),
    /// From a script without an `on_data` of its own, which uses everything.
    Data(Vec<u8>),
    /// With what was left unused.
    Eof(Vec<u8>),
    /// With what is still unsent.
    Writable(usize),
    Close(CloseKind),
    /// Only closures tell this: a send was `Full`, with what is unsent then.
    Full(usize),
}

impl Told {
    /// Which connection it is: the first thing that is told of one.
    pub fn open(self) -> ConnId {
        match self {
            Self::Open(id) => id,
            other => panic!("it is open first, not {other:?}"),
        }
    }
}

type Callback = Box<dyn FnMut(&mut Conn<'_>) + Send>;
type OnData = Box<dyn FnMut(&mut Conn<'_>, &[u8]) -> usize + Send>;

/// Tells of each callback and then does what the test says, or what the trait does by default.
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
                // A test that has heard enough may have gone: that is no failure of the server's. The same below.
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
