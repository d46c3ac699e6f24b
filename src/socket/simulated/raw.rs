//! Peers without a reactor, and questions of the simulation about the ends of streams.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    end::{End, Moved, Stage},
    network::{Delivery, Network},
    polling::SimulatedEvent,
};

/// Facts about an end of a stream that the program at this end does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) peer_key: Option<u32>,
    /// The bytes that the program at this end has read, and the bytes that the program at the other end has written.
    pub(crate) read: u64,
    pub(crate) peer_written: u64,
    pub(crate) fin_arrived: bool,
    pub(crate) was_reset: bool,
    /// The program at the other end has the stream, has not closed it, and so is expected to read.
    pub(crate) peer_reads: bool,
    pub(crate) peer_closed: bool,
    pub(crate) shutdown_failed: bool,
    /// A write has returned zero.
    pub(crate) wrote_nothing: bool,
}

/// See [`Network::stalled`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalled {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) error: bool,
    /// The end of the peer, where the system has reported it. A portable selector reports nothing more of a source that was read
    /// last behind its end.
    pub(crate) end: bool,
}

impl Network {
    pub(crate) fn view(&self, end: usize) -> View {
        let this = &self.ends[end];
        let peer = &self.ends[this.peer];
        View {
            peer_key: peer.key,
            read: this.read,
            peer_written: peer.written,
            fin_arrived: this.fin_arrived,
            was_reset: this.was_reset,
            peer_reads: !peer.closed && peer.key.is_some(),
            peer_closed: peer.closed,
            shutdown_failed: this.shutdown_failed,
            wrote_nothing: this.wrote_nothing,
        }
    }

    /// The end that is, or was until an error was reported, registered under this token.
    pub(crate) fn end_of(&self, token: usize) -> Option<usize> {
        self.ends.iter().rposition(|end| end.token == Some(token))
    }

    /// The newest end that sends the bytes of the session with this key.
    pub(crate) fn end_of_key(&self, key: u32) -> Option<usize> {
        self.ends.iter().rposition(|end| end.key == Some(key))
    }

    /// The number of ends that no program has closed, once all listeners are closed.
    pub(crate) fn open_ends(&self) -> usize {
        self.ends.iter().filter(|end| end.stage == Stage::Open && !end.closed).count()
    }

    /// A turn or a flush begins.
    pub(crate) fn begin_budgets(&mut self) {
        self.turn_time = self.now;
        self.budgets += 1;
    }

    /// The time at which the present turn, or the last one, has begun.
    pub(crate) fn turn_time(&self) -> Instant {
        self.turn_time
    }

    pub(crate) fn begin_budgets_of(&mut self, end: Option<usize>) {
        if let Some(end) = end {
            self.ends[end].moved = Moved { budgets: self.budgets, ..Moved::default() };
        }
    }

    /// How many bytes the program has written and read since the budgets began.
    pub(crate) fn moved_in_turn(&mut self, end: usize) -> &mut Moved {
        if self.ends[end].moved.budgets != self.budgets {
            self.begin_budgets_of(Some(end));
        }
        &mut self.ends[end].moved
    }

    /// The readiness of an end that the program could use now and that no further event will report.
    pub(crate) fn stalled(&mut self, end: usize, token: usize) -> Stalled {
        // epoll reports an edge, and the other selectors report what is ready and armed.
        let event = if self.conduct.portable { self.event_of(token) } else { SimulatedEvent::default() };
        let (unread, has_room) = (self.unread(end), self.has_much_room(end));
        let is_pending = !self.conduct.portable && self.edges.contains(&token);
        let this = &self.ends[end];
        let has_input = unread > 0 || this.fin_arrived || this.was_reset;
        Stalled {
            reads: has_input && !is_pending && !event.readable,
            writes: has_room && !this.fin_sent && !this.was_reset && !is_pending && !event.writable,
            // mio's selector on poll(2) has dropped a source that has hung up, and tells nothing more of it.
            error: self.registered.contains_key(&token)
                && this.error.is_some()
                && !is_pending
                && !event.error,
            end: !self.conduct.portable && !is_pending && (this.fin_arrived || this.was_reset),
        }
    }

    pub(crate) fn last_moved(&self, end: usize) -> Instant {
        self.ends[end].last_moved
    }

    /// For how long the program has moved no byte at this end.
    pub(crate) fn silent_for(&self, end: usize) -> Duration {
        self.now - self.ends[end].last_moved
    }

    /// `None` as long as the end is open. For how long the program had moved no byte when it closed the end although the peer
    /// had not ended.
    pub(crate) fn closed_while_lingering(&self, end: usize) -> Option<Duration> {
        let this = &self.ends[end];
        let silent = this.closed_at? - this.last_moved;
        let has_cause = this.eof_read || this.was_reset || this.fin_arrived || this.shutdown_failed;
        Some(if has_cause { Duration::MAX } else { silent })
    }

    pub(crate) fn unread_of(&self, end: usize) -> u64 {
        self.unread(end)
    }

    /// An end whose directions have both ended lately, and that no program has closed, with its token.
    pub(crate) fn unclosed_end(&mut self, tokens: Range<usize>) -> Option<(usize, usize)> {
        let Self { ended, ends, .. } = self;
        ended.retain(|end| ends[*end].token.is_some() && !ends[*end].closed);
        ended.iter().find_map(|index| {
            let end = &ends[*index];
            let is_over = end.eof_read && !end.was_reset && end.fin_sent;
            let token = end.token.filter(|token| is_over && tokens.contains(token))?;
            Some((*index, token))
        })
    }

    pub(crate) fn has_registrations(&self, tokens: Range<usize>) -> bool {
        self.registered.range(tokens).next().is_some()
    }
}

/// The calls of a peer without a reactor. None of them fails by a fault.
impl Network {
    pub(crate) fn raw_connect(&mut self, to: SocketAddr) -> Option<usize> {
        let conduct = std::mem::take(&mut self.conduct);
        self.conduct.latency = conduct.latency;
        self.conduct.capacity = conduct.capacity;
        self.conduct.portable = conduct.portable;
        let exhausted = std::mem::take(&mut self.exhausted);
        let end = self.connect(to, None);
        (self.conduct, self.exhausted) = (conduct, exhausted);
        let end = end.ok()?; // Unix sockets are refused at once
        let key = self.new_key();
        self.ends[end].key = Some(key);
        Some(end)
    }

    /// Makes a connected stream. The first end is for a program, and belongs to no session yet; the second end is of a peer.
    pub(crate) fn raw_pair(&mut self) -> usize {
        let (end, now) = (self.ends.len(), self.now);
        for peer in [end + 1, end] {
            let own = SocketAddr::from((Ipv4Addr::from(0x0A02_0000 + peer as u32), 1024));
            let capacity = 1 + self.random.below(self.conduct.capacity);
            self.ends.push(End { stage: Stage::Open, ..End::new(peer, own, capacity, now) });
        }
        let key = self.new_key();
        self.ends[end + 1].key = Some(key);
        self.pairs.push(end + 1);
        end
    }

    /// The ends of peers that `raw_pair` has made since the last call.
    pub(crate) fn take_pairs(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.pairs)
    }

    pub(crate) fn raw_listen(&mut self, at: SocketAddr) -> usize {
        let exhausted = std::mem::take(&mut self.exhausted);
        let listener = self.listen(&[at], 4).expect("the address of a peer is free");
        self.exhausted = exhausted;
        listener
    }

    pub(crate) fn raw_accept(&mut self, listener: usize) -> Option<usize> {
        let end = self.listeners[listener].backlog.pop_front()?;
        let key = self.new_key();
        self.ends[end].key = Some(key);
        Some(end)
    }

    /// Writes at most `n` bytes. Returns how many bytes the system has taken.
    pub(crate) fn raw_write(&mut self, end: usize, n: u64) -> u64 {
        let this = &self.ends[end];
        let is_cut = this.is_unix && self.ends[this.peer].closed;
        if this.closed || this.fin_sent || this.was_reset || this.stage != Stage::Open || is_cut {
            return 0;
        }
        let n = n.min(self.room(end));
        if let Some(key) = self.ends[end].key {
            self.hand(key, n);
        }
        self.transmit(end, n);
        n
    }

    /// Reads at most `n` bytes. Returns how many bytes there were.
    pub(crate) fn raw_read(&mut self, end: usize, n: u64) -> u64 {
        let n = if self.ends[end].closed { 0 } else { n.min(self.unread(end)) };
        if n > 0 {
            self.take_read(end, n);
        }
        n
    }

    pub(crate) fn raw_shutdown(&mut self, end: usize) {
        let this = &self.ends[end];
        if !this.closed && !this.was_reset && this.stage == Stage::Open {
            self.send_fin(end);
        }
    }

    pub(crate) fn raw_close(&mut self, end: usize, reset: bool) {
        self.ends[end].resets_on_close |= reset;
        self.close_end(end);
    }

    /// Sends an urgent mark. A read of the peer stops in front of the mark.
    pub(crate) fn raw_mark(&mut self, end: usize) {
        let this = &self.ends[end];
        let (peer, position) = (this.peer, this.written);
        if this.stage == Stage::Open
            && !this.is_unix
            && !this.closed
            && !this.fin_sent
            && !self.ends[peer].closed
        {
            self.ends[peer].mark = Some(position);
            self.edge(peer);
        }
    }

    /// Resets a stream from the midst of the network, as a firewall does.
    pub(crate) fn raw_cut(&mut self, end: usize) {
        let this = &self.ends[end];
        if this.stage == Stage::Open && !this.is_unix {
            let peer = this.peer;
            for to in [end, peer] {
                let at = self.now + self.latency();
                self.send_on_the_way(at, Delivery::Reset { to });
            }
        }
    }
}
