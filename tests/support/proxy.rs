//! A small proxy, as the code of a recorder.

use std::{collections::HashMap, net::TcpStream};

use tidegate::{CloseKind, Conn, ConnId, Flow, Net};

use super::{Act, Call, Recorder, as_by_default, pair::adopt};

/// Passes bytes and ends of file on between two connections, and pauses each of them while the outbox of the other one is
/// full.
pub struct Passes {
    other: HashMap<ConnId, ConnId>,
    /// The connection that was paused last, until the proxy resumes a connection.
    pub paused: Option<ConnId>,
    /// Called in `on_close` with the other connection.
    end: End,
}

/// The code that ends one connection of a proxy after the end of the other connection.
type End = fn(&mut Net, ConnId, CloseKind);

pub type Proxy = Recorder<Passes, ()>;

impl Proxy {
    /// Makes a proxy that adopts both streams. Returns the ids of the two connections as well.
    pub fn between(net: &mut Net, client: TcpStream, backend: TcpStream, end: End) -> (Self, [ConnId; 2]) {
        let ids = [client, backend].map(|stream| adopt(net, stream, ()));
        let other = HashMap::from([(ids[0], ids[1]), (ids[1], ids[0])]);
        (Self::with(Passes { other, paused: None, end }), ids)
    }
}

impl Act<()> for Passes {
    fn on_conn(&mut self, conn: &mut Conn<'_>, call: &Call) {
        let (id, other) = (conn.id(), self.other[&conn.id()]);
        match call {
            Call::Data(bytes) => {
                if conn.net().send_all(other, bytes) == Flow::Full {
                    conn.pause_reading();
                    self.paused = Some(id);
                }
            }
            Call::Writable => {
                conn.net().resume_reading(other);
                self.paused = None;
            }
            Call::Eof => conn.net().shutdown_write(other),
            call => as_by_default(conn, call),
        }
    }

    fn on_net(&mut self, net: &mut Net, closed: Option<(ConnId, ())>, call: &Call) {
        if let (Some((id, ())), Call::Close(kind)) = (closed, call) {
            (self.end)(net, self.other[&id], *kind);
        }
    }
}
