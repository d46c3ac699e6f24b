//! Recipe: an outgoing connection with a timeout, and new attempts after a failure.
//!
//! [`Net::connect_with`](crate::Net::connect_with) cannot fail on the spot. A failure comes in
//! [`on_close`](crate::Handler::on_close), with the session, as
//! [`ConnectFailed`](crate::CloseReason::ConnectFailed). [`Net::was_open`](crate::Net::was_open) tells there, for every
//! reason, whether the connection was established before it ended.
//!
//! * The **timeout** for the connect is [`ConnectOptions::timeout`](crate::ConnectOptions::timeout). It is for all addresses
//!   of the server together: each address gets an equal share of the time that is left, so that an address that never answers
//!   does not use up the time of the next one. [`address_timeout`](crate::ConnectOptions::address_timeout) sets the time for
//!   each address instead. The error in `ConnectFailed` is then of the kind [`TimedOut`](std::io::ErrorKind::TimedOut).
//! * The **time for the answer** is [`Conn::set_deadline`](crate::Conn::set_deadline) in `on_open`. A handler that wants to
//!   decide at that time uses [`Conn::set_timeout`](crate::Conn::set_timeout), which only calls
//!   [`on_timeout`](crate::Handler::on_timeout).
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
//!     time::Duration,
//! };
//! use tidegate::{Accepted, Address, CloseReason, Conn, ConnId, ConnectOptions, EventLoop, Handler, Net, Options};
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
//!     fn connect(&self, net: &mut Net) {
//!         net.connect_with(&self.server, (), ConnectOptions::default().timeout(Some(CONNECT_TIMEOUT)));
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
//!             net.drain(Duration::from_secs(10)); // not `stop`: the peer may not have received all bytes yet
//!         } else if !net.is_draining() {
//!             let problem = if net.was_open() { "no greeting" } else { "no connection" };
//!             println!("{problem}: {why}; the next attempt comes in {:?}", self.pause);
//!             net.set_timer(net.now() + self.pause, 0);
//!             self.pause = (2 * self.pause).min(LONGEST_PAUSE);
//!         }
//!     }
//!
//!     fn on_timer(&mut self, net: &mut Net, _tag: u64) {
//!         if !net.is_draining() { // the drain may have begun during the pause
//!             self.connect(net);
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
//! asker.connect(event_loop.net());
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
//! * **The name.** [`Address::resolve`](crate::Address::resolve) may block, so the program resolves the name before the loop
//!   runs, or on another thread. A name may have several addresses, which are tried in order. A server and its backups are
//!   one `Address` too: [`Address::from_list`](crate::Address::from_list).
//! * **Limits of its own.** A connection to a backend may need other limits than the connections of clients:
//!   [`ConnectOptions`](crate::ConnectOptions) has watermarks, the limits of the outbox and the inbox, and the idle timeout.
//! * **Many clients at a time** that lose their server together should not come back together: such a program adds a random
//!   part to the pause.
//! * **A connection that was open for a while** is no failure of the server: such a program sets the pause back to
//!   its first value in `on_open`, or when the first answer has come.
