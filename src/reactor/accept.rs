//! A listener's turn.

use std::time::Duration;

use crate::{
    conn::Conn,
    handler::{Accepted, Handler},
    shared::Alarm,
    source::{
        Peer, Source,
        connection::{Connection, Readiness},
        listener::{Accept, ListenerId},
    },
    stream,
};

use super::Reactor;

/// Under edge triggering no event says that there are descriptors again.
const RETRY: Duration = Duration::from_millis(100);

impl<S> Reactor<S> {
    /// Accepts until the backlog is empty or the listener has had its share of this turn.
    pub(super) fn accept(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        for _ in 0..self.net.sockets.shared.options.accept_budget {
            // Closed by the callback of the connection before?
            let Some(listener) = self.net.sockets.slots[slot as usize].listener_mut() else { return };
            if !listener.readable {
                return;
            }
            if self.is_full() {
                self.net.sockets.shared.listeners_waiting.push(slot);
                return;
            }
            let listener = self.net.sockets.slots[slot as usize].listener_mut().expect("looked at above");
            match listener.accept() {
                Accept::Stream(stream, peer) => self.admit(handler, slot, stream, peer),
                Accept::WouldBlock => return,
                Accept::Again => {}
                Accept::Exhausted(error) => {
                    listener.readable = false;
                    let shared = &mut self.net.sockets.shared;
                    shared.stats.accept_errors += 1;
                    log::warn!("accepting pauses for {} ms: {error}", RETRY.as_millis());
                    let now = shared.now.expect("accept is called in a turn");
                    shared.timers.insert(now + RETRY, Alarm::Accept(slot));
                    return;
                }
            }
        }
        let place = &mut self.net.sockets.slots[slot as usize];
        if let Source::Listener(_) = place.source {
            self.net.sockets.shared.queue(&mut place.head);
        }
    }

    fn admit(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        listener: u32,
        mut stream: stream::Stream,
        peer: crate::Address,
    ) {
        let slot = self.net.sockets.reserve().expect("is_full was asked before");
        // Before on_accept, so that no session is made for a socket that cannot be served.
        if let Err(error) =
            stream.register(&self.net.sockets.shared.registry, self.net.sockets.shared.token(slot))
        {
            self.net.sockets.shared.stats.refused += 1;
            log::warn!("a client was refused, its socket cannot be registered: {error}");
            self.net.sockets.vacate(slot);
            return;
        }
        let listener = self.net.sockets.slots[listener as usize].head.id();
        let id = self.net.sockets.slots[slot as usize].head.id();
        let listener = ListenerId { slot: listener.slot, generation: listener.generation };
        let session = handler.on_accept(&mut self.net, &Accepted { id, listener, peer });

        let mut connection = Connection::new(stream, stream::SHORT_READ_DRAINS);
        // A new socket takes bytes: a greeting need not wait for the event that says so.
        connection.note(Readiness { writable: true, ..Readiness::default() });
        self.net.sockets.slots[slot as usize].source =
            Source::Connection(Peer::new(connection, self.net.sockets.shared.options.idle_timeout));
        let stats = &mut self.net.sockets.shared.stats;
        stats.open += 1;
        let Some(session) = session else {
            stats.refused += 1;
            self.net.sockets.vacate(slot);
            return;
        };
        stats.accepted += 1;
        self.net.put_session(slot, session);
        self.call(slot, |conn: &mut Conn<'_, S>| handler.on_open(conn));
        self.conclude(handler, slot);
    }

    fn is_full(&self) -> bool {
        let shared = &self.net.sockets.shared;
        shared.stats.open >= shared.options.max_connections || self.net.sockets.slots.len() >= shared.capacity
    }
}
