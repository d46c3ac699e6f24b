//! Streams: what the calls of a program do, and what arrives.

use std::{
    io::{self, ErrorKind, IoSlice},
    net::SocketAddr,
    time::Duration,
};

use super::{
    end::{Armed, Stage},
    network::{Delivery, Network},
};

/// ENOMEM, by its kind. [`crate::socket::platform`] treats ENOBUFS alike.
pub(super) fn out_of_buffers() -> io::Error {
    io::Error::from(ErrorKind::OutOfMemory)
}

/// The calls of a program.
impl Network {
    pub(super) fn read(&mut self, end: usize, buffer: &mut [u8]) -> io::Result<usize> {
        if self.begin_call() {
            return Err(ErrorKind::Interrupted.into());
        }
        let result = self.read_now(end, buffer);
        let asked = buffer.len();
        self.note(format_args!("end {end}: read({asked}) = {result:?}"));
        result
    }

    fn read_now(&mut self, end: usize, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            self.violate(format_args!("a read into an empty buffer"));
            return Ok(0);
        }
        let unread = self.unread(end);
        if unread == 0 {
            return self.nothing_to_read(end);
        }
        let mut n = unread.min(buffer.len() as u64);
        let this = &self.ends[end];
        if let Some(mark) = this.mark.filter(|mark| *mark > this.read) {
            n = n.min(mark - this.read); // a read ends in front of the mark
        }
        // With the rules of Linux, a read that is cut would be a false promise that the socket is empty.
        if self.conduct.portable && self.random.chance(self.conduct.cuts) {
            n = 1 + self.random.below(n as usize) as u64;
        }
        let (position, peer) = (this.read, this.peer);
        let Some(key) = self.ends[peer].key else {
            self.violate(format_args!("end {end} received bytes of a peer without a session"));
            return Ok(0);
        };
        self.content(key).fill(position, &mut buffer[..n as usize]);
        self.take_read(end, n);
        Ok(n as usize)
    }

    /// The program has read, or thrown away, `n` bytes.
    pub(super) fn take_read(&mut self, end: usize, n: u64) {
        self.ends[end].read += n;
        self.moved_in_turn(end).read += n;
        self.ends[end].last_moved = self.turn_time;
        self.bytes_read += n;
        let this = &mut self.ends[end];
        this.mark = this.mark.filter(|mark| *mark >= this.read);
        let peer = this.peer;
        if self.ends[peer].awaits_room && self.has_much_room(peer) {
            self.ends[peer].awaits_room = false;
            self.edge(peer);
        }
    }

    fn nothing_to_read(&mut self, end: usize) -> io::Result<usize> {
        let this = &mut self.ends[end];
        if let Some(error) = this.error.take() {
            return Err(error.into());
        }
        if this.was_reset || this.fin_arrived {
            if this.eof_read {
                self.violate(format_args!("end {end} is read after its end of file"));
            }
            let this = &mut self.ends[end];
            this.eof_read = !this.was_reset;
            self.ended.push(end);
            return Ok(0);
        }
        self.would_block(end)
    }

    fn would_block(&mut self, end: usize) -> io::Result<usize> {
        self.ends[end].armed = Armed::BOTH;
        Err(ErrorKind::WouldBlock.into())
    }

    pub(super) fn write(&mut self, end: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.begin_call() {
            return Err(ErrorKind::Interrupted.into());
        }
        let asked: usize = slices.iter().map(|slice| slice.len()).sum();
        let result = self.write_now(end, slices, asked as u64);
        self.note(format_args!("end {end}: write({asked}) = {result:?}"));
        result
    }

    fn write_now(&mut self, end: usize, slices: &[IoSlice<'_>], asked: u64) -> io::Result<usize> {
        if asked == 0 {
            self.violate(format_args!("a write of no bytes"));
        }
        let n = self.may_write(end, asked)?;
        let Some(key) = self.ends[end].key else {
            self.violate(format_args!("end {end} sent bytes before there was a session"));
            return Ok(n as usize);
        };
        // More than what is taken: the order of the rest would else show only later. Not all, because a large queue may leave in
        // small parts.
        let (mut position, mut left) = (self.ends[end].written, n as usize + 64);
        for slice in slices {
            let slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            let matching = self.content(key).matching(position, slice);
            if matching < slice.len() {
                let wrong = position + matching as u64;
                self.violate(format_args!("end {end} was handed a wrong byte at the position {wrong}"));
            }
            position += slice.len() as u64;
        }
        self.transmit(end, n);
        Ok(n as usize)
    }

    /// How many of the bytes the system takes now.
    pub(super) fn may_write(&mut self, end: usize, asked: u64) -> io::Result<u64> {
        let room = self.room(end);
        let this = &mut self.ends[end];
        if let Some(error) = this.error.take() {
            return Err(error.into());
        }
        let (peer, is_unix) = (this.peer, this.is_unix);
        if this.was_reset || this.fin_sent || (is_unix && self.ends[peer].closed) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let this = &mut self.ends[end];
        if this.stage != Stage::Open || room == 0 {
            this.awaits_room = true;
            return self.would_block(end).map(|n| n as u64);
        }
        if self.random.chance(self.conduct.out_of_buffers) {
            return Err(out_of_buffers());
        }
        if self.random.chance(self.conduct.zero_writes) {
            self.ends[end].wrote_nothing = true;
            return Ok(0);
        }
        if asked > room {
            self.ends[end].awaits_room = true;
        }
        let n = asked.min(room);
        if self.random.chance(self.conduct.cuts) {
            return Ok(1 + self.random.below(n as usize) as u64);
        }
        Ok(n)
    }

    /// The system has taken `n` bytes.
    pub(super) fn transmit(&mut self, end: usize, n: u64) {
        if n == 0 {
            return;
        }
        self.ends[end].written += n;
        self.moved_in_turn(end).written += n;
        self.ends[end].last_moved = self.turn_time;
        if let Some(key) = self.ends[end].key {
            self.senders[key as usize].written += n;
        }
        self.send_in_order(end, Delivery::Bytes { from: end, len: n });
    }

    pub(super) fn shutdown_write(&mut self, end: usize) -> io::Result<()> {
        self.calls += 1;
        self.note(format_args!("end {end}: shutdown_write"));
        if self.ends[end].was_reset || self.random.chance(self.conduct.shutdown_fails) {
            self.ends[end].shutdown_failed = true;
            return Err(ErrorKind::NotConnected.into());
        }
        if self.ends[end].fin_sent {
            self.violate(format_args!("end {end} is shut down twice"));
        }
        self.check_truncation(end, "a shutdown_write");
        self.send_fin(end);
        Ok(())
    }

    pub(super) fn send_fin(&mut self, end: usize) {
        if !std::mem::replace(&mut self.ends[end].fin_sent, true) {
            self.ended.push(end);
            self.send_in_order(end, Delivery::Fin { from: end });
        }
    }

    /// The peer reads an end of file behind what was written so far: that must be everything that the handler has sent.
    fn check_truncation(&mut self, end: usize, how: &str) {
        let Some(key) = self.ends[end].key else { return };
        let (handed, written) = (self.handed(key), self.written(key));
        if written < handed {
            self.violate(format_args!(
                "{how} ends a stream cleanly after {written} of {handed} bytes (end {end})"
            ));
        }
    }

    pub(super) fn reset_on_close(&mut self, end: usize) -> io::Result<()> {
        self.ends[end].resets_on_close = true;
        Ok(())
    }

    pub(super) fn take_error(&mut self, end: usize) -> Option<io::Error> {
        self.calls += 1;
        self.ends[end].error.take().map(io::Error::from)
    }

    pub(super) fn addresses(&self, end: usize) -> io::Result<(SocketAddr, SocketAddr)> {
        let this = &self.ends[end];
        match this.stage {
            Stage::Open => Ok((this.local, self.ends[this.peer].local)),
            Stage::Connecting | Stage::Failed => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// `close()`. Unread input makes the close a reset, tcp(7).
    pub(super) fn close_end(&mut self, end: usize) {
        if std::mem::replace(&mut self.ends[end].closed, true) {
            return;
        }
        self.calls += 1;
        self.ends[end].closed_at = Some(self.turn_time);
        self.gives_descriptor();
        let has_unread = self.unread(end) > 0;
        let this = &self.ends[end];
        // Unread input is a reset for Unix sockets too, and SO_LINGER is not.
        let (peer, resets) = (this.peer, (this.resets_on_close && !this.is_unix) || has_unread);
        self.note(format_args!("end {end}: close, {}", if resets { "reset" } else { "end of file" }));
        if let Some(token) = self.ends[end].token {
            // A client whose `on_accept` panics is closed without a deregistration. The system and mio end the registration then.
            if !std::thread::panicking() {
                self.violate(format_args!("end {end} was closed while it was registered as {token}"));
            }
            let _ = self.deregister_end(end);
        }
        let this = &self.ends[end];
        if this.was_reset || this.stage != Stage::Open {
            return;
        }
        if resets {
            // Bytes that are on their way may be lost or not.
            let at = self.now + self.latency();
            let at = if self.random.chance(500) && !self.ends[end].is_unix {
                at
            } else {
                at.max(self.ends[end].last_arrival)
            };
            self.send_on_the_way(at, Delivery::Reset { to: peer });
        } else if !this.fin_sent {
            // A peer that has gone cannot mistake anything.
            if !(this.is_unix && (this.resets_on_close || self.ends[peer].closed)) {
                self.check_truncation(end, "a close");
            }
            self.send_fin(end);
        }
    }
}

/// The state of a direction.
impl Network {
    /// How many bytes wait for the program at this end.
    pub(super) fn unread(&self, end: usize) -> u64 {
        let this = &self.ends[end];
        self.ends[this.peer].arrived - this.read
    }

    /// How many bytes the program may write.
    pub(super) fn room(&self, end: usize) -> u64 {
        let this = &self.ends[end];
        this.capacity - (this.written - self.ends[this.peer].read).min(this.capacity)
    }

    /// True if the system would report this end as writable: a third of the buffer is free.
    pub(super) fn has_much_room(&self, end: usize) -> bool {
        self.room(end) >= (self.ends[end].capacity / 3).max(1)
    }

    pub(super) fn send_in_order(&mut self, end: usize, delivery: Delivery) {
        let latency = if self.ends[end].is_unix { Duration::ZERO } else { self.latency() };
        let at = (self.now + latency).max(self.ends[end].last_arrival);
        self.ends[end].last_arrival = at;
        self.send_on_the_way(at, delivery);
    }
}

/// The things that can arrive.
impl Network {
    pub(super) fn bytes_arrive(&mut self, from: usize, len: u64) {
        let to = self.ends[from].peer;
        if self.ends[to].was_reset {
            return;
        }
        if self.ends[to].closed {
            // Nobody reads these bytes: the system answers with a reset, RFC 9293, 3.10.7.1.
            let at = self.now + self.latency();
            return self.send_on_the_way(at, Delivery::Reset { to: from });
        }
        self.ends[from].arrived += len;
        self.edge(to);
    }

    pub(super) fn fin_arrives(&mut self, from: usize) {
        let to = self.ends[from].peer;
        if !self.ends[to].was_reset && !self.ends[to].closed {
            self.ends[to].fin_arrived = true;
            self.edge(to);
        }
    }

    pub(super) fn reset_arrives(&mut self, to: usize) {
        let this = &mut self.ends[to];
        if this.closed || this.was_reset {
            return;
        }
        // Behind an end of file, the error is EPIPE, tcp_reset() of Linux.
        let error = if this.fin_arrived { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset };
        (this.was_reset, this.error) = (true, Some(error));
        if self.random.chance(self.conduct.reset_destroys) {
            let (read, peer) = (self.ends[to].read, self.ends[to].peer);
            self.ends[peer].arrived = read;
        }
        self.edge(to);
    }
}
