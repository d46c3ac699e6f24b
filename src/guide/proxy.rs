//! Recipe: a proxy, which passes bytes between a client and a backend.
//!
//! The two connections of a pair know each other by their ids: the session of each connection has the id of the other
//! connection. [`Accepted::id`](crate::Accepted::id) is the id that the client's connection will have, so `on_accept` can
//! connect to the backend and give both ids away.
//!
//! The proxy does not know where a message ends, so only the proxy's own timer can tell that a pair has stalled. Each
//! connection looks now and then whether bytes of the pair have moved since its last look.
//!
//! The example `proxy` is this proxy as a program, with the PROXY protocol and with the last words of a backend.
//!
//! ```
//! use std::{
//!     io::{Read, Write},
//!     net::{Shutdown, TcpListener, TcpStream},
//!     thread,
//!     time::{Duration, Instant},
//! };
//! use tidegate::{Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Net, Options};
//!
//! struct Proxy {
//!     backend: Address,
//!     /// A pair over which no byte has moved for this time is reset.
//!     patience: Duration,
//!     /// In a drain, a pair without unsent bytes over which no byte has moved for this time is closed.
//!     quiet: Duration,
//! }
//!
//! /// One connection of a pair.
//! struct Half {
//!     other: ConnId,
//!     /// The last time at which the handler knows that a byte has moved.
//!     moved: Instant,
//!     /// The number of unsent bytes of the pair when this connection looked last.
//!     unsent: usize,
//! }
//!
//! impl Proxy {
//!     fn look_later(&self, conn: &mut Conn<'_, Half>) {
//!         let at = conn.net().now() + self.quiet.min(self.patience) / 4;
//!         conn.set_timeout(at, 0);
//!     }
//! }
//!
//! impl Handler for Proxy {
//!     type Session = Half;
//!
//!     fn on_accept(&mut self, net: &mut Net<Half>, from: &Accepted) -> Option<Half> {
//!         let moved = net.now();
//!         let other = net.connect(&self.backend, Half { other: from.id, moved, unsent: 0 });
//!         Some(Half { other, moved, unsent: 0 })
//!     }
//!
//!     fn on_open(&mut self, conn: &mut Conn<'_, Half>) {
//!         conn.pause_when_full(false); // the two directions do not depend on each other
//!         self.look_later(conn);
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_, Half>, input: &[u8]) -> usize {
//!         let (now, other) = (conn.net().now(), conn.session().other);
//!         conn.session().moved = now;
//!         if conn.net().send_all(other, input) == Flow::Full {
//!             conn.pause_reading(); // until the other connection has room again
//!         }
//!         input.len() // `Full` has taken the bytes; at `Gone`, the `on_close` of the other connection ends this connection
//!     }
//!
//!     fn on_writable(&mut self, conn: &mut Conn<'_, Half>) {
//!         let (now, other) = (conn.net().now(), conn.session().other);
//!         conn.session().moved = now; // the kernel has taken bytes
//!         conn.net().resume_reading(other);
//!     }
//!
//!     fn on_eof(&mut self, conn: &mut Conn<'_, Half>) {
//!         let (now, other) = (conn.net().now(), conn.session().other);
//!         conn.session().moved = now;
//!         conn.net().shutdown_write(other); // passes the end of file on; the other direction stays open
//!     }
//!
//!     fn on_timeout(&mut self, conn: &mut Conn<'_, Half>, _tag: u64) {
//!         let (now, other) = (conn.net().now(), conn.session().other);
//!         // While a connection is full, the other connection is paused, and no byte passes `on_data`. But the number of
//!         // unsent bytes changes as the slow reader takes them.
//!         let (queued, others) = (conn.queued(), conn.net().conn(other).map(|mut c| (c.queued(), c.session().moved)));
//!         let unsent = queued + others.map_or(0, |(queued, _)| queued);
//!         let half = conn.session();
//!         if half.unsent != unsent {
//!             (half.unsent, half.moved) = (unsent, now);
//!         }
//!         let moved = others.map_or(half.moved, |(_, moved)| moved.max(half.moved));
//!         let silence = now.saturating_duration_since(moved);
//!         if silence >= self.patience {
//!             conn.abort(); // `on_close` aborts the other connection
//!         } else if conn.net().is_draining() && unsent == 0 && silence >= self.quiet {
//!             conn.close();
//!             conn.net().close(other);
//!         } else {
//!             self.look_later(conn);
//!         }
//!     }
//!
//!     fn on_drain(&mut self, _conn: &mut Conn<'_, Half>) {} // the client and the backend decide, or `on_timeout`
//!
//!     fn on_close(&mut self, net: &mut Net<Half>, _id: ConnId, half: Half, why: CloseReason) {
//!         if !why.is_clean() {
//!             net.abort(half.other); // a truncated stream must not end with a clean end of file
//!         }
//!     }
//! }
//!
//! /// Serves a backend that gets requests of 10,000 bytes and handles each connection on a thread.
//! fn backend(serve: fn(&mut TcpStream) -> std::io::Result<()>) -> std::io::Result<Address> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let at = listener.local_addr()?;
//!     thread::spawn(move || {
//!         for stream in listener.incoming() {
//!             let mut stream = stream?;
//!             thread::spawn(move || {
//!                 stream.read_exact(&mut [0; 10_000])?;
//!                 serve(&mut stream)?;
//!                 stream.read_to_end(&mut Vec::new()) // until the proxy ends the connection
//!             });
//!         }
//!         std::io::Result::Ok(())
//!     });
//!     Ok(at.into())
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! const ANSWER: usize = 32 << 20; // more than the kernel holds
//! let quiet = Duration::from_millis(500);
//!
//! // A drain begins in the middle of two exchanges. One client ends its side; the other client stays open, as a client of
//! // a connection pool does, and reads nothing for a while. Both clients get the whole answer and a clean end of file.
//! let at = backend(|stream| stream.write_all(&vec![b'.'; ANSWER]))?;
//! let mut proxy = Proxy { backend: at, patience: Duration::from_secs(60), quiet };
//! let mut event_loop = EventLoop::new(Options::default())?;
//! let listener = event_loop.net().listen("127.0.0.1:0")?;
//! let at = event_loop.net().local_address(listener)?.socket_addrs().to_vec();
//! let (mut ends, mut stays_open) = (TcpStream::connect(&at[..])?, TcpStream::connect(&at[..])?);
//! let remote = event_loop.remote();
//! let pooled = thread::spawn(move || {
//!     stays_open.write_all(&[b'.'; 10_000])?;
//!     let mut answer = vec![0; 1];
//!     stays_open.read_exact(&mut answer)?;
//!     remote.drain(Duration::from_secs(60));
//!     thread::sleep(2 * quiet); // all buffers are full, and no byte moves
//!     stays_open.read_to_end(&mut answer)?; // a reset would be an error
//!     std::io::Result::Ok(answer.len())
//! });
//! let other = thread::spawn(move || {
//!     ends.write_all(&[b'.'; 10_000])?;
//!     ends.shutdown(Shutdown::Write)?;
//!     let mut answer = Vec::new();
//!     ends.read_to_end(&mut answer)?;
//!     std::io::Result::Ok(answer.len())
//! });
//! # let bound = event_loop.remote(); // a failure must not run for ever
//! # thread::spawn(move || {
//! #     thread::sleep(Duration::from_secs(60));
//! #     bound.drain(Duration::ZERO);
//! # });
//! event_loop.run(&mut proxy)?; // until the drain has ended
//! assert_eq!((pooled.join().unwrap()?, other.join().unwrap()?), (ANSWER, ANSWER));
//! assert_eq!(event_loop.net().stats().undelivered, 0);
//!
//! // A backend stalls in the middle of its answer. The client's read ends with an error and not with an end of file.
//! let at = backend(|stream| stream.write_all(b"the first half of"))?;
//! let mut proxy = Proxy { backend: at, patience: Duration::from_millis(40), quiet };
//! let mut event_loop = EventLoop::new(Options::default())?;
//! let listener = event_loop.net().listen("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(event_loop.net().local_address(listener)?.socket_addrs())?;
//! let remote = event_loop.remote();
//! let client = thread::spawn(move || {
//!     let read = client.write_all(&[b'.'; 10_000]).and_then(|()| client.read_to_end(&mut Vec::new()));
//!     remote.drain(Duration::ZERO);
//!     read
//! });
//! # let bound = event_loop.remote();
//! # thread::spawn(move || {
//! #     thread::sleep(Duration::from_secs(60));
//! #     bound.drain(Duration::ZERO);
//! # });
//! event_loop.run(&mut proxy)?;
//! assert!(client.join().unwrap().is_err());
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
//! * **Last words.** The abort discards bytes that wait for the client. A backend that answers early and resets the
//!   connection, as the system does for a socket that is closed with unread input, would be cut short in this way. So in the
//!   example `proxy`, a reset of the backend reaches the client only when the bytes before the reset have been with the kernel
//!   for a second. The example also closes the client of a connect that has failed, in place of a reset: no part of a stream
//!   has come from the backend, so the client cannot mistake a part for the whole.
//! * **Time.** `patience` is longer than any pause of a backend or a client in the middle of a stream, and than the time that
//!   an unused client may stay. A proxy must not set [`Options::idle_timeout`](crate::Options::idle_timeout): with nothing
//!   unsent, an idle timeout ends the connection with an end of file, also in the middle of an answer, so the client of a
//!   backend that stalls would take the half of an answer for the whole. A [`set_deadline`](crate::Conn::set_deadline) on an
//!   open connection has the same fault. As a timeout for the connect, a deadline is right, and `on_open` takes the deadline
//!   back: see the page [`connecting`](super::connecting).
//! * **Drain.** With the default [`on_drain`](crate::Handler::on_drain), a connection that waits for a slow backend would look
//!   idle after 250 ms and would be closed. With an empty `on_drain`, both sides decide when the stream is over. Pairs that
//!   are still open when the grace of the drain is over are reset.
//! * **A client that stays open**, as a client of a connection pool does, would make each drain take the whole grace, and
//!   would be reset then. So `on_timeout` closes both connections of a pair that is `quiet` and has nothing unsent. Without
//!   the look at [`queued`](crate::Conn::queued), a client that pauses for longer than `quiet` would read an end of file in
//!   the middle of its answer: a pair whose receiver is full looks quiet, however much is still to come. `quiet` is longer
//!   than the longest pause of a backend or a client in the middle of a message, because the end of a pair in such a pause
//!   is a clean end of file too. Without such a bound, a proxy leaves this branch out, and the grace resets these pairs.
//!   A request that comes after the close is discarded: see the page [`stopping`](super::stopping).
//! * **Losses.** [`Stats::undelivered`](crate::Stats::undelivered) counts connections whose bytes did not all reach the
//!   kernel. The count 0 does not tell whether the client has read everything: the reset at the end of the grace destroys
//!   bytes that the kernel has taken and the client has not received. Nor does the count tell of input: bytes that a
//!   connection received after its close are discarded, and never handed to a send of the other connection.
//! * **Names.** [`Address::resolve`](crate::Address::resolve) looks up the backend's name. The look-up may block, so the program
//!   makes it before the loop runs.
//!
//! # Several backends
//!
//! The simplest choice is round robin: each client gets the backend behind that of the client before.
//!
//! If all backends have socket addresses, one connection can try them all. The program makes an
//! [`Address::from_list`](crate::Address::from_list) for each backend, with this backend in front and the other backends behind
//! it, and `on_accept` takes the next of these addresses. The addresses of a list are tried in order, and the bytes that wait
//! in the outbox go to the first backend that answers. [`ConnectFailed`](crate::CloseReason::ConnectFailed) then means that no
//! backend has answered. [`ConnectOptions::timeout`](crate::ConnectOptions::timeout) sets the time for all of them together.
//!
//! A proxy that chooses anew after each failure, for example the backend with the fewest clients, or that has Unix sockets
//! among its backends, connects again in `on_close`. At `ConnectFailed`, the client is still there, and the session of its
//! connection gets the id of the new connection. Bytes that were sent to the failed connection are gone with that connection.
//! So the proxy does not read from the client until a backend is open, and the bytes wait in the kernel. (A proxy that has to
//! read before, because the first bytes decide which backend is right, keeps these bytes in the session.)
//!
//! ```
//! # use std::{io::{Read, Write}, net::{TcpListener, TcpStream}, thread, time::Duration};
//! use tidegate::{Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options};
//!
//! struct Proxy {
//!     backends: Vec<Address>,
//!     /// The index of the backend of the next client.
//!     next: usize,
//! }
//!
//! struct Half {
//!     other: ConnId,
//!     /// The backend of the pair, and the number of backends that have not been tried. `None`: this half is the client.
//!     backend: Option<(usize, usize)>,
//! }
//!
//! impl Proxy {
//!     fn connect(&self, net: &mut Net<Half>, client: ConnId, backend: usize, untried: usize) -> ConnId {
//!         net.connect(&self.backends[backend], Half { other: client, backend: Some((backend, untried)) })
//!     }
//! }
//!
//! impl Handler for Proxy {
//!     type Session = Half;
//!
//!     fn on_accept(&mut self, net: &mut Net<Half>, from: &Accepted) -> Option<Half> {
//!         let other = self.connect(net, from.id, self.next, self.backends.len() - 1);
//!         self.next = (self.next + 1) % self.backends.len();
//!         Some(Half { other, backend: None })
//!     }
//!
//!     fn on_open(&mut self, conn: &mut Conn<'_, Half>) {
//!         let half = conn.session();
//!         let (other, is_client) = (half.other, half.backend.is_none());
//!         match is_client {
//!             true => conn.pause_reading(), // until a backend is open
//!             false => conn.net().resume_reading(other),
//!         }
//!     }
//!
//!     fn on_close(&mut self, net: &mut Net<Half>, _id: ConnId, half: Half, why: CloseReason) {
//!         let is_there = net.session(half.other).is_some() && !net.is_draining();
//!         match (&why, half.backend) {
//!             (CloseReason::ConnectFailed(_), Some((backend, untried))) if untried > 0 && is_there => {
//!                 let next = (backend + 1) % self.backends.len();
//!                 let new = self.connect(net, half.other, next, untried - 1);
//!                 if let Some(client) = net.session(half.other) {
//!                     client.other = new;
//!                 }
//!             }
//!             (why, _) if why.is_clean() => {}
//!             _ => net.abort(half.other), // also if no backend is left
//!         }
//!     }
//!
//!     // The other callbacks are those of the proxy above.
//! #   fn on_data(&mut self, conn: &mut Conn<'_, Half>, input: &[u8]) -> usize {
//! #       let other = conn.session().other;
//! #       conn.net().send_all(other, input);
//! #       input.len()
//! #   }
//! #   fn on_eof(&mut self, conn: &mut Conn<'_, Half>) {
//! #       let other = conn.session().other;
//! #       conn.net().shutdown_write(other);
//! #   }
//! }
//! # fn main() -> std::io::Result<()> {
//! # // The port is taken, and nothing listens there.
//! # let mute = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
//! # mute.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
//! # let refuses = mute.local_addr()?.as_socket().unwrap();
//! # let listener = TcpListener::bind("127.0.0.1:0")?;
//! # let answers = listener.local_addr()?;
//! # let backend = thread::spawn(move || {
//! #     for _ in 0..4 {
//! #         let mut stream = listener.accept()?.0;
//! #         let mut request = [0; 5];
//! #         stream.read_exact(&mut request)?;
//! #         stream.write_all(&request)?;
//! #     }
//! #     std::io::Result::Ok(())
//! # });
//! # let backends = vec![refuses.into(), answers.into(), refuses.into()];
//! # let mut event_loop = EventLoop::new(Options::default())?;
//! # let listener = event_loop.net().listen("127.0.0.1:0")?;
//! # let at = event_loop.net().local_address(listener)?.socket_addrs()[0];
//! # let remote = event_loop.remote();
//! # let clients = thread::spawn(move || {
//! #     let ask = || {
//! #         let mut client = TcpStream::connect(at)?;
//! #         client.set_read_timeout(Some(Duration::from_secs(60)))?;
//! #         client.write_all(b"hello")?;
//! #         client.shutdown(std::net::Shutdown::Write)?;
//! #         let mut answer = Vec::new();
//! #         client.read_to_end(&mut answer)?;
//! #         std::io::Result::Ok(answer)
//! #     };
//! #     let answers: Vec<_> = (0..4).map(|_| ask()).collect();
//! #     remote.drain(Duration::from_secs(10));
//! #     answers
//! # });
//! # event_loop.run(&mut Proxy { backends, next: 0 })?;
//! # for answer in clients.join().unwrap() {
//! #     assert_eq!(answer?, b"hello");
//! # }
//! # backend.join().unwrap()?;
//! #
//! # // No backend is there.
//! # let mut event_loop = EventLoop::new(Options::default())?;
//! # let listener = event_loop.net().listen("127.0.0.1:0")?;
//! # let at = event_loop.net().local_address(listener)?.socket_addrs()[0];
//! # let remote = event_loop.remote();
//! # let client = thread::spawn(move || {
//! #     let mut client = TcpStream::connect(at)?;
//! #     client.set_read_timeout(Some(Duration::from_secs(60)))?;
//! #     let end = client.read(&mut [0]).map_err(|error| error.kind());
//! #     remote.drain(Duration::ZERO);
//! #     std::io::Result::Ok(end)
//! # });
//! # event_loop.run(&mut Proxy { backends: vec![refuses.into(); 3], next: 0 })?;
//! # assert_eq!(client.join().unwrap()?, Err(std::io::ErrorKind::ConnectionReset));
//! # Ok(())
//! # }
//! ```
//!
//! * **Every backend is tried once** for a client, so a client whose backends all refuse does not keep the loop busy.
//! * **A backend that does not answer** uses up the time of the client.
//!   [`ConnectOptions::timeout`](crate::ConnectOptions::timeout) bounds each connect. A proxy that leaves a failed backend out
//!   for some seconds notes the time of the failure beside the address.
