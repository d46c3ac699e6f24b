//! A datagram socket's turn.

use crate::{
    datagram::Datagram, engine::ReceivedDatagrams, handler::Handler, net::Socket, socket::batch::Batch,
};

use super::Pass;

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Sends the queue of a datagram socket, and shows what the socket has received.
    #[inline(never)]
    pub(super) fn serve_datagrams(&mut self, slot: u32) {
        let Some(mut entry) = self.engine().datagram(slot) else { return };
        entry.begin_turn();
        self.receive_datagrams(slot);
    }

    /// Receives until the socket is empty or the budget of the turn is spent.
    pub(super) fn receive_datagrams(&mut self, slot: u32) {
        let Self { net, scratch, budget, handler, now } = self;
        let Some(mut entry) = net.engine().datagram(slot) else { return };
        let (id, max_size) = (entry.id(), entry.max_size());
        let (mut datagrams, mut bytes) = entry.receive_budget();
        let mut batch = entry.take_batch();
        let mut met_only_errors = true;
        while datagrams > 0 && bytes > 0 {
            // The callback of the datagram before may have closed the socket.
            let Some(mut entry) = net.engine().datagram(slot).filter(|entry| entry.is_ready()) else { break };
            let buffer = scratch.at_least(batch.room());
            match entry.receive(&mut batch, buffer) {
                ReceivedDatagrams::Some => {
                    met_only_errors = false;
                    for part in batch.parts() {
                        let len = part.range.len();
                        datagrams = datagrams.saturating_sub(1);
                        bytes = bytes.saturating_sub(len);
                        if len > max_size {
                            net.engine().count_truncated();
                            continue;
                        }
                        net.engine().count_datagram(len);
                        let datagram = Datagram::new(&buffer[part.range], &part.addresses);
                        handler.on_datagram(&mut Socket::at(net, id), &datagram);
                        // The kernel drops the datagrams that a closed socket holds.
                        if Batch::HAS_SEVERAL && !net.engine().has_datagram(id) {
                            break;
                        }
                    }
                    batch.adapt();
                }
                ReceivedDatagrams::Failed(error) => {
                    datagrams -= 1;
                    handler.on_datagram_error(&mut Socket::at(net, id), error);
                }
                ReceivedDatagrams::WouldBlock => {
                    met_only_errors = false;
                    break;
                }
            }
            if budget.is_spent(net.stats().bytes_moved()) {
                break;
            }
        }
        let Some(mut entry) = net.engine().datagram(slot) else { return };
        if met_only_errors && datagrams == 0 {
            entry.rest(*now);
        }
        entry.finish_turn(batch);
    }

    /// Receives the datagrams that have come before the drain began.
    pub(super) fn receive_waiting_datagrams(&mut self) {
        for slot in self.engine().sockets() {
            self.engine().try_datagrams(slot);
            self.receive_datagrams(slot);
        }
    }

    /// In a drain: a datagram socket stays open as long as there are connections, whose callbacks may need it, and until the
    /// kernel has its queue.
    pub(super) fn close_sockets_if_done(&mut self) {
        if self.net.unplaced_len() == 0 && self.engine().is_drain_under_way() {
            self.engine().close_sockets_after_connections();
        }
    }

    /// The drain is cut off. What still waits in the queues of the sockets is dropped.
    pub(super) fn close_sockets(&mut self) {
        for slot in self.engine().sockets() {
            self.engine().vacate(slot);
        }
    }
}
