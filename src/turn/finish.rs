//! The end of a connection.

use crate::{close::CloseKind, connection::Phase, handler::Handler, net::Closed};

use super::Pass;

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Gives the session back. The socket is closed, or lingers until the peer has ended too.
    pub(super) fn finish(&mut self, slot: u32) {
        let now = self.now;
        let Some(mut entry) = self.engine().entry(slot) else { return };
        let (id, why) = (entry.id(), entry.connection.take_reason());
        let closed = Closed { undelivered: entry.connection.has_lost(), was_open: !entry.is_opening() };
        let undelivered = closed.undelivered;
        debug_assert!(!(undelivered && why.is_clean()), "a clean end has delivered everything");
        // The peer must not mistake a truncated answer for a complete one. A peer that made the reset itself knows.
        if entry.connection.phase() == Phase::Resetting || (undelivered && why.kind() != CloseKind::Reset) {
            let _ = entry.connection.stream().reset_on_close(); // it fails only if the peer's reset came first
        }
        if entry.lingers() {
            entry.begin_lingering();
            entry.bound_close(now);
        } else {
            self.engine().vacate(slot);
        }
        let Some(session) = self.net.take_session(slot) else { return };
        self.engine().count_close(why.kind(), undelivered);
        self.net.set_closed(closed);
        self.handler.on_close(self.net, id, session, why);
        self.net.set_closed(Closed::default());
    }
}
