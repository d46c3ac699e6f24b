//! A listener's turn.

use std::{io, time::Duration};

use crate::{
    address::Address,
    conn::{Conn, ConnId},
    handler::{Accepted, Handler},
    options::WhenFull,
    platform,
    shared::Alarm,
    source::{
        Link, Source,
        connection::{Connection, Readiness},
        listener::{Accept, Listener, ListenerId},
    },
    stream::Stream,
};

use super::Reactor;

/// Under edge triggering no event says that there are descriptors again.
const RETRY: Duration = Duration::from_millis(100);

impl<S> Reactor<S> {
    /// Accepts until the backlog is empty or the listener, if there is one in this slot, has had its share of this turn.
    /// `true`: it has had it, and there may be more.
    #[inline(never)]
    pub(super) fn accept(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) -> bool {
        if self.ready_listener(slot).is_none() {
            return false;
        }
        self.net.sockets.shared.keep_reserve();
        for _ in 0..self.net.sockets.shared.options.accept_budget {
            let is_full = self.is_full(slot);
            // `None`: closed by the callback for the client before.
            let Some(listener) = self.ready_listener(slot) else { return false };
            let when_full = listener.options.when_full;
            if is_full && when_full == WhenFull::Wait {
                self.wait_for_an_end(slot);
                return false;
            }
            let inherits = listener.inherits;
            match listener.accept() {
                Accept::Stream(stream, _) if is_full => {
                    drop(stream);
                    self.net.sockets.shared.stats.refused_full += 1;
                }
                Accept::Stream(stream, peer) => {
                    if !inherits {
                        stream.configure(&self.net.sockets.shared.options);
                    }
                    let ConnId { slot, generation } = self.net.sockets.slot(slot).head.id();
                    self.admit(handler, ListenerId { slot, generation }, stream, peer);
                    if self.allowance.is_spent(self.bytes_moved()) {
                        break;
                    }
                }
                Accept::WouldBlock => return false,
                Accept::Again => {}
                Accept::NoDescriptor(error) => {
                    self.shed(slot, &error);
                    return false;
                }
                Accept::Exhausted(error) => {
                    self.pause_accepting(slot, &error);
                    return false;
                }
            }
        }
        let place = &mut self.net.sockets.slots[slot as usize];
        if let Source::Listener(_) = place.source {
            self.net.sockets.shared.queue(&mut place.head);
        }
        true
    }

    /// Makes a connection of a client. Returns its id unless the handler, or the system, did not want it.
    pub(crate) fn admit(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        listener: ListenerId,
        mut stream: Stream,
        peer: Address,
    ) -> Option<ConnId> {
        let slot = self.net.sockets.reserve()?;
        let shared = &mut self.net.sockets.shared;
        // Before on_accept, so that no session is made for a socket that cannot be served.
        if let Err(error) = stream.register(&shared.registry, shared.token(slot)) {
            shared.stats.refused_error += 1;
            shared
                .warn_rarely(format_args!("a client was refused, its socket cannot be registered: {error}"));
            self.net.sockets.vacate(slot);
            return None;
        }
        let id = self.net.sockets.slot(slot).head.id();
        let session = handler.on_accept(&mut self.net, &Accepted { id, listener, peer });

        let shared = &mut self.net.sockets.shared;
        let mut connection = Connection::new(stream, platform::SHORT_READ_DRAINS);
        // A new socket takes bytes: a greeting need not wait for the event that says so.
        connection.note(Readiness { writable: true, ..Readiness::default() });
        shared.stats.open += 1;
        let idle_timeout = shared.options.idle_timeout;
        let place = &mut self.net.sockets.slots[slot as usize];
        let mut link = Link::new(connection);
        if idle_timeout.is_some() {
            link.idle.set(&mut place.head, idle_timeout);
        }
        place.source = Source::Connection(link);
        // The callback may have closed the listener.
        if self.net.sockets.is_listener(listener) {
            self.net.sockets.slots[slot as usize].head.listener = listener.slot;
            self.net.sockets.count_for_listener(slot, 1);
        }
        let Some(session) = session else {
            self.net.sockets.shared.stats.refused_handler += 1;
            self.net.sockets.vacate(slot);
            return None;
        };
        self.net.sockets.shared.stats.accepted += 1;
        self.net.put_session(slot, session);
        self.call(slot, |conn: &mut Conn<'_, S>| handler.on_open(conn));
        self.conclude(handler, slot);
        Some(id)
    }

    fn ready_listener(&mut self, slot: u32) -> Option<&mut Listener> {
        let listener = self.net.sockets.slots[slot as usize].listener_mut()?;
        (listener.readable && !listener.paused).then_some(listener)
    }

    fn is_full(&mut self, slot: u32) -> bool {
        let sockets = &mut self.net.sockets;
        let (slots, shared) = (sockets.slots.len(), &sockets.shared);
        let listener = sockets.slots[slot as usize].listener_mut();
        listener.is_some_and(|listener| listener.open >= listener.options.max_connections)
            || shared.stats.open >= shared.options.max_connections
            || slots >= shared.capacity
    }

    /// Out of descriptors: the reserve is given up so that those who wait can be told, by a close, that there is no
    /// place for them. Left in the backlog they would wait for nothing, and no event would ever speak of them again.
    fn shed(&mut self, slot: u32, error: &io::Error) {
        let sockets = &mut self.net.sockets;
        drop(sockets.shared.reserve.take());
        let mut shed = 0;
        let mut is_over = false;
        for _ in 0..sockets.shared.options.accept_budget {
            let Some(listener) = sockets.slots[slot as usize].listener_mut() else { break };
            match listener.accept() {
                Accept::Stream(stream, _) => {
                    drop(stream);
                    shed += 1;
                }
                Accept::Again => {}
                Accept::WouldBlock => {
                    is_over = true;
                    break;
                }
                // Someone else took the descriptor.
                Accept::NoDescriptor(_) | Accept::Exhausted(_) => break,
            }
        }
        let shared = &mut sockets.shared;
        shared.stats.refused_descriptors += shed;
        shared.keep_reserve();
        if shed > 0 {
            shared.warn_rarely(format_args!("{shed} clients were turned away: {error}"));
        }
        if shared.reserve.is_none() || (shed == 0 && !is_over) {
            self.pause_accepting(slot, error);
        } else if !is_over {
            sockets.queue(slot);
        }
    }

    /// Accepting goes on when a source closes, or after a while.
    fn pause_accepting(&mut self, slot: u32, error: &io::Error) {
        let shared = &mut self.net.sockets.shared;
        shared.stats.accept_errors += 1;
        shared.warn_rarely(format_args!("accepting pauses for {} ms: {error}", RETRY.as_millis()));
        let at = shared.turn_time() + RETRY;
        self.wait_for_an_end(slot);
        let Some(listener) = self.net.sockets.slots[slot as usize].listener_mut() else { return };
        if listener.retry.is_none() {
            listener.retry = Some(self.net.sockets.shared.timers.insert(at, Alarm::Accept(slot)));
        }
    }

    fn wait_for_an_end(&mut self, slot: u32) {
        let waiting = &mut self.net.sockets.shared.listeners_waiting;
        if !waiting.contains(&slot) {
            waiting.push(slot);
        }
    }
}
