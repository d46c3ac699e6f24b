//! Recipe: an outgoing connection with a timeout, and new attempts after a failure.
//!
//! [`Net::connect`](crate::Net::connect) cannot fail on the spot. A failure comes in
//! [`on_close`](crate::Handler::on_close), with the session: as
//! [`ConnectFailed`](crate::CloseReason::ConnectFailed) if no address could be connected to, and as
//! [`Deadline`](crate::CloseReason::Deadline) if the deadline of the handler has passed.
//!
//! * The **timeout** is [`Conn::set_deadline`](crate::Conn::set_deadline), right after `connect`. The deadline ends the
//!   connection at this time, whether it is open or not; so `on_open` takes the deadline back, or moves it to the time by
//!   which the answer must be there. A handler that wants to decide at that time uses
//!   [`Conn::set_timeout`](crate::Conn::set_timeout), which only calls [`on_timeout`](crate::Handler::on_timeout).
//! * A **new attempt** is a timer: `on_close` calls [`Net::set_timer`](crate::Net::set_timer), and
//!   [`on_timer`](crate::Handler::on_timer) connects again. Without the pause between attempts, a backend that refuses at
//!   once would keep the loop busy.
//! * **In a drain** there is no new attempt. A drain waits until all sessions are gone, and each attempt adds a session.
//!   [`Net::is_draining`](crate::Net::is_draining) is true from the call of [`drain`](crate::Net::drain) until the drain is
//!   over. A timer that has not fired yet does not hold up a drain.
//!
//! ```
//! use std::{
//!     io::{Read, Write},
//!     net::TcpListener,
//!     thread,
//!     time::{Duration, Instant},
//! };
//! use tidegate::{Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options};
//!
//! const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
//! const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
//! const FIRST_PAUSE: Duration = Duration::from_millis(50);
//! const LONGEST_PAUSE: Duration = Duration::from_secs(30);
//!
//! /// Asks a server for its greeting until the greeting has come.
//! struct Asker {
//!     server: Address,
//!     /// The pause before the next attempt. Each failure doubles it.
//!     pause: Duration,
//!     greeting: Option<Vec<u8>>,
//! }
//!
//! impl Asker {
//!     fn connect(&self, net: &mut Net, now: Instant) {
//!         let id = net.connect(&self.server, ());
//!         if let Some(mut conn) = net.conn(id) {
//!             conn.set_deadline(Some(now + CONNECT_TIMEOUT));
//!         } // `None`: no token was left; `on_close` follows as for other failures
//!     }
//! }
//!
//! impl Handler for Asker {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         None // the program has no listener
//!     }
//!
//!     fn on_open(&mut self, conn: &mut Conn<'_>) {
//!         let now = conn.net().now();
//!         conn.set_deadline(Some(now + ANSWER_TIMEOUT));
//!         conn.send_all(b"hello\n");
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return 0 };
//!         self.greeting = Some(input[..end].to_vec());
//!         conn.close();
//!         end + 1
//!     }
//!
//!     fn on_close(&mut self, net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
//!         if self.greeting.is_some() {
//!             net.stop();
//!         } else if !net.is_draining() {
//!             println!("no greeting ({why:?}); the next attempt comes in {:?}", self.pause);
//!             net.set_timer(net.now() + self.pause, 0);
//!             self.pause = (2 * self.pause).min(LONGEST_PAUSE);
//!         }
//!     }
//!
//!     fn on_timer(&mut self, net: &mut Net, _tag: u64) {
//!         if !net.is_draining() { // the drain may have begun during the pause
//!             let now = net.now();
//!             self.connect(net, now);
//!         }
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! // This server closes its first connection without an answer.
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let at = server.local_addr()?;
//! let server = thread::spawn(move || {
//!     drop(server.accept()?);
//!     let mut stream = server.accept()?.0;
//!     stream.write_all(b"good tide\n")?;
//!     stream.read_to_end(&mut Vec::new())
//! });
//!
//! let mut asker = Asker { server: at.into(), pause: FIRST_PAUSE, greeting: None };
//! let mut event_loop = EventLoop::new(Options::default())?;
//! asker.connect(event_loop.net(), Instant::now()); // outside of a turn, `Net::now` is the time of the last turn
//! # let bound = event_loop.remote(); // a failure must not run for ever
//! # thread::spawn(move || {
//! #     thread::sleep(Duration::from_secs(60));
//! #     bound.drain(Duration::ZERO);
//! # });
//! event_loop.run(&mut asker)?;
//! drop(event_loop);
//! assert_eq!(asker.greeting.as_deref(), Some(&b"good tide"[..]));
//! server.join().unwrap()?;
//! # Ok(())
//! # }
//! ```
//!
//! * **Several addresses.** A name may have several addresses, which are tried in order. The deadline above is for all of
//!   them together.
//! * **The name.** [`Address::resolve`](crate::Address::resolve) may block, so the program resolves the name before the loop
//!   runs, or on another thread.
//! * **Many clients at a time** that lose their server together should not come back together: such a program adds a random
//!   part to the pause.
//! * **A connection that was open for a while** is no failure of the server: such a program sets the pause back to
//!   its first value in `on_open`, or when the first answer has come.
