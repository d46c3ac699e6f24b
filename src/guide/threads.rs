//! Recipe: work on other threads, and the way of the answer back to its connection.
//!
//! A callback that blocks stops the whole loop, so long work goes to another thread. The job takes the
//! [`ConnId`](crate::ConnId) of its connection along. The thread sends the answer through a channel of the loop
//! ([`EventLoop::channel`](crate::EventLoop::channel)), which wakes the loop. The loop then calls
//! [`on_wake`](crate::Handler::on_wake), which takes the answers and finds their connections with
//! [`Net::conn`](crate::Net::conn). The result is `None` if the connection has ended; the answer is then dropped.
//!
//! # One job of a connection at a time
//!
//! The handler pauses reading when it gives a job away, and resumes reading when the answer is there. The pause has three
//! effects. The answers keep the order of the requests. The client's end of file is not noticed before the answer is sent,
//! so the default [`on_eof`](crate::Handler::on_eof) does not close the connection too early. And a connection that the
//! handler has paused is not idle, so the default [`on_drain`](crate::Handler::on_drain) waits for the answer. The handler
//! needs no session.
//!
//! ```
//! use std::{
//!     io::{Read, Write},
//!     net::{Shutdown, TcpStream},
//!     sync::mpsc,
//!     thread,
//! };
//! use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options, Receiver, framing};
//!
//! /// Has a worker thread answer each line.
//! struct Server {
//!     jobs: mpsc::Sender<(ConnId, Vec<u8>)>,
//!     answers: Receiver<(ConnId, Vec<u8>)>,
//! }
//!
//! impl Handler for Server {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 100);
//!         match lines.next() {
//!             Some(Ok(line)) => {
//!                 self.jobs.send((conn.id(), line.to_vec())).expect("the worker waits for jobs");
//!                 conn.pause_reading(); // further lines, and the end of file, wait for the answer
//!             }
//!             Some(Err(_)) => conn.abort(),
//!             None => {}
//!         }
//!         lines.used()
//!     }
//!
//!     fn on_wake(&mut self, net: &mut Net) {
//!         for (id, answer) in self.answers.try_iter() {
//!             // `None` if the connection has ended meanwhile: no client waits for this answer.
//!             if let Some(mut conn) = net.conn(id) {
//!                 conn.send_owned(answer);
//!                 conn.resume_reading();
//!             }
//!         }
//!     }
//! #
//! #     fn on_close(&mut self, net: &mut Net, _id: ConnId, _session: (), _why: CloseReason) {
//! #         net.stop();
//! #     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new(Options::default())?;
//! let listener = event_loop.net().listen("127.0.0.1:0")?;
//! let (jobs, to_do) = mpsc::channel::<(ConnId, Vec<u8>)>();
//! let (done, answers) = event_loop.channel();
//! thread::spawn(move || {
//!     for (id, line) in to_do {
//!         if done.send((id, line.to_ascii_uppercase())).is_err() {
//!             return; // the server is gone
//!         }
//!     }
//! });
//!
//! let mut client = TcpStream::connect(event_loop.net().local_address(listener)?.socket_addrs())?;
//! client.write_all(b"two\nlines\n")?;
//! client.shutdown(Shutdown::Write)?;
//! event_loop.run(&mut Server { jobs, answers })?; // until on_close calls `net.stop()`
//! # drop(event_loop);
//!
//! let mut received = String::new();
//! client.read_to_string(&mut received)?;
//! assert_eq!(received, "TWOLINES");
//! # Ok(())
//! # }
//! ```
//!
//! A client that has gone needs no answer. [`on_peer_closed`](crate::Handler::on_peer_closed) tells of its end during the pause,
//! so a handler can call a long job off.
//!
//! # Several jobs of a connection at a time
//!
//! Without the pause, the handler has to keep a list of the answers that it owes to each connection, because the crate does
//! not know them. The list also sorts the answers: an answer waits in its place until all earlier answers are sent.
//!
//! The end of file and a drain must wait until the list is empty, so `on_eof` and `on_drain` are overridden. In a drain,
//! [`close_when_idle`](crate::Conn::close_when_idle) stays in force until the connection ends: a call that was made while no
//! answer was owed would close the connection in the middle of a later job. So the handler calls `close_when_idle` again
//! after every change of the list. A second call replaces the first.
//!
//! ```
//! use std::{
//!     collections::VecDeque,
//!     io::{Read, Write},
//!     net::{Shutdown, TcpStream},
//!     sync::{Arc, Mutex, mpsc},
//!     thread,
//!     time::Duration,
//! };
//! use tidegate::{Accepted, Conn, ConnId, EventLoop, Handler, Net, Options, Receiver, Sender, framing};
//!
//! /// This many jobs of one connection may be under way.
//! const MOST: usize = 16;
//! /// `close_when_idle` takes a time of more than 49 days for never.
//! const NEVER: Duration = Duration::MAX;
//!
//! type Bytes = Vec<u8>;
//!
//! /// A line or its answer, with its connection and its number in the connection.
//! type Job = (ConnId, u64, Bytes);
//!
//! /// Has threads answer each line. The threads may finish in another order than that of the lines.
//! struct Server {
//!     jobs: mpsc::Sender<Job>,
//!     answers: Receiver<Job>,
//! }
//!
//! #[derive(Default)]
//! struct Client {
//!     /// The jobs whose answers have not been sent yet. An answer that waits for an earlier answer is `Some`.
//!     owed: VecDeque<Option<Bytes>>,
//!     /// The number of the first job in `owed`.
//!     first: u64,
//!     /// The client has ended its sending direction.
//!     has_ended: bool,
//! }
//!
//! /// In a drain, silence is a reason to close the connection only while no answer is owed. `close_when_idle` does not know
//! /// the answers that are owed, so this function is called after every change of the list.
//! fn drain_goes_on(conn: &mut Conn<'_, Client>) {
//!     if conn.net().is_draining() {
//!         let quiet = conn.net().options().drain_quiet;
//!         let owes_nothing = conn.session().owed.is_empty();
//!         conn.close_when_idle(if owes_nothing { quiet } else { NEVER });
//!     }
//! }
//!
//! impl Handler for Server {
//!     type Session = Client;
//!
//!     fn on_accept(&mut self, _net: &mut Net<Client>, _from: &Accepted) -> Option<Client> {
//!         Some(Client::default())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_, Client>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 100);
//!         while conn.session().owed.len() < MOST {
//!             match lines.next() {
//!                 Some(Ok(line)) => {
//!                     let (id, client) = (conn.id(), conn.session());
//!                     let number = client.first + client.owed.len() as u64;
//!                     client.owed.push_back(None);
//!                     self.jobs.send((id, number, line.to_vec())).expect("the threads wait for jobs");
//!                 }
//!                 Some(Err(_)) => {
//!                     conn.abort();
//!                     break;
//!                 }
//!                 None => break,
//!             }
//!         }
//!         if conn.session().owed.len() == MOST {
//!             conn.pause_reading(); // the other lines, and the end of file, wait for `on_wake`
//!         }
//!         drain_goes_on(conn);
//!         lines.used()
//!     }
//!
//!     fn on_wake(&mut self, net: &mut Net<Client>) {
//!         for (id, number, answer) in self.answers.try_iter() {
//!             let Some(mut conn) = net.conn(id) else { continue }; // the connection has ended meanwhile
//!             let (client, mut out) = conn.split();
//!             client.owed[(number - client.first) as usize] = Some(answer);
//!             while let Some(Some(answer)) = client.owed.front() {
//!                 out.send_all(answer);
//!                 client.owed.pop_front();
//!                 client.first += 1;
//!             }
//!             if client.has_ended && client.owed.is_empty() {
//!                 conn.shutdown_write(); // the connection ends when the last answer is sent
//!             } else {
//!                 conn.resume_reading(); // harmless while answers are owed: `on_data` looks at their number
//!                 drain_goes_on(&mut conn);
//!             }
//!         }
//!     }
//!
//!     fn on_eof(&mut self, conn: &mut Conn<'_, Client>) {
//!         conn.session().has_ended = true;
//!         if conn.session().owed.is_empty() {
//!             conn.shutdown_write(); // otherwise `on_wake` makes this call after the last answer
//!         }
//!     }
//!
//!     fn on_drain(&mut self, conn: &mut Conn<'_, Client>) {
//!         drain_goes_on(conn);
//!     }
//! }
//!
//! /// Takes jobs until the server is gone. A panic in `work` would lose the answer, and the connection would wait for ever.
//! fn work_off(jobs: &Mutex<mpsc::Receiver<Job>>, done: &Sender<Job>) {
//!     loop {
//!         let job = jobs.lock().unwrap().recv(); // the lock is free again while this thread works
//!         let Ok((id, number, line)) = job else { return };
//!         if done.send((id, number, work(&line))).is_err() {
//!             return;
//!         }
//!     }
//! }
//!
//! fn work(line: &[u8]) -> Bytes {
//!     if line.ends_with(b"0") {
//!         thread::sleep(Duration::from_millis(1)); // the other threads overtake this thread
//!     }
//!     [&line.to_ascii_uppercase(), &b"\n"[..]].concat()
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new(Options::default())?;
//! let listener = event_loop.net().listen("127.0.0.1:0")?;
//! let (jobs, to_do) = mpsc::channel();
//! let (done, answers) = event_loop.channel();
//! let to_do = Arc::new(Mutex::new(to_do));
//! for _ in 0..4 {
//!     let (to_do, done) = (Arc::clone(&to_do), done.clone());
//!     thread::spawn(move || work_off(&to_do, &done));
//! }
//!
//! let mut client = TcpStream::connect(event_loop.net().local_address(listener)?.socket_addrs())?;
//! let lines: String = (0..1000).map(|number| format!("tide {number}\n")).collect();
//! client.write_all(lines.as_bytes())?;
//! client.shutdown(Shutdown::Write)?;
//! let remote = event_loop.remote();
//! let reader = thread::spawn(move || {
//!     let mut received = vec![0; 500];
//!     client.read_exact(&mut received)?;
//!     remote.drain(Duration::from_secs(60)); // the client is still served, and then `run` returns
//!     client.read_to_end(&mut received)?;
//!     std::io::Result::Ok(received)
//! });
//! # let bound = event_loop.remote(); // a failure must not run for ever
//! # thread::spawn(move || {
//! #     thread::sleep(Duration::from_secs(60));
//! #     bound.drain(Duration::ZERO);
//! # });
//! event_loop.run(&mut Server { jobs, answers })?;
//! let answers = reader.join().unwrap()?;
//! assert!(answers == lines.to_ascii_uppercase().as_bytes()); // one answer for each line, in the order of the lines
//! # Ok(())
//! # }
//! ```
//!
//! * **The order.** A protocol with a number in each request, which the answer repeats, may send each answer as soon as it
//!   is there. Its `owed` is a count, and `on_wake` calls `send_all` and subtracts 1 from the count.
//! * **The bound.** At most `MOST` jobs of a connection wait. A client that reads no answers is not read either, once its
//!   outbox is above high water, so its outbox keeps at most the high water mark and `MOST` answers. This sum must be below
//!   [`max_outbox`](crate::Options::max_outbox) (16 MiB): otherwise a slow reader is reset. So `work` limits the length of
//!   an answer, or `MOST` is small.
//! * **In a drain** an answer may take longer than [`drain_quiet`](crate::Options::drain_quiet) (250 ms). The connection
//!   would look idle in that time, and the answer would be lost. So `drain_goes_on` moves the close to never while answers
//!   are owed, and back to `drain_quiet` when the last answer is sent. A connection goes on with up to `MOST` jobs at a
//!   time, also in a drain.
//! * **The end of file.** A connection whose client has ended ends by itself when the last answer is sent, because
//!   [`shutdown_write`](crate::Conn::shutdown_write) ends the other direction. [`close`](crate::Conn::close) would reset
//!   the connection of a slow reader if bytes are unsent after [`close_timeout`](crate::Options::close_timeout) (30 s).
//!   `shutdown_write` has no such limit, so an [`idle_timeout`](crate::Options::idle_timeout) should end clients that take
//!   no byte. Its time runs also while answers are owed and reading is not paused, so `idle_timeout` must be longer than
//!   the longest time from a request to its answer, with the time in the queue of the threads. Otherwise the client reads
//!   a clean end of file in place of its answer.
//! * **The grace** of a drain bounds everything: connections that still owe answers when the grace is over are reset.
//! * **Several answers, one wake.** Several answers may make one `on_wake`, so `on_wake` takes all answers that are there.
//!   A handler that has a bound for its work in a turn takes `try_iter().take(100)`, and the next turn brings the rest.
//! * **The end of the program.** A drain waits for connections, and not for messages or threads. When `run` has returned, the
//!   handler still has the [`Receiver`](crate::Receiver) and may take the rest from it. The program drops the receiver before
//!   it joins the threads, because a thread may wait in `send` for room in a bounded channel.
//! * **A bound for all answers.** [`EventLoop::bounded_channel`](crate::EventLoop::bounded_channel) holds the threads up while
//!   the loop does not take their answers.
//!
//! # Clients on other threads
//!
//! One thread can accept for the loops of several threads: [`Conn::detach`](crate::Conn::detach) takes a connection out of its
//! loop, a channel brings it to the thread of another loop, and
//! [`Net::attach`](crate::Net::attach) serves it there. The example `per_core` with `--hand-over` gives each client to the loop
//! that has the fewest clients.
