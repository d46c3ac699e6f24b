//! The spare descriptor, and the listeners that wait for a place.

use socket2::{Domain, Socket, Type};

#[cfg(test)]
use crate::socket::simulated;

#[derive(Debug, Default)]
pub(super) struct Reserve {
    /// A descriptor to give up when there is no other. It is a socket, because at ENFILE the system lacks open files, and
    /// a duplicate of a descriptor has no open file of its own.
    spare: Option<Socket>,
    /// Slots of listeners that are ready and had to pause. They try again when a source closes.
    waiting: Vec<u32>,
}

impl Reserve {
    /// Opens the spare descriptor if it was given up and can be had again.
    pub(super) fn refill(&mut self) {
        #[cfg(test)]
        if self.spare.is_none() && simulated::takes_descriptor() == Some(false) {
            return;
        }
        if self.spare.is_none() {
            self.spare = Socket::new(Domain::IPV4, Type::DGRAM, None).ok();
        }
    }

    pub(super) fn give_up(&mut self) {
        self.spare = None;
        #[cfg(test)]
        simulated::gives_descriptor();
    }

    pub(super) fn is_full(&self) -> bool {
        self.spare.is_some()
    }

    /// The listener tries again when a source closes.
    pub(super) fn wait_for_a_close(&mut self, listener: u32) {
        if !self.waiting.contains(&listener) {
            self.waiting.push(listener);
        }
    }

    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    #[cfg(test)]
    pub(super) fn waits(&self, listener: u32) -> bool {
        self.waiting.contains(&listener)
    }

    pub(super) fn take_waiting(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.waiting)
    }
}
