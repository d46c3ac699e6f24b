//! How a connection leaves its reactor and joins another one.

use std::io::Read;

use crate::{
    buffer::{Inbox, SharedBlocks},
    socket::{file::SendFile, stream::Stream},
};

use super::{Connection, Flags, Phase};

impl<T: Read + SendFile> Connection<T> {
    /// Forgets what only the reactor and its handler knew: readiness, pauses, counts. An end of file was told to the old handler
    /// alone; the next `recv` finds it again.
    pub(crate) fn leave_reactor(&mut self) {
        self.outbox.share_again(&mut SharedBlocks::default()); // the reactor no longer counts the blocks
        self.forget_readiness();
        self.flags.clear(Flags::PAUSED | Flags::OUT_OF_BUFFERS | Flags::MOVED | Flags::PEER_CLOSED_TOLD);
        if self.phase == Phase::Open {
            self.flags.clear(Flags::EOF);
        }
        self.forget_need();
        self.read_much_again();
        (self.turn, self.spent, self.counted) = (0, 0, 0);
    }

    /// The connection belongs to a reactor again. Its inbox is shown without a new byte.
    pub(crate) fn join_reactor(&mut self, blocks: &mut SharedBlocks) {
        self.outbox.share_again(blocks);
        self.flags.put(Flags::HELD, !self.inbox.is_empty());
    }

    /// Puts bytes in front of the inbox. An ending connection keeps no input.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if self.phase <= Phase::Failing {
            let mut inbox = Inbox::default();
            inbox.push(bytes);
            inbox.push(self.inbox.unconsumed());
            self.inbox = inbox;
        }
    }

    /// True if the peer must not take what it has received for everything.
    pub(crate) fn is_truncated(&self) -> bool {
        !self.outbox.is_empty() || self.has_lost() || self.phase == Phase::Resetting
    }

    /// The unsent bytes, up to the first file.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        self.outbox.pieces()
    }
}

impl Connection<Stream> {
    /// The stream, if it is of this type.
    pub(crate) fn into_stream<M: TryFrom<Stream, Error = Stream>>(self) -> Result<M, Self> {
        match M::try_from(self.stream) {
            Ok(stream) => Ok(stream),
            Err(stream) => Err(Self { stream, ..self }),
        }
    }
}
