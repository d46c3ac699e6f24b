//! A listener's turn.

use std::{io, time::Duration};

use crate::{
    address::Address,
    handler::{Accepted, Handler},
    id::{ConnId, ListenerId},
    options::WhenFull,
    socket::{listener::Accept, stream::Stream},
};

use super::Pass;

/// How long accepting pauses. No event says that there are descriptors again.
const RETRY: Duration = Duration::from_millis(100);

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Accepts until the backlog is empty or the listener has used its budget of this turn. Returns true if the budget is
    /// used up and there may be more clients.
    #[inline(never)]
    pub(super) fn accept(&mut self, slot: u32) -> bool {
        if !self.is_ready(slot) {
            return false;
        }
        self.engine().refill_reserve();
        let budget = self.net.options().accept_budget;
        let mut failures = 0;
        for _ in 0..budget {
            // The callback of the client before may have paused or closed the listener.
            if !self.is_ready(slot) {
                return false;
            }
            let is_full = self.engine().is_full(slot);
            if is_full && self.engine().when_full(slot) == WhenFull::Wait {
                self.engine().wait_for_a_close(slot);
                return false;
            }
            match self.engine().accept(slot) {
                Accept::Stream(stream, _) if is_full => {
                    drop(stream);
                    self.engine().count_refused_full();
                }
                Accept::Stream(stream, peer) => {
                    let listener = self.engine().listener_id(slot);
                    self.admit(listener, stream, peer);
                    if self.is_over_budget() {
                        break;
                    }
                }
                Accept::WouldBlock => return false,
                Accept::Again(error) => {
                    failures += 1;
                    if failures == budget {
                        // The cause concerns every client, so going on would spin.
                        self.pause_accepting(slot, &error);
                        return false;
                    }
                }
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
        self.engine().queue_listener(slot);
        true
    }

    /// Makes a connection of a client. Returns its id unless the handler, or the system, did not want it.
    pub(crate) fn admit(
        &mut self,
        listener: ListenerId,
        mut stream: Stream,
        peer: Address,
    ) -> Option<ConnId> {
        let engine = self.engine();
        let slot = engine.reserve_slot()?;
        // Registered before on_accept, so that no session is made for a socket that cannot be served.
        if let Err(error) = stream.register(engine.registry(), engine.token(slot)) {
            engine.refuse(slot, &error);
            return None;
        }
        let id = engine.id(slot);
        engine.begin_callback(slot);
        let session = self.handler.on_accept(self.net, &Accepted { id, listener, peer });
        let engine = self.engine();
        engine.end_callback(slot);
        engine.place_accepted(slot, stream, listener);
        let Some(session) = session else {
            engine.refuse_by_handler(slot);
            return None;
        };
        engine.count_accepted();
        self.net.put_session(slot, session);
        self.call(slot, |handler, conn| handler.on_open(conn));
        self.tell_of_drain(slot);
        self.conclude(slot);
        Some(id)
    }

    fn is_ready(&mut self, slot: u32) -> bool {
        !self.is_cut_off() && self.engine().can_accept(slot)
    }

    /// Out of descriptors: gives the reserve up, accepts the clients that wait and closes them, so that they know that there
    /// is no place for them. In the backlog they would wait for ever, and no event would tell of them again.
    fn shed(&mut self, slot: u32, error: &io::Error) {
        let budget = self.net.options().accept_budget;
        let engine = self.engine();
        engine.give_up_reserve();
        let mut shed = 0;
        let mut is_over = false;
        for _ in 0..budget {
            match engine.accept(slot) {
                Accept::Stream(stream, _) => {
                    drop(stream);
                    shed += 1;
                }
                Accept::Again(_) => {}
                Accept::WouldBlock => {
                    is_over = true;
                    break;
                }
                // Another thread or process took the descriptor.
                Accept::NoDescriptor(_) | Accept::Exhausted(_) => break,
            }
        }
        let has_reserve = engine.count_shed(shed, error);
        if !has_reserve || (shed == 0 && !is_over) {
            self.pause_accepting(slot, error);
        } else if !is_over {
            engine.queue(slot);
        }
    }

    /// Accepting goes on when a source closes, or after a while.
    fn pause_accepting(&mut self, slot: u32, error: &io::Error) {
        let until = self.now + RETRY;
        self.engine().pause_accepting(slot, until, error);
    }
}
