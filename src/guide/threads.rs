//! Recipe: work on other threads, and the way of the answer back to its connection.
//!
//! A callback that blocks stops the whole loop, so long work goes to another thread. The job takes the
//! [`ConnId`](crate::ConnId) of its connection along. The thread puts the answer into a channel and calls
//! [`Remote::wake`](crate::Remote::wake). The loop then calls [`on_wake`](crate::Handler::on_wake), which finds the connection
//! with [`Net::conn`](crate::Net::conn). The result is `None` if the connection has ended; the answer is then dropped.
//!
//! # One job of a connection at a time
//!
//! The handler pauses reading when it gives a job away, and resumes reading when the answer is there. The pause has three
//! effects. The answers keep the order of the requests. The client's end of file is not noticed before the answer is sent,
//! so the default [`on_eof`](crate::Handler::on_eof) does not close the connection too early. And a connection that the
//! handler has paused is not idle, so the default [`on_drain`](crate::Handler::on_drain) waits for the answer. The program
//! in the docs of [`Remote::wake`](crate::Remote::wake) works in this way, and needs no session.
//!
//! # Several jobs of a connection at a time
//!
//! Without the pause, the handler has to count the answers that it owes to each connection, because the crate does not know
//! them. The end of file and a drain must wait until the count is 0, so `on_eof` and `on_drain` are overridden.
//!
//! ```
//! use std::{
//!     io::{Read, Write},
//!     net::{Shutdown, TcpStream},
//!     sync::{
//!         Arc, Mutex,
//!         mpsc::{Receiver, Sender, channel},
//!     },
//!     thread,
//!     time::Duration,
//! };
//! use tidegate::{Accepted, Conn, ConnId, EventLoop, Handler, Net, Options, Remote, framing};
//!
//! /// This many jobs of one connection may be under way.
//! const MOST: usize = 16;
//!
//! type Bytes = Vec<u8>;
//!
//! /// Has threads answer each line. The answers may come in another order than the lines.
//! struct Server {
//!     jobs: Sender<(ConnId, Bytes)>,
//!     answers: Receiver<(ConnId, Bytes)>,
//! }
//!
//! #[derive(Default)]
//! struct Client {
//!     /// The number of jobs whose answers have not been sent yet.
//!     owed: usize,
//!     /// The client has ended its sending direction.
//!     has_ended: bool,
//! }
//!
//! /// In a drain, a connection has one job at a time, so that `on_drain` below can tell whether an answer is owed.
//! fn takes_more(conn: &mut Conn<'_, Client>) -> bool {
//!     let most = if conn.net().is_draining() { 1 } else { MOST };
//!     conn.session().owed < most
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
//!         while takes_more(conn) {
//!             match lines.next() {
//!                 Some(Ok(line)) => {
//!                     self.jobs.send((conn.id(), line.to_vec())).expect("the threads wait for jobs");
//!                     conn.session().owed += 1;
//!                 }
//!                 Some(Err(_)) => {
//!                     conn.abort();
//!                     break;
//!                 }
//!                 None => break,
//!             }
//!         }
//!         if !takes_more(conn) {
//!             conn.pause_reading(); // the other lines, and the end of file, wait for `on_wake`
//!         }
//!         lines.used()
//!     }
//!
//!     fn on_wake(&mut self, net: &mut Net<Client>) {
//!         for (id, answer) in self.answers.try_iter() {
//!             let Some(mut conn) = net.conn(id) else { continue }; // the connection has ended meanwhile
//!             conn.send_all(&answer);
//!             conn.session().owed -= 1;
//!             if conn.session().has_ended && conn.session().owed == 0 {
//!                 conn.close();
//!             } else if takes_more(&mut conn) {
//!                 conn.resume_reading();
//!             }
//!         }
//!     }
//!
//!     fn on_eof(&mut self, conn: &mut Conn<'_, Client>) {
//!         conn.session().has_ended = true;
//!         if conn.session().owed == 0 {
//!             conn.close(); // otherwise `on_wake` closes the connection after the last answer
//!         }
//!     }
//!
//!     fn on_drain(&mut self, conn: &mut Conn<'_, Client>) {
//!         if conn.session().owed > 0 {
//!             conn.pause_reading(); // a paused connection is not idle; `on_wake` resumes reading
//!         }
//!         let quiet = conn.net().options().drain_quiet;
//!         conn.close_when_idle(quiet);
//!     }
//! }
//!
//! /// Takes jobs until the server is gone. A panic in `work` would lose the answer, and the connection would wait for ever.
//! fn work_off(jobs: &Mutex<Receiver<(ConnId, Bytes)>>, done: &Sender<(ConnId, Bytes)>, remote: &Remote) {
//!     loop {
//!         let job = jobs.lock().unwrap().recv(); // the lock is free again while this thread works
//!         let Ok((id, line)) = job else { return };
//!         if done.send((id, work(&line))).is_err() {
//!             return;
//!         }
//!         remote.wake();
//!     }
//! }
//!
//! fn work(line: &[u8]) -> Bytes {
//!     [&line.to_ascii_uppercase(), &b"\n"[..]].concat()
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new(Options::default())?;
//! let listener = event_loop.net().listen("127.0.0.1:0")?;
//! let (jobs, to_do) = channel();
//! let (done, answers) = channel();
//! let to_do = Arc::new(Mutex::new(to_do));
//! for _ in 0..4 {
//!     let (to_do, done, remote) = (Arc::clone(&to_do), done.clone(), event_loop.remote());
//!     thread::spawn(move || work_off(&to_do, &done, &remote));
//! }
//!
//! let mut client = TcpStream::connect(event_loop.net().local_address(listener)?.socket_addrs())?;
//! client.write_all(&b"tide\n".repeat(1000))?;
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
//! assert!(reader.join().unwrap()? == b"TIDE\n".repeat(1000)); // one answer for each line
//! # Ok(())
//! # }
//! ```
//!
//! * **The order.** Answers come in the order in which the threads finish. A protocol with several jobs at a time therefore
//!   has a number in each request, which the answer repeats; or the handler sorts the answers before it sends them.
//! * **The bound.** At most `MOST` jobs of a connection wait. A client that reads no answers is not read either, once its
//!   outbox is above high water, so its outbox keeps at most the high water mark and `MOST` answers.
//! * **In a drain** an answer may take longer than [`drain_quiet`](crate::Options::drain_quiet). The connection would look
//!   idle if reading were not paused, and the answer would be lost. So `on_drain` pauses reading while answers are owed,
//!   and each further request pauses reading again.
//! * **The grace** of a drain bounds everything: connections that still owe answers when the grace is over are reset.
//! * **Several answers, one wake.** Several calls of `wake` may make one `on_wake`, so `on_wake` takes all answers that
//!   are there.
