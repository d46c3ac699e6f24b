//! How a loop that a program already has drives the reactor. This module has no code, only documentation for hosts. The
//! [`guide`](crate::guide) has recipes for handlers.
//!
//! # The four ways
//!
//! | the program has | it uses | it calls |
//! |---|---|---|
//! | nothing else to do | [`EventLoop`] | [`run`](crate::EventLoop::run) |
//! | a [`mio::Poll`] | [`Reactor`], a guest in it | [`handle`] for each event, [`settle`] after each batch, [`timeout`] for the next poll |
//! | another poller: epoll, kqueue, calloop, tokio, GLib | [`EventLoop`], its descriptor nested in the poller | [`turn`] without waiting, when the descriptor is readable or [`next_deadline`] has come |
//! | frames or ticks | [`EventLoop`] | [`turn_until`] and [`flush`], once a frame |
//!
//! `run` makes turns, and a turn is a poll, `handle` and `settle`; so all four ways do the same work. A guest adds no system
//! call. A nested descriptor costs the host one wake-up, and a second poll, for each batch. Where the loop has no descriptor
//! (on Windows, and where mio polls with `poll(2)`), a program with another poller gives the loop a thread, or turns it from
//! a timer.
//!
//! In all four ways, the handler is lent to each turn, and may borrow from the host for as long as the turn lasts. Callbacks
//! come from turns alone, in the host's own thread. An error of a connection never comes out of a turn: a turn fails only if
//! polling fails.
//!
//! All four ways end alike: [`Net::drain`](crate::Net::drain), orderly and within a grace, or
//! [`Net::stop`](crate::Net::stop) makes a later turn [`finished`](crate::Turn::finished); other threads ask for both by a
//! [`Remote`](crate::Remote). The host goes on turning until then.
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
//! * **Tokens.** The reactor has a range of tokens, and each listener, connection and watched source takes one token of it; so the range
//!   is also the limit of how many there can be. A tag in the high bits is a range as well: `7 << 56..8 << 56`.
//! * **[`handle`]** stores the readiness that an event tells of, and calls nothing. It returns false, and changes nothing, if
//!   the event is not for this reactor. Several reactors can be asked in turn, each with a range of its own.
//! * **[`settle`]** is called once after every batch, also after a batch without events, because it fires the timers too. If
//!   a host forgets it, [`timeout`] stays at zero; with debug assertions, `timeout` then panics before long. Nothing is lost.
//! * **[`timeout`]** is zero while work is left; otherwise it is the time until the next deadline. The host polls for at most
//!   this time, and for less if it has deadlines of its own.
//! * **The waker.** A poll has only one waker, and the host owns it: an `Arc<mio::Waker>` under a token outside of the range.
//!   [`Reactor::remote`] takes a clone of it, and other threads use the [`Remote`](crate::Remote). The event of the waker goes
//!   to the host, and has no meaning but to end the wait: `settle` finds the requests.
//! * **The order of the end.** The reactor takes its sources out of the poll when the reactor is dropped, whether the poll
//!   still exists or not. A source of [`Net::watch`](crate::Net::watch) belongs to the program and stays registered.
//!
//! # Nested in another poller
//!
//! [`EventLoop`] is a descriptor (`AsFd` and `AsRawFd`, where mio polls with epoll, kqueue or event ports). The descriptor is
//! readable while an event waits in the loop's poll. The host watches it for reading, whether for levels or for edges, and
//! turns the loop when the descriptor is readable **or** when [`next_deadline`] has come:
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
//! * **Leftovers are a deadline.** A turn has budgets. The descriptor does not announce work that a turn leaves over; a
//!   [`next_deadline`] that has already come does. A host that looks at the descriptor alone stalls connections.
//! * **Edges.** A turn polls until fewer events come than there is room for, so that no event stays behind an edge that was
//!   used up. If [`event_budget`](crate::Options::event_budget) stops the turn before, the other events are leftovers as
//!   above. A host that watches for edges clears its readiness *before* the turn, so that an edge that comes during the
//!   turn is not lost.
//! * **Between turns.** Calls of [`net`](crate::EventLoop::net) outside of a turn can bring the deadline forward: bytes that
//!   were sent are due at once, until [`flush`] has handed them to the kernel; `close`, `stop` and `drain` are due at once;
//!   a timer is due at its time. So a host asks for the deadline after the last such call and right before it sleeps.
//! * **The owner of the descriptor.** The descriptor belongs to the loop. A poller that has to own its descriptors gets a
//!   copy, by `as_fd().try_clone_to_owned()`, and may drop the copy before or after the loop.
//! * **Registration.** The descriptor never changes, so it is registered once; only the timer for the deadline moves.
//!
//! The examples `embed_calloop` and `embed_tokio` are complete.
//!
//! # Frames and ticks
//!
//! ```
//! use std::time::{Duration, Instant};
//! use tidegate::{EventLoop, Handler};
//!
//! /// Returns false once a drain has ended.
//! fn frame<S>(server: &mut EventLoop<S>, game: &mut impl Handler<Session = S>) -> std::io::Result<bool> {
//!     let end = Instant::now() + Duration::from_millis(4);
//!     let turn = server.turn_until(game, Some(Duration::ZERO), end)?;
//!     // Here the game simulates and draws. A player that has not read its last tick gets no further tick.
//!     server.net().for_each(|player| {
//!         if player.queued() == 0 {
//!             player.send_all(b"tick\n");
//!         }
//!     });
//!     server.flush(); // the ticks leave now, and not a frame later
//!     Ok(!turn.finished)
//! }
//! ```
//!
//! * **The end of a turn** is compared with the clock after each connection. So a turn may pass its end by the bytes that one
//!   connection may move ([`read_budget`](crate::Options::read_budget), [`write_budget`](crate::Options::write_budget)) and
//!   by the time that the handler takes for them. Timers are not divided (all that are due fire), nor is the beginning of
//!   a [`drain`](crate::Net::drain).
//! * **Leftovers** come first in the next turn, in order; [`Turn::more`](crate::Turn::more) says that there are some.
//! * **Bounds that do not depend on the clock** are [`turn_budget`](crate::Options::turn_budget) in bytes,
//!   [`accept_budget`](crate::Options::accept_budget) in clients and [`event_budget`](crate::Options::event_budget) in
//!   events. They hold in every kind of turn, except for the clients that the beginning of a drain accepts and serves.
//! * **Waiting.** With `Some(Duration::ZERO)` a turn never sleeps. With a longer time, a turn sleeps until something happens,
//!   but `turn_until` does not sleep beyond its end: so a game can spend the rest of a frame in the turn.
//!
//! The example `embed_frames` logs its frame times.
//!
//! # Sockets that the host made
//!
//! [`Net::adopt_listener`](crate::Net::adopt_listener) and [`Net::adopt_stream`](crate::Net::adopt_stream) take over sockets of
//! the standard library. Under systemd's socket activation the listeners are descriptors from 3 on, which the crate
//! `listenfd` turns into a `std::net::TcpListener` without `unsafe`. A socket that cannot be taken over comes back in
//! [`Refused`](crate::Refused), as it was before. The page [`restarting`](crate::guide::restarting) of the guide has a program.
//!
//! # Traps
//!
//! * A callback that blocks stops the whole host. Long work goes to another thread, together with the
//!   [`ConnId`](crate::ConnId), and the answer comes back through a channel
//!   ([`Reactor::channel`](crate::Reactor::channel)): see [`guide::threads`](crate::guide::threads).
//! * A panic in a callback passes through the turn to the host. A host that catches it may go on: the connection whose
//!   callback panicked is aborted, and all other connections go on. [`Handler`](crate::Handler) says more.
//! * [`Net::now`](crate::Net::now) is the time of the turn. Between turns it is the time of the last turn, so a host counts
//!   from its own clock.
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
