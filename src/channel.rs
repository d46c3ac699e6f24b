//! A typed channel from other threads into a loop.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SendError, TryRecvError, TrySendError},
    },
};

use crate::remote::Remote;

/// The sending end of a channel into a loop, for any thread: see [`EventLoop::channel`](crate::EventLoop::channel).
///
/// Messages that are sent while the loop is busy, or asleep and not woken yet, wake the loop once. The last sender that is
/// dropped wakes the loop as well.
pub struct Sender<T>(Arc<Channel<T>>);

/// The receiving end of a channel into a loop. The handler owns it, and takes the messages in
/// [`on_wake`](crate::Handler::on_wake).
///
/// Dropping the receiver drops the messages in it, and sends return their messages from then on.
pub struct Receiver<T>(Arc<Channel<T>>);

/// The messages of a [`Receiver`] that are there now. See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
    is_exhausted: bool,
}

struct Channel<T> {
    state: Mutex<State<T>>,
    /// At most so many messages wait.
    capacity: usize,
    remote: Remote,
}

struct State<T> {
    messages: VecDeque<T>,
    senders: usize,
    has_receiver: bool,
}

pub(crate) fn channel<T>(remote: Remote, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { messages: VecDeque::new(), senders: 1, has_receiver: true };
    let channel = Arc::new(Channel { state: Mutex::new(state), capacity: capacity.max(1), remote });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        let state = self.lock();
        state.has_receiver && state.messages.len() >= self.capacity
    }
}

impl<T> Sender<T> {
    /// Sends a message. In a bounded channel that is full, the call blocks until there is room, so it must not be made in the
    /// thread of the loop, which alone makes room.
    ///
    /// The message is in the channel before the loop is woken, so an [`on_wake`](crate::Handler::on_wake) follows that sees
    /// the message.
    ///
    /// # Errors
    /// With the message: the receiver or the loop was dropped, also while the call blocked.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let mut message = message;
        loop {
            match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(back)) => return Err(SendError(back)),
                Err(TrySendError::Full(back)) => message = back,
            }
            self.0.remote.wait_for_room(|| self.0.is_full());
        }
    }

    /// Sends a message without blocking.
    ///
    /// # Errors
    /// With the message: `Full` if a bounded channel has no room, `Disconnected` if the receiver or the loop was dropped.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.0.remote.loop_is_gone() {
            return Err(TrySendError::Disconnected(message));
        }
        let mut state = self.0.lock();
        if !state.has_receiver {
            return Err(TrySendError::Disconnected(message));
        }
        if state.messages.len() >= self.0.capacity {
            return Err(TrySendError::Full(message));
        }
        state.messages.push_back(message);
        drop(state);
        self.0.remote.wake();
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Takes the next message.
    ///
    /// A handler that has taken some of the messages and stops before `Empty` is woken only by the next message. A handler that
    /// takes a bounded number in a turn uses [`try_iter`](Self::try_iter).
    ///
    /// # Errors
    /// `Empty` if no message is there now, `Disconnected` if none is there and no sender is left.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.lock();
        let was_full = state.messages.len() >= self.0.capacity;
        let message = match state.messages.pop_front() {
            Some(message) => message,
            None if state.senders == 0 => return Err(TryRecvError::Disconnected),
            None => return Err(TryRecvError::Empty),
        };
        drop(state);
        if was_full {
            self.0.remote.announce_room();
        }
        Ok(message)
    }

    /// Takes the messages that are there, and those that come meanwhile, without blocking.
    ///
    /// An iterator that is dropped before its end, by a `break` or a `take(100)`, makes one more
    /// [`on_wake`](crate::Handler::on_wake) come in the next turn. So a handler can bound its work in a turn.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self, is_exhausted: false }
    }

    /// True if no message is left and no sender either, so that no message will come. The loop is woken when the last sender
    /// is dropped.
    pub fn is_disconnected(&self) -> bool {
        let state = self.0.lock();
        state.senders == 0 && state.messages.is_empty()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let message = self.receiver.try_recv().ok();
        self.is_exhausted = message.is_none();
        message
    }
}

impl<T> Drop for TryIter<'_, T> {
    fn drop(&mut self) {
        if !self.is_exhausted {
            self.receiver.0.remote.wake();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let is_last = state.senders == 0;
        drop(state);
        if is_last {
            self.0.remote.wake();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_receiver = false;
        let messages = std::mem::take(&mut state.messages);
        drop(state);
        self.0.remote.announce_room(); // sends that wait for room return their messages
        drop(messages); // without the lock, because a message may own a sender of this channel
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
