//! The turn of a connection that this side has brought about, until it is open.

use crate::{connection::Phase, handler::Handler};

use super::Pass;

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Goes on connecting. Returns true once the connection is open.
    pub(super) fn connect(&mut self, slot: u32) -> bool {
        let now = self.now;
        let Some(mut entry) = self.engine().entry(slot) else { return false };
        if !entry.connect(now) {
            return false;
        }
        // A connection of another loop may have failed there. Its last input is still delivered.
        if entry.connection.phase() <= Phase::Failing {
            self.call(slot, |handler, conn| handler.on_open(conn));
        }
        // Connections that existed when the drain began have had their `on_drain` already.
        if self.engine().came_after_drain(slot) {
            self.tell_of_drain(slot);
        }
        true
    }
}
