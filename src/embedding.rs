//! How to be part of a loop that a program already has. There is no code here, only what a host has to know.
//!
//! # Which way
//!
//! | the program has | it uses | it calls |
//! |---|---|---|
//! | nothing else to do | [`EventLoop`] | [`run`](crate::EventLoop::run) |
//! | a [`mio::Poll`] | [`Reactor`], a guest in it | [`handle`] for each event, [`settle`] after each batch, [`timeout`] for the next poll |
//! | another poller: epoll, kqueue, calloop, tokio, GLib | [`EventLoop`], its descriptor nested in the poller | [`turn`] with no wait when it is readable or due |
//! | frames or ticks | [`EventLoop`] | [`turn_until`] and [`flush`], once a frame |
//!
//! `run` is nothing but turns, and a turn is a poll, `handle` and `settle`; so all of these do the same work. A guest adds
//! no system call to it. A nested descriptor costs the host one wake-up, and a second poll, for
//! each batch. On Windows there is no descriptor to nest; there a program with another poller gives the loop a thread, or
//! turns it from a timer.
//!
//! In all of them the handler is lent to each turn and may borrow what the host owns for just that long; callbacks come
//! from the turn alone, in the host's own thread; and what is wrong with a connection never comes out of a turn, which
//! fails only if polling does.
//!
//! All end alike: [`Net::drain`](crate::Net::drain), orderly and within a grace, or [`Net::stop`](crate::Net::stop), from
//! another thread by a [`Remote`](crate::Remote), make a later turn [`finished`](crate::Turn::finished). Until then the host
//! goes on turning.
//!
//! # A guest in a `mio::Poll`
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//! use tidegate::{Handler, Options, Reactor};
//!
//! fn host(handler: &mut impl Handler<Session = ()>) -> std::io::Result<()> {
//!     let mut poll = mio::Poll::new()?;
//!     let mut events = mio::Events::with_capacity(1024);
//!     let mut reactor = Reactor::new(poll.registry(), 1000.., Options::default())?; // tokens below are the host's own
//!     reactor.net().listen(":7007")?;
//!     loop {
//!         match poll.poll(&mut events, reactor.timeout(Instant::now())) {
//!             Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
//!             polled => polled?,
//!         }
//!         for event in &events {
//!             if !reactor.handle(event) {
//!                 println!("the host's own: {:?}", event.token());
//!             }
//!         }
//!         if reactor.settle(handler, Instant::now()).finished {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```
//!
//! * **Tokens.** The reactor has a range of them, of which each listener and each connection takes one; the range is also
//!   the limit of how many there can be. A tag in the high bits is a range as well: `7 << 56..8 << 56`.
//! * **[`handle`]** notes what an event says and calls nothing. It answers `false` to an event of someone else's, and then
//!   nothing has changed. Several reactors can be asked in turn, each with a range of its own.
//! * **[`settle`]** comes once after every batch, also after one without events, since timers are its business too. A host
//!   that forgets it sees [`timeout`] stay at zero; with debug assertions, that panics before long. Nothing is lost.
//! * **[`timeout`]** is zero while work is left and ends with the next deadline. The host polls for at most so long, and for
//!   less if it has deadlines of its own.
//! * **The waker.** A poll has only one, which is the host's: an `Arc<mio::Waker>` under a token outside of the range.
//!   [`Reactor::remote`] takes it, and other threads use the [`Remote`](crate::Remote). Its event is the host's, and means no
//!   more than that there was something to wake up for.
//! * **The order of the end.** The reactor takes its sources out of the poll when it is dropped, whether the poll is still
//!   there or not.
//!
//! # Nested in another poller
//!
//! [`EventLoop`] is a descriptor to others (`AsFd` and `AsRawFd`, on Unix): readable while an event waits in its poll. The
//! host watches it for reading, whether for levels or for edges, and turns when it is readable **or** when
//! [`next_deadline`] has come:
//!
//! ```
//! # #[cfg(unix)]
//! # mod nested {
//! use std::time::{Duration, Instant};
//! use tidegate::{EventLoop, Handler};
//!
//! trait Poller {
//!     /// Sleeps until a descriptor is readable, or for so long.
//!     fn wait(&mut self, at_most: Option<Duration>);
//! }
//!
//! fn host(
//!     poller: &mut impl Poller, // it watches `server.as_fd()`
//!     server: &mut EventLoop,
//!     handler: &mut impl Handler<Session = ()>,
//! ) -> std::io::Result<()> {
//!     while !server.turn(handler, Some(Duration::ZERO))?.finished {
//!         let due = server.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
//!         poller.wait(due);
//!     }
//!     Ok(())
//! }
//! # }
//! ```
//!
//! * **Leftovers are a deadline.** A turn has budgets. What it leaves is not announced by the descriptor again, but by a
//!   [`next_deadline`] that has already come. A host that looks at the descriptor alone stalls connections.
//! * **Edges.** A turn polls until fewer events come than there is room for, so that no event stays behind an edge that was
//!   used up; and if [`event_budget`](crate::Options::event_budget) ends it before, that is a leftover as above. Who
//!   watches for edges clears the readiness *before* the turn: an edge that comes during it must not be lost.
//! * **Between turns.** What is asked of [`net`](crate::EventLoop::net) outside of a turn can bring the deadline forward: bytes that
//!   were sent are due at once, until [`flush`] has handed them to the kernel; `close`, `stop` and `drain` are due at once;
//!   a timer at its time. So a host asks for the deadline after the last such call and right before it sleeps.
//! * **Who owns the descriptor.** It belongs to the loop; a poller that wants to own what it watches gets a copy, by
//!   `as_fd().try_clone_to_owned()`, and gives it up before or after the loop as it likes.
//! * **Once is enough.** The descriptor never changes, so it is registered once; only the timer for the deadline moves.
//!
//! The examples `embed_calloop` and `embed_tokio` are complete.
//!
//! # Frames and ticks
//!
//! ```
//! use std::time::{Duration, Instant};
//! use tidegate::{EventLoop, Handler};
//!
//! /// `false` once a drain has ended.
//! fn frame<S>(server: &mut EventLoop<S>, game: &mut impl Handler<Session = S>) -> std::io::Result<bool> {
//!     let end = Instant::now() + Duration::from_millis(4);
//!     let turn = server.turn_until(game, Some(Duration::ZERO), end)?;
//!     // Simulate and draw; what is sent to the players meanwhile ...
//!     server.net().for_each(|player| _ = player.send_all(b"tick\n"));
//!     server.flush(); // ... goes out now, and not a frame later.
//!     Ok(!turn.finished)
//! }
//! ```
//!
//! * **The end of a turn** is looked at after each connection. A turn is longer than asked for by what one connection may
//!   move in it ([`read_budget`](crate::Options::read_budget), [`write_budget`](crate::Options::write_budget)) and by what the
//!   handler takes for it. Not divided are timers, of which all that are due fire, and the beginning of a
//!   [`drain`](crate::Net::drain).
//! * **What is left** comes first in the next turn, in order; [`Turn::more`](crate::Turn::more) says that there is some.
//! * **Bounds that are the same each time**, whatever the clock does, are
//!   [`turn_budget`](crate::Options::turn_budget) in bytes, [`accept_budget`](crate::Options::accept_budget) in clients and
//!   [`event_budget`](crate::Options::event_budget) in events; they hold in every kind of turn.
//! * **Waiting.** With `Some(Duration::ZERO)` a turn never sleeps. With a longer time it sleeps until something happens, and
//!   `turn_until` not beyond its end: the rest of a frame can be slept in the turn itself.
//!
//! The example `embed_frames` shows its frame times.
//!
//! # Sockets that the host made
//!
//! [`Net::adopt_listener`](crate::Net::adopt_listener) and [`Net::adopt_stream`](crate::Net::adopt_stream) take what the
//! standard library made, or whoever started the process: under systemd's socket activation the listeners are descriptors
//! from 3 on, which the crate `listenfd` turns into a `std::net::TcpListener` without `unsafe`. A socket that cannot be
//! taken comes back in [`Refused`](crate::Refused), as it was before.
//!
//! # Traps
//!
//! * A callback that blocks, blocks the host. Work goes to a thread that comes back by [`Remote`](crate::Remote).
//! * A panic in a callback goes on through the turn to the host. The reactor can then be dropped, and nothing else.
//! * [`Net::now`](crate::Net::now) is the time of the turn. Between turns it is that of the last one, so a host counts from
//!   its own clock.
//!
//! [`EventLoop`]: crate::EventLoop
//! [`Reactor`]: crate::Reactor
//! [`Reactor::remote`]: crate::Reactor::remote
//! [`handle`]: crate::Reactor::handle
//! [`settle`]: crate::Reactor::settle
//! [`timeout`]: crate::Reactor::timeout
//! [`turn`]: crate::EventLoop::turn
//! [`turn_until`]: crate::EventLoop::turn_until
//! [`flush`]: crate::EventLoop::flush
//! [`next_deadline`]: crate::EventLoop::next_deadline
