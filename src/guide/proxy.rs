//! Recipe: a proxy, which passes bytes between a client and a backend.
//!
//! The two connections of a pair know each other by their ids: the session of each connection is the id of the other connection.
//! [`Accepted::id`](crate::Accepted::id) is the id that the client's connection will have, so `on_accept` can connect to
//! the backend and give both ids away.
//!
//! ```
//! use std::{
//!     io::{Read, Write},
//!     net::{Shutdown, TcpListener, TcpStream},
//!     thread,
//!     time::Duration,
//! };
//! use tidegate::{Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Net, Options};
//!
//! struct Proxy {
//!     backend: Address,
//! }
//!
//! impl Handler for Proxy {
//!     type Session = ConnId; // the other connection of the pair
//!
//!     fn on_accept(&mut self, net: &mut Net<ConnId>, from: &Accepted) -> Option<ConnId> {
//!         Some(net.connect(&self.backend, from.id))
//!     }
//!
//!     fn on_open(&mut self, conn: &mut Conn<'_, ConnId>) {
//!         conn.pause_when_full(false); // the two directions do not depend on each other
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_, ConnId>, input: &[u8]) -> usize {
//!         let other = *conn.session();
//!         if conn.net().send_all(other, input) == Flow::Full {
//!             conn.pause_reading(); // until the other connection has room again
//!         }
//!         input.len() // `Full` has taken the bytes; at `Gone`, the `on_close` of the other connection ends this connection
//!     }
//!
//!     fn on_writable(&mut self, conn: &mut Conn<'_, ConnId>) {
//!         let other = *conn.session();
//!         conn.net().resume_reading(other);
//!     }
//!
//!     fn on_eof(&mut self, conn: &mut Conn<'_, ConnId>) {
//!         let other = *conn.session();
//!         conn.net().shutdown_write(other); // passes the end of file on; the other direction stays open
//!     }
//!
//!     fn on_drain(&mut self, _conn: &mut Conn<'_, ConnId>) {} // the client and the backend decide when they are done
//!
//!     fn on_close(&mut self, net: &mut Net<ConnId>, _id: ConnId, other: ConnId, why: CloseReason) {
//!         if !why.is_clean() {
//!             net.abort(other); // a truncated stream must not end with a clean end of file
//!         }
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! // The backend reads a request up to the end of file and sends the request back a thousand times.
//! let backend = TcpListener::bind("127.0.0.1:0")?;
//! let at = backend.local_addr()?;
//! let backend = thread::spawn(move || {
//!     let mut stream = backend.accept()?.0;
//!     let mut request = Vec::new();
//!     stream.read_to_end(&mut request)?;
//!     stream.write_all(&request.repeat(1000))
//! });
//!
//! let mut event_loop = EventLoop::new(Options::default())?;
//! let listener = event_loop.net().listen("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(event_loop.net().local_address(listener)?.socket_addrs())?;
//! let remote = event_loop.remote();
//! let client = thread::spawn(move || {
//!     client.write_all(&[b'.'; 10_000])?;
//!     remote.drain(Duration::from_secs(60)); // the proxy is asked to end in the middle of the exchange
//!     client.shutdown(Shutdown::Write)?;
//!     let mut answer = Vec::new();
//!     client.read_to_end(&mut answer)?;
//!     std::io::Result::Ok(answer.len())
//! });
//! # let bound = event_loop.remote(); // a failure must not run for ever
//! # thread::spawn(move || {
//! #     thread::sleep(Duration::from_secs(60));
//! #     bound.drain(Duration::ZERO);
//! # });
//! event_loop.run(&mut Proxy { backend: at.into() })?; // until the drain has ended
//! assert_eq!(client.join().unwrap()?, 10_000_000);
//! backend.join().unwrap()?;
//! assert_eq!(event_loop.net().stats().undelivered, 0);
//! # Ok(())
//! # }
//! ```
//!
//! * **Backpressure.** At [`Flow::Full`](crate::Flow::Full) the handler pauses the connection that the bytes come from.
//!   [`on_writable`](crate::Handler::on_writable) of the full connection resumes it. So a pair keeps at most the high water
//!   mark and the bytes of one `on_data` in each direction.
//! * **`pause_when_full(false)`.** With the pause on, a client that does not read its answers would not be read either. A
//!   client that sends all of an upload before it reads would then stop for ever once its answers fill the outbox, although
//!   the backend still takes the upload. With the pause off, a direction waits only for its own receiver. The pause is on at
//!   first for accepted connections and off for outgoing connections; the handler switches the pause off for both, so that nothing
//!   depends on how a connection was made.
//! * **Bytes before the connection is open.** A client may send while the backend is still being connected to. Those bytes
//!   wait in the outbox of the outgoing connection, under the same limits.
//! * **Ends.** An end of file closes one direction of the pair. When both directions have ended, each connection ends by
//!   itself with [`CloseReason::Eof`](crate::CloseReason::Eof), once all of its bytes are sent, so a clean end leaves nothing to
//!   do. A call of [`close`](crate::Conn::close) for the other connection would set a limit for a slow client:
//!   [`close_timeout`](crate::Options::close_timeout) (30 s). A proxy that itself calls `close` for one connection of a
//!   pair has to close the other connection too. At every other reason, a reset, a failed connect, or a limit,
//!   the handler aborts the other connection, so that neither side mistakes a part of a stream for the whole stream.
//! * **Time.** Nothing above ends a client that takes no byte. [`Options::idle_timeout`](crate::Options::idle_timeout) does;
//!   its time does not run for a connection that the handler has paused, but it runs for the connection that is full. The
//!   page [`connecting`](super::connecting) shows a timeout for the connect.
//! * **Drain.** With the default [`on_drain`](crate::Handler::on_drain), a connection that waits for a slow backend would look
//!   idle after 250 ms and would be closed. With an empty `on_drain`, both sides decide when the stream is over. Pairs that
//!   are still open when the grace of the drain is over are reset.
//! * **A client that stays open**, as a client of a connection pool does, makes each drain take the whole grace, and is reset
//!   then. The remedy is a timer: the sessions of a pair also keep the time of the last byte, `on_drain` sets
//!   [`set_timeout`](crate::Conn::set_timeout), and [`on_timeout`](crate::Handler::on_timeout) calls `close` for both
//!   connections if the pair has been quiet for N seconds, and otherwise sets the timer again. N is longer than the
//!   longest time that the backend takes for an answer.
//! * **Losses.** [`Stats::undelivered`](crate::Stats::undelivered) counts connections whose bytes did not all reach the
//!   kernel. The count 0 does not tell whether the client has read everything: the reset at the end of the grace destroys
//!   bytes that the kernel has taken and the client has not received.
//! * **Names.** [`Address::resolve`](crate::Address::resolve) looks up the backend's name. The look-up may block, so the program
//!   makes it before the loop runs.
