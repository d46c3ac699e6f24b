//! Recipe: an orderly end at SIGTERM or Ctrl-C.
//!
//! The crate handles no signals. Another crate calls a closure when a signal comes, and the closure asks the loop for a
//! drain by a [`Remote`](crate::Remote). (On Unix, the loop can also watch for signals itself, without a thread: see
//! [`sources`](crate::guide::sources).) [`Net::drain`](crate::Net::drain) accepts the clients in the backlog, closes the
//! listeners, and asks each connection to finish. [`EventLoop::run`](crate::EventLoop::run) returns when all connections have
//! ended, and at the latest when the grace is over. A second drain resets everything at once.
//!
//! ```no_run
//! use std::{
//!     error::Error,
//!     time::{Duration, Instant},
//! };
//! use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options};
//!
//! /// How long clients may take, after a signal, to get their answers.
//! const GRACE: Duration = Duration::from_secs(5);
//! /// Signals that come so soon after the signal that began the drain belong to that signal.
//! const REPEAT: Duration = Duration::from_secs(1);
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         conn.send_all(input);
//!         input.len()
//!     }
//!
//!     fn on_close(&mut self, net: &mut Net, id: ConnId, _session: (), why: CloseReason) {
//!         if net.undelivered() {
//!             eprintln!("{id:?} has not got all of its bytes: {why:?}");
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     let mut server = EventLoop::new(Options::default())?;
//!     let listener = server.net().listen("127.0.0.1:7007")?;
//!
//!     // ctrlc = { version = "3", features = ["termination"] }: with the feature, the closure is called at SIGINT, SIGTERM
//!     // and SIGHUP.
//!     let remote = server.remote();
//!     let mut asked: Option<Instant> = None;
//!     ctrlc::set_handler(move || {
//!         if asked.is_none_or(|at| at.elapsed() >= REPEAT) {
//!             asked = Some(Instant::now());
//!             remote.drain(GRACE); // the second call resets everything at once
//!         }
//!     })?;
//!
//!     println!("listening on {}", server.net().local_address(listener)?);
//!     server.run(&mut Echo)?;
//!     println!("{}", server.net().stats());
//!     Ok(())
//! }
//! ```
//!
//! * **The signals.** Without its feature "termination", `ctrlc` handles SIGINT alone. With the feature, a stop may bring two
//!   signals at once: systemd with `SendSIGHUP=yes` sends SIGTERM and SIGHUP, and a terminal that closes may send SIGHUP
//!   twice. Each signal would be a drain of its own, and the second drain would reset everything. So the closure above
//!   ignores a signal that comes within a second. The crate `signal-hook` lets the program choose the signals (on Unix):
//!
//!   ```
//!   # #[cfg(unix)]
//!   # fn main() -> std::io::Result<()> {
//!   # use std::{thread, time::{Duration, Instant}};
//!   # use tidegate::{EventLoop, Options};
//!   # const GRACE: Duration = Duration::from_secs(5);
//!   # const REPEAT: Duration = Duration::from_secs(1);
//!   # let server = EventLoop::<()>::new(Options::default())?;
//!   use signal_hook::{
//!       consts::{SIGINT, SIGTERM},
//!       iterator::Signals,
//!   };
//!
//!   let remote = server.remote();
//!   let mut signals = Signals::new([SIGINT, SIGTERM])?; // SIGHUP keeps its default, which ends the process at once
//!   thread::spawn(move || {
//!       let mut asked: Option<Instant> = None;
//!       for _ in signals.forever() {
//!           if asked.is_none_or(|at| at.elapsed() >= REPEAT) {
//!               asked = Some(Instant::now());
//!               remote.drain(GRACE);
//!           }
//!       }
//!   });
//!   # Ok(())
//!   # }
//!   # #[cfg(not(unix))]
//!   # fn main() {}
//!   ```
//!
//!   A server that must outlive its terminal handles SIGHUP as well, and does nothing at this signal.
//! * **The end of a connection in a drain** is decided by [`on_drain`](crate::Handler::on_drain). The default closes the
//!   connection when it is idle: nothing is unsent, no input waits, no `on_writable` is owed, the handler has not paused
//!   reading, and no byte has moved for [`drain_quiet`](crate::Options::drain_quiet) (250 ms). A connection that waits for a
//!   backend, a timer or a thread looks idle; the pages [`threads`](super::threads) and [`proxy`](super::proxy) say what
//!   such handlers do. A protocol that knows when a connection is done may call [`close`](crate::Conn::close) earlier.
//! * **A client that goes on sending** is never idle, and is reset when the grace is over. A client that has sent a part of
//!   a message, and pauses, holds up the drain until the grace is over, and is reset then: the part waits in the inbox.
//! * **Cuts.** A connection over TCP whose sent bytes are cut off always ends with a reset. But the default `on_drain` does not know
//!   what the peer still means to send. It closes an upload that pauses for longer than `drain_quiet` if the handler has
//!   consumed the part that has come: only unconsumed bytes count as input that waits. The handler then gets `on_close` with
//!   [`Drained`](crate::CloseReason::Drained) and no `on_eof`, and the client reads an end of file in place of its answer.
//!   Where the end of file is the end of an upload, `on_drain` is empty, and the grace resets uploads that are too slow. A
//!   handler that consumes parts of a message with a known end asks for the close only between messages:
//!
//!   ```
//!   use std::time::Duration;
//!   use tidegate::{Accepted, CloseKind, Conn, Handler, Net, Options, testing::Rehearsal};
//!
//!   /// Takes uploads of at most 255 bytes. The first byte of an upload is the number of the others.
//!   struct Uploads;
//!
//!   fn drain_goes_on(conn: &mut Conn<'_, usize>) {
//!       if conn.net().is_draining() {
//!           let (missing, quiet) = (*conn.session(), conn.net().options().drain_quiet);
//!           conn.close_when_idle(if missing > 0 { Duration::MAX } else { quiet }); // the maximum stands for never
//!       }
//!   }
//!
//!   impl Handler for Uploads {
//!       type Session = usize; // the number of bytes that the present upload still misses
//!
//!       fn on_accept(&mut self, _net: &mut Net<usize>, _from: &Accepted) -> Option<usize> {
//!           Some(0)
//!       }
//!
//!       fn on_data(&mut self, conn: &mut Conn<'_, usize>, input: &[u8]) -> usize {
//!           let missing = conn.session();
//!           let used = if *missing == 0 {
//!               *missing = input[0].into();
//!               1
//!           } else {
//!               let part = input.len().min(*missing);
//!               *missing -= part; // a real handler would store the part
//!               part
//!           };
//!           if *missing == 0 {
//!               conn.send_all(b"stored\n");
//!           }
//!           drain_goes_on(conn);
//!           used
//!       }
//!
//!       fn on_drain(&mut self, conn: &mut Conn<'_, usize>) {
//!           drain_goes_on(conn);
//!       }
//!   }
//!
//!   let mut rehearsal = Rehearsal::new(Options::default());
//!   let client = rehearsal.accept(&mut Uploads).unwrap();
//!   rehearsal.receive(&mut Uploads, client, b"\x06abc");
//!   rehearsal.net().drain(Duration::from_secs(60));
//!   rehearsal.advance(&mut Uploads, Duration::from_secs(10)); // the client pauses
//!   rehearsal.receive(&mut Uploads, client, b"def");
//!   assert_eq!(rehearsal.sent(client), b"stored\n");
//!   rehearsal.advance(&mut Uploads, Duration::from_secs(1));
//!   assert_eq!(rehearsal.why(client), Some(CloseKind::Drained));
//!   ```
//!
//! * **A request that comes after the close** is discarded, if it comes within `linger`. Its client reads an end of file in
//!   place of the answer, as from any server that closes a connection that is kept alive, and repeats the request elsewhere.
//! * **A client that keeps its connection** and does not end its side when it reads the end of file makes a drain take
//!   `drain_quiet` and [`linger`](crate::Options::linger), by default 2.25 s.
//! * **The grace** should be shorter than the time that a service manager leaves between SIGTERM and SIGKILL.
//! * **Losses.** [`Net::undelivered`](crate::Net::undelivered) tells in `on_close` whether bytes of this connection did not
//!   reach the kernel, and [`Stats::undelivered`](crate::Stats::undelivered) counts such connections.
//! * **Bytes that reached the kernel have not reached the client yet.** After the last answer, the connection waits for the
//!   client's end of file until the client has been silent for [`linger`](crate::Options::linger) (2 s), or until the grace is
//!   over. A client that sends again after that is reset. The reset destroys answers that are still in the server's
//!   kernel, and the client's own kernel has not received these answers yet. Clients that send many requests
//!   ahead and read slowly therefore need a longer `linger` and a longer grace, both together.
//!   [`close_timeout`](crate::Options::close_timeout) (30 s) bounds `linger`.
//! * **A stop without an end** is [`Net::stop`](crate::Net::stop): `run` returns after the present turn, and all connections
//!   stay. Dropping the loop closes them, without a callback, and resets those with unsent bytes, so that no peer mistakes a
//!   part for the whole.
