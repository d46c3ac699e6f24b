//! The decision which received bytes the handler is shown, and which bytes wait for a resume, for room, or for more bytes.

use std::io::Read;

use crate::{
    buffer::Inbox,
    options::{MESSAGE_OVERHEAD, Options},
    socket::file::SendFile,
};

use super::{Connection, Flags, Phase};

/// How much a `recv` asks for while the handler takes its input in small parts, for instance with a pause after each request.
/// The rest of a large `recv` would have to be kept in large storage, which comes and goes with each `recv`.
const LITTLE: usize = 16 << 10;

/// A `recv` for a large message asks at least for this part of the read buffer. A handler that learns the length of a message
/// in small steps would otherwise cause a `recv` for each step.
const LEAST_PART: usize = 64;

impl<T: Read + SendFile> Connection<T> {
    /// How much the next `recv` may ask for, so that the inbox cannot pass its limit.
    ///
    /// If the handler waits for a large message, the `recv` ends with the beginning of the next message. So only that beginning
    /// is left over and has to be copied, and the handler can tell from it how many bytes it needs next.
    pub(crate) fn receive_limit(&self, limits: &Options) -> usize {
        let room = limits.inbox_limit().saturating_sub(self.inbox.len()).min(limits.read_buffer);
        let need = self.need as usize;
        let missing = if self.needs_more(0) { need - self.inbox.len() + MESSAGE_OVERHEAD } else { 0 };
        if self.has(Flags::READS_LITTLE) {
            room.min(missing.max(LITTLE))
        } else if missing > 0 && need > limits.read_buffer / 2 {
            room.min(missing.max(limits.read_buffer / LEAST_PART))
        } else {
            room
        }
    }

    /// The handler has taken what it can of the input that a `recv` brought, and nothing was kept back.
    pub(crate) fn read_much_again(&mut self) {
        self.flags.clear(Flags::READS_LITTLE);
    }

    /// True if the `n` bytes that a `recv` has brought can be shown alone: nothing stands before them, and they are enough.
    pub(crate) fn takes_whole(&self, n: usize) -> bool {
        self.inbox.is_empty() && !self.needs_more(n) && !self.has(Flags::READS_LITTLE)
    }

    /// Reading goes on. The inbox is shown again without a new byte, unless the handler needs more bytes than it holds, or
    /// `on_eof` has come, after which it is not shown.
    pub(crate) fn resume(&mut self) {
        self.flags.clear(Flags::PAUSED);
        if !self.has_told_of_eof() && !self.inbox.is_empty() && !self.needs_more(0) {
            self.flags.set(Flags::HELD);
        }
    }

    /// The handler is shown nothing before `n` bytes are there, until it is shown input the next time. `n` is within the
    /// limit of the inbox.
    #[inline]
    pub(crate) fn need(&mut self, n: usize) {
        let needed_more = self.needs_more(0);
        self.need = n as u32; // the limit of an inbox fits
        self.flags.put(Flags::NEEDS, n > 1); // input is never shown without a byte
        if !self.inbox.is_empty() {
            self.hold_if_enough(needed_more);
        }
    }

    /// The handler has changed its need while the inbox is not shown. Bytes that are enough now, and were not before, were
    /// never shown.
    #[cold]
    fn hold_if_enough(&mut self, needed_more: bool) {
        if self.needs_more(0) {
            self.flags.clear(Flags::HELD);
        } else if needed_more && !self.has_told_of_eof() {
            self.flags.set(Flags::HELD);
        }
    }

    /// True if `on_eof` has come, or comes in this turn. If the sending direction has failed before the end of the input was read,
    /// `on_eof` never comes, and the last bytes of the peer are shown until the connection ends.
    fn has_told_of_eof(&self) -> bool {
        self.has(Flags::EOF) && self.phase == Phase::Open
    }

    /// The handler is about to be shown input.
    pub(crate) fn forget_need(&mut self) {
        self.need = 0;
        self.flags.clear(Flags::NEEDS);
    }

    /// True if the handler is not to be shown the inbox with `received` further bytes, because it needs more.
    pub(crate) fn needs_more(&self, received: usize) -> bool {
        self.has(Flags::NEEDS) && self.inbox.len() + received < self.need as usize
    }

    /// Takes the inbox out, to show it: the bytes that the handler needs are there.
    pub(crate) fn take_inbox(&mut self) -> Inbox {
        self.flags.clear(Flags::HELD);
        self.forget_need();
        std::mem::take(&mut self.inbox)
    }

    /// Puts the inbox back. `held`: the handler did not decline the rest, a pause or high water kept the rest back.
    pub(crate) fn put_inbox(&mut self, inbox: Inbox, held: bool) {
        if self.phase < Phase::Flushing {
            self.inbox = inbox;
            let held = held && !self.needs_more(0);
            self.flags.put(Flags::HELD, held);
            if held && self.inbox.len() > LITTLE {
                self.flags.set(Flags::READS_LITTLE);
            }
        }
    }

    /// Keeps received bytes without showing them: the handler needs more.
    pub(crate) fn keep_input(&mut self, bytes: &[u8]) {
        self.inbox.push(bytes);
    }

    /// Keeps received bytes for the handler until it resumes reading.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.inbox.push(bytes);
        if !self.needs_more(0) {
            self.flags.set(Flags::HELD);
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.has(Flags::HELD)
    }
}
