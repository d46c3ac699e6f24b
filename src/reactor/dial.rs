//! Connecting: the addresses in order, until one answers.

use std::io;

use crate::{
    close::CloseReason,
    conn::Conn,
    handler::Handler,
    source::{
        DialState,
        connection::{Phase, Readiness},
    },
    stream::Stream,
};

use super::Reactor;

impl<S> Reactor<S> {
    /// Goes on connecting. `true` once the connection is established.
    pub(super) fn dial(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) -> bool {
        let mut last_error = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
        loop {
            let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return false };
            let connection = &mut link.connection;
            let Some(dial) = link.extra.as_mut().and_then(|extra| extra.dial.as_mut()) else { return true };
            if connection.phase() > Phase::Flushing {
                return false;
            }
            if dial.state == DialState::Established {
                break;
            }
            if dial.state == DialState::UnderWay {
                match connection.stream().connected() {
                    None => {
                        connection.forget_readiness();
                        return false;
                    }
                    Some(Ok(())) => break,
                    Some(Err(error)) => last_error = error,
                }
                dial.state = DialState::NotBegun;
                // Dropping it closes it, but a poll forgets only the last copy of a descriptor, epoll(7).
                let _ = connection.stream_mut().deregister(&shared.registry);
                connection.replace_stream(Stream::Unconnected);
            }
            let Some(address) = dial.to.socket_addrs().get(dial.next).copied() else {
                connection.end(CloseReason::ConnectFailed(last_error), Phase::Dropping);
                return false;
            };
            dial.next += 1;
            let token = shared.token(head.slot);
            let next = Stream::connect(address).and_then(|mut stream| {
                stream.register(&shared.registry, token)?;
                Ok(stream)
            });
            match next {
                Ok(stream) => {
                    connection.replace_stream(stream);
                    dial.state = DialState::UnderWay;
                    return false;
                }
                Err(error) => last_error = error,
            }
        }
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return false };
        link.end_dialing();
        link.connection.stream().configure(&shared.options);
        // Whatever the event said: it was about the socket, and now there is a connection.
        let readiness = Readiness { readable: true, writable: true, short_reads_lie: true, error: false };
        link.connection.note(readiness);
        head.arm_idle = true;
        shared.stats.connected += 1;
        if link.connection.phase() == Phase::Open {
            self.call(slot, |conn: &mut Conn<'_, S>| handler.on_open(conn));
        }
        // One that came after a drain began would not hear of it otherwise, and would hold it up.
        let shared = &self.net.sockets.shared;
        if shared.is_draining() && self.net.is_born_since(slot, shared.draining_since) {
            self.drain_one(handler, slot);
        }
        true
    }
}
