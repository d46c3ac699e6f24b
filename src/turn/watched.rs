//! The turn of a source that the program watches.

use crate::handler::Handler;

use super::Pass;

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Tells the handler that a watched source is ready. If the callback panics, `begin_pass` of the next turn queues the
    /// source again.
    #[inline(never)]
    pub(super) fn serve_watched(&mut self, slot: u32) {
        let Some((id, readiness)) = self.engine().begin_on_ready(slot) else { return };
        self.handler.on_ready(self.net, id, readiness);
        self.engine().end_on_ready(slot);
    }
}
