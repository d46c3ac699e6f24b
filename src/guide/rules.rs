//! The rules of partial I/O that the crate keeps.
//!
//! A stream socket promises less than most code relies on. A handler that only answers requests has to know rules 2 and 3.
//!
//! 1. **An event is a hint** that something may have changed. Only the result of a system call is a fact: a direction counts
//!    as blocked when a call has returned `WouldBlock`, or where the platform promises that a short read means the same.
//! 2. **A `recv` returns any part** of the bytes that were sent, cut anywhere. So [`on_data`] returns the number of bytes
//!    that it has consumed; the other bytes are shown again, together with the bytes that come next. A handler that knows how
//!    many bytes are missing says so with [`need`], and is not called before they are there.
//! 3. **A `send` takes any part** of the bytes that it is given. [`send_all`] takes all of them, and the reactor sends the
//!    rest later; [`send_shared`], [`send_owned`] and [`send_file`] do so without a copy of large messages. The result is a [`Flow`](crate::Flow): `Open` (go on), `Full` (the bytes were taken, but send no more before
//!    [`on_writable`]) or `Gone` (not taken: the connection is ending or gone, or its sending direction was ended). At `Full`,
//!    `on_data` stops and returns the count so far; the rest of the input is shown again, without a new byte, when the peer
//!    has read enough. A handler that goes on after `Full` fills the outbox up to [`max_outbox`], and there the connection is
//!    reset.
//! 4. **Order is kept** and no byte is lost or doubled, however few bytes the kernel takes at a time.
//! 5. **A peer that does not read must not fill the memory.** From [`high_water`] on, its connection is not read any further,
//!    and reading goes on by itself below [`low_water`]. For outgoing connections this pause ([`pause_when_full`]) is off by
//!    default, because two ends that both stop reading until they can write would wait for each other for ever. Where the
//!    pause is off, a handler calls [`pause_reading`] at `Full` and [`resume_reading`] in `on_writable`. A [proxy](super::proxy)
//!    turns the pause off on both sides, and pauses the sender when the receiver is `Full`.
//! 6. **One connection must not hold up the others.** The bytes that a connection may read and write in a turn are limited,
//!    and the connection goes on in the next turn.
//! 7. **An end of file closes one direction.** Bytes that were received before are delivered first, and the other direction
//!    stays usable until it is closed as well.
//! 8. **A close delivers first.** Closing a socket with unread input resets the connection and can destroy the answer on its
//!    way. So [`close`] sends everything first, ends its own direction, and then reads and discards until the peer has ended
//!    too, or until the peer has been silent for [`linger`] (2 s). All this ends within [`close_timeout`] (30 s), even while
//!    bytes still move: if unsent bytes are left then, the connection is reset, with the reason `CloseTimeout`.
//! 9. **A connection ends once**, and [`on_close`] tells why; no error has to be handled anywhere else. The first reason
//!    counts, but `Eof`, `Closed` and `Drained` are told only if everything that was sent has reached the kernel:
//!    [`CloseReason::is_clean`](crate::CloseReason::is_clean) is true for these three. If bytes are lost on the way to such an
//!    end, the cause of the loss is the reason. [`Net::undelivered`](crate::Net::undelivered) tells in `on_close`, for every
//!    reason, whether bytes were lost. None of them tells of input that a close has discarded.
//! 10. **A drain ends everything in order** ([`Net::drain`](crate::Net::drain)). The clients in the backlog are accepted
//!     (unless their listener is paused or full), the listeners close, and each connection gets [`on_drain`] once. By default
//!     the connection then goes on until it is idle, and is closed: nothing is unsent, no input waits, no `on_writable` is
//!     still to come, the handler has not paused reading, and no byte has moved for [`drain_quiet`] (250 ms). So requests in
//!     the kernel's buffers are answered, and streams that move are finished. An incomplete message does not count as
//!     waiting input once its peer has ended. The default does not know which answers are still owed: a connection that
//!     waits longer than `drain_quiet` for a backend, a timer or a thread looks idle. Such a handler pauses reading while it
//!     owes an answer, or has an `on_drain` of its own; in a proxy that is an empty one, which lets both ends decide.
//!     Nor does the default know that a peer in a pause means to send more: see [`stopping`](super::stopping).
//!     Connections that are still open when the grace is over are reset, so that no peer mistakes a truncated stream for a
//!     complete one. A second drain resets at once.
//!     Unix sockets have no reset: see [`platforms`](super::platforms#unix-sockets).
//! 11. **A panic in a callback** passes through the turn to the host. If the host catches the panic and goes on, the
//!     connection whose callback panicked is aborted, because bytes may be missing there; all other connections go on.
//!
//! These rules are about streams. The rules of datagrams are on the page [`datagrams`](super::datagrams).
//!
//! # When descriptors run out
//!
//! When the process or the system has no descriptor left, clients in the backlog would wait without an end, and no event
//! would tell of them again. The reactor therefore keeps a reserve descriptor, and uses it to accept and close the clients
//! that wait, so that they notice. Accepting goes on by itself when there are descriptors again.
//! [`Stats::refused_descriptors`](crate::Stats::refused_descriptors) counts these clients.
//!
//! [`on_data`]: crate::Handler::on_data
//! [`on_writable`]: crate::Handler::on_writable
//! [`on_close`]: crate::Handler::on_close
//! [`on_drain`]: crate::Handler::on_drain
//! [`need`]: crate::Conn::need
//! [`send_all`]: crate::Conn::send_all
//! [`send_shared`]: crate::Conn::send_shared
//! [`send_owned`]: crate::Conn::send_owned
//! [`send_file`]: crate::Conn::send_file
//! [`close`]: crate::Conn::close
//! [`pause_when_full`]: crate::Conn::pause_when_full
//! [`pause_reading`]: crate::Conn::pause_reading
//! [`resume_reading`]: crate::Conn::resume_reading
//! [`max_outbox`]: crate::Options::max_outbox
//! [`high_water`]: crate::Options::high_water
//! [`low_water`]: crate::Options::low_water
//! [`linger`]: crate::Options::linger
//! [`close_timeout`]: crate::Options::close_timeout
//! [`drain_quiet`]: crate::Options::drain_quiet
