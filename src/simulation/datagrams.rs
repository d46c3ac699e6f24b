//! Datagrams: each of them is numbered, so that a check knows it again.

use std::net::SocketAddr;

use crate::{Datagram, DatagramOptions, Net, Sent, Socket};

use super::{
    actor::{Actor, note, require, violate},
    reactor_model::KnownSocket,
    session::Sessions,
    transit::Message,
    workload::Action,
};

/// The address of a datagram socket. Nothing is bound to the last one.
fn address(which: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 4, 1], 100 + which as u16))
}

const ADDRESSES: usize = 5;

fn content(number: usize, len: usize) -> Vec<u8> {
    let number = number as u32;
    let mut bytes: Vec<u8> = (0..len).map(|index| (index as u32 ^ number) as u8).collect();
    if let Some(place) = bytes.first_chunk_mut() {
        *place = number.to_le_bytes();
    }
    bytes
}

impl Actor {
    pub(super) fn bind(&mut self, net: &mut Net<Sessions>) {
        let random = &mut self.random;
        let options = DatagramOptions::default()
            .max_size(random.pick(&[10, 1000, 65_535]))
            .queue(random.pick(&[0, 1, 10]))
            .queue_bytes(random.pick(&[100, 1 << 20]))
            .receive_budget(random.pick(&[1, 3, 256]))
            .send_budget(random.pick(&[1, 100]));
        let at = address(random.below(ADDRESSES - 1));
        if let Ok(id) = net.bind(at, options.clone()) {
            note!("    the datagram socket {id} is bound to {at}");
            self.model().sockets.push(KnownSocket { id, at, options, shown_in: 0, shown: 0 });
        }
    }

    pub(super) fn use_socket(&mut self, action: Action, net: &mut Net<Sessions>) {
        let count = self.model().sockets.len();
        if count == 0 {
            return self.bind(net);
        }
        let index = self.random.below(count);
        let (id, from) = (self.model().sockets[index].id, self.model().sockets[index].at);
        let to = address(self.random.below(ADDRESSES));
        match action {
            Action::CloseSocket => {
                net.close_socket(id);
                require!(net.socket(id).is_none(), "the socket {id} is there after its close");
            }
            Action::ConnectSocket => {
                if let Some(mut socket) = net.socket(id) {
                    let _ = socket.connect(to);
                }
            }
            _ => {
                let len = self.random.size(70_000);
                let Some(mut socket) = net.socket(id) else { return };
                let to = socket.peer().filter(|_| self.random.chance(500)).unwrap_or(to);
                let bytes = self.message(from, to, len);
                let sent = if socket.peer() == Some(to) && self.random.chance(500) {
                    socket.send(&bytes)
                } else {
                    socket.send_to(&bytes, to)
                };
                self.check_sent(index, &sent, len);
            }
        }
    }

    fn message(&mut self, from: SocketAddr, to: SocketAddr, len: usize) -> Vec<u8> {
        self.model().datagrams_offered += 1;
        self.messages.push(Message { from, to, len, was_received: false });
        content(self.messages.len() - 1, len)
    }

    fn check_sent(&mut self, index: usize, sent: &Sent, len: usize) {
        note!("    {len} bytes: {sent:?}");
        let options = &self.model().sockets[index].options;
        let may_be_full = options.queue == 0 || len > options.queue_bytes;
        match sent {
            Sent::Full => require!(may_be_full, "a datagram is refused, although the queue takes it"),
            Sent::TooLarge => require!(len > 60_000, "a datagram of {len} bytes is too large"),
            Sent::Queued | Sent::DroppedOldest => {
                require!(!may_be_full, "a datagram is queued, although the queue does not take it")
            }
            _ => {}
        }
    }

    pub(super) fn check_datagram(&mut self, socket: &mut Socket<'_, Sessions>, datagram: &Datagram<'_>) {
        let id = socket.id();
        let turn = self.model().turns;
        let Some(known) = self.model().sockets.iter_mut().find(|known| known.id == id) else {
            return violate!("a datagram for the unknown socket {id}");
        };
        (known.shown, known.shown_in) = (if known.shown_in == turn { known.shown + 1 } else { 1 }, turn);
        let (at, most, budget) = (known.at, known.options.max_size, known.options.receive_budget);
        let shown = known.shown;
        self.model().datagrams_shown += 1;
        // The beginning of a drain receives once more.
        require!(shown <= 2 * budget, "{shown} datagrams in a turn are more than {budget}");
        let bytes = datagram.bytes();
        require!(bytes.len() <= most, "a datagram of {} bytes is longer than {most}", bytes.len());
        let Some(number) = bytes.first_chunk().map(|number| u32::from_le_bytes(*number) as usize) else {
            return;
        };
        let Some(message) = self.messages.get_mut(number) else {
            return violate!("a datagram that nobody has sent: {number}");
        };
        let is_right =
            (message.from, message.to) == (datagram.from(), at) && bytes == content(number, message.len);
        require!(is_right, "the datagram {number} has arrived elsewhere or with other bytes");
        require!(
            !std::mem::replace(&mut message.was_received, true),
            "the datagram {number} was shown twice"
        );
    }

    pub(super) fn answer_datagram(&mut self, socket: &mut Socket<'_, Sessions>, datagram: &Datagram<'_>) {
        if self.finishes || !self.random.chance(300) {
            return;
        }
        let id = socket.id();
        let Some(index) = self.model().sockets.iter().position(|known| known.id == id) else { return };
        let (len, from) = (self.random.size(2000), self.model().sockets[index].at);
        let bytes = self.message(from, datagram.from(), len);
        let sent = socket.reply(datagram, &bytes);
        self.check_sent(index, &sent, len);
    }

    /// Each datagram that was to be sent was sent, was dropped and counted, or waits.
    pub(super) fn check_datagrams(&self, which: usize, net: &mut Net<Sessions>) {
        let model = &self.models[which];
        let mut all_queued = 0;
        for known in &model.sockets {
            let queued = net.socket(known.id).map_or(0, |socket| socket.queued());
            require!(queued <= known.options.queue, "the socket {} queues {queued} datagrams", known.id);
            all_queued += queued as u64;
        }
        let stats = net.stats();
        let known = stats.datagrams_sent + stats.datagrams_dropped + all_queued;
        let offered = model.datagrams_offered;
        require!(known == offered, "{offered} datagrams were to be sent, and {known} are known");
        let (shown, counted) = (model.datagrams_shown, stats.datagrams_received);
        require!(shown == counted, "{counted} datagrams were counted and {shown} shown");
    }
}
