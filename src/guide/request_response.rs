//! Recipe: a server that finds requests in its input and answers each of them.
//!
//! # The end of file
//!
//! A client may end its sending direction after its last request and then read the answers. The default
//! [`on_eof`](crate::Handler::on_eof) calls [`close`](crate::Conn::close), which resets the connection if bytes are unsent
//! after [`close_timeout`](crate::Options::close_timeout) (30 s). `on_eof` comes when all requests are consumed, so the bytes
//! that are unsent then are at most the high water mark and the last answer. The first recipe keeps the default, because
//! its answers are small. The second recipe calls [`shutdown_write`](crate::Conn::shutdown_write), which has no such limit:
//! the client may take the rest of the answers as slowly as it likes. An
//! [`idle_timeout`](crate::Options::idle_timeout) then ends clients that take nothing at all. A server of small answers
//! that has very slow clients does likewise.
//!
//! # Many small answers
//!
//! A client may send a thousand requests at once and read no answer. The handler therefore looks at the
//! [`Flow`](crate::Flow) of every send, and stops its loop at [`Flow::Full`](crate::Flow::Full). The handler then returns the
//! number of bytes of the requests that it has answered. The other requests stay in the inbox, and the connection is not
//! read until the client has taken enough of the answers. Then `on_data` is shown the other requests, even if no new byte
//! has come.
//!
//! ```
//! use std::collections::HashMap;
//! use tidegate::{Accepted, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// The longest request, without its line end.
//! const LONGEST: usize = 512;
//!
//! /// Answers "get NAME" with the value of the name, and "set NAME VALUE" with "ok".
//! #[derive(Default)]
//! struct Store {
//!     values: HashMap<String, String>,
//! }
//!
//! impl Store {
//!     fn answer(&mut self, request: &str, conn: &mut Conn<'_>) -> Flow {
//!         let mut words = request.splitn(3, ' ');
//!         match (words.next(), words.next(), words.next()) {
//!             (Some("get"), Some(name), None) => match self.values.get(name) {
//!                 Some(value) => writeln!(conn, "{value}"),
//!                 None => writeln!(conn, "unknown"),
//!             },
//!             (Some("set"), Some(name), Some(value)) => {
//!                 self.values.insert(name.into(), value.into());
//!                 writeln!(conn, "ok")
//!             }
//!             _ => writeln!(conn, "bad request"),
//!         }
//!     }
//! }
//!
//! impl Handler for Store {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, LONGEST);
//!         for line in &mut lines {
//!             let Ok(line) = line else {
//!                 writeln!(conn, "the request is too long");
//!                 conn.close(); // the beginning of the next request cannot be found
//!                 break;
//!             };
//!             if self.answer(&String::from_utf8_lossy(line), conn) != Flow::Open {
//!                 break; // at `Full`, the other requests are shown again later; at `Gone`, nothing is left to do
//!             }
//!         }
//!         lines.used() // counts the requests up to this one
//!     }
//! }
//!
//! let mut store = Store::default();
//! let mut rehearsal = Rehearsal::new(Options::default().high_water(100).low_water(50));
//! let client = rehearsal.accept(&mut store).unwrap();
//! rehearsal.receive(&mut store, client, b"set tide high\r\nget ti"); // the second request is incomplete
//! rehearsal.receive(&mut store, client, b"de\r\n");
//! assert_eq!(rehearsal.sent(client), b"ok\nhigh\n");
//!
//! rehearsal.capacity(client, 0); // the client sends 50 requests and reads no answer
//! rehearsal.receive(&mut store, client, &b"get tide\n".repeat(50));
//! assert_eq!(rehearsal.net().conn(client).unwrap().queued(), 100); // 20 answers, and then `Full`
//! rehearsal.capacity(client, usize::MAX); // the client reads
//! rehearsal.settle(&mut store);
//! assert_eq!(rehearsal.sent(client), b"high\n".repeat(50));
//! ```
//!
//! A program makes an event loop and runs the handler: `event_loop.run(&mut Store::default())`. The page
//! [`stopping`](super::stopping) has a complete `main`.
//!
//! The inbox must hold a whole request, so the longest request is at most [`max_inbox`](crate::Options::max_inbox) (256 KiB);
//! there is room for its line end beside it.
//!
//! # Requests with a length in front
//!
//! [`framing::u32_be`](crate::framing::u32_be) takes the place of [`framing::lines`](crate::framing::lines()). The length
//! tells how many bytes are still missing, and [`need`](crate::Conn::need) passes that on: a request of 200 KB that comes in
//! 140 segments calls `on_data` twice, and not 140 times.
//!
//! ```
//! use tidegate::{Accepted, CloseKind, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// Answers each request with the sum of its bytes.
//! struct Sums;
//!
//! impl Handler for Sums {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let longest = conn.net().options().max_inbox;
//!         let mut requests = framing::u32_be(input, longest);
//!         for request in &mut requests {
//!             let Ok(request) = request else {
//!                 conn.abort();
//!                 break;
//!             };
//!             let sum: u64 = request.iter().copied().map(u64::from).sum();
//!             if writeln!(conn, "{sum}") != Flow::Open {
//!                 break;
//!             }
//!         }
//!         conn.need(requests.needed()); // no call before the next request is whole
//!         requests.used()
//!     }
//! }
//!
//! let mut rehearsal = Rehearsal::new(Options::default());
//! let client = rehearsal.accept(&mut Sums).unwrap();
//! let request = [&200_000_u32.to_be_bytes(), &[1; 200_000][..]].concat();
//! for segment in request.chunks(1448) {
//!     rehearsal.receive(&mut Sums, client, segment);
//! }
//! assert_eq!(rehearsal.sent(client), b"200000\n");
//! rehearsal.receive(&mut Sums, client, &u32::MAX.to_be_bytes()); // a length that is not permitted
//! assert_eq!(rehearsal.why(client), Some(CloseKind::Aborted));
//! ```
//!
//! A request with a head and a body, as in HTTP, has the length of the body in its head. If the body is at most
//! [`max_inbox`](crate::Options::max_inbox) minus the length of the head, the handler calls `need` with the length of both
//! and is shown the whole request. A longer body is consumed part by part: the handler consumes the head, keeps the number of
//! missing bytes in the session, and takes each part as the part comes. The server has a limit for the length of a body, and
//! refuses a longer body when the head has come; a body without a length is counted. The example `http` discards bodies in this
//! way.
//!
//! # One answer that is larger than the outbox should be
//!
//! An answer of many megabytes is not sent by one `send_all`: all of the answer would wait in the memory, and a send that
//! would leave more than [`max_outbox`](crate::Options::max_outbox) (16 MiB) unsent ends the connection. The session
//! therefore keeps the place in the answer. The handler sends pieces until `Full`, and goes on in
//! [`on_writable`](crate::Handler::on_writable).
//!
//! ```
//! use tidegate::{Accepted, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// Answers a number n with the lines 1 to n.
//! struct Counter;
//!
//! /// The part of the present answer that has not been sent yet: the numbers from `next` to `last`.
//! struct Answer {
//!     next: u64,
//!     last: u64,
//! }
//!
//! /// Sends the present answer until its end or until a send does not return `Open`. Returns the result of the last send.
//! fn go_on(conn: &mut Conn<'_, Answer>) -> Flow {
//!     let (answer, mut out) = conn.split();
//!     while answer.next <= answer.last {
//!         let flow = writeln!(out, "{}", answer.next);
//!         answer.next += 1; // the line was taken, also if the result is `Full`
//!         if flow != Flow::Open {
//!             return flow;
//!         }
//!     }
//!     Flow::Open
//! }
//!
//! impl Handler for Counter {
//!     type Session = Answer;
//!
//!     fn on_accept(&mut self, _net: &mut Net<Answer>, _from: &Accepted) -> Option<Answer> {
//!         Some(Answer { next: 1, last: 0 }) // no answer is owed
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_, Answer>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 20);
//!         for line in &mut lines {
//!             let number = line.ok().and_then(|line| str::from_utf8(line).ok()?.parse().ok());
//!             let Some(last) = number else {
//!                 conn.abort();
//!                 break;
//!             };
//!             *conn.session() = Answer { next: 1, last };
//!             if go_on(conn) != Flow::Open {
//!                 break; // `on_writable` sends the rest of the answer, and the next request waits
//!             }
//!         }
//!         lines.used()
//!     }
//!
//!     fn on_writable(&mut self, conn: &mut Conn<'_, Answer>) {
//!         go_on(conn);
//!     }
//!
//!     fn on_eof(&mut self, conn: &mut Conn<'_, Answer>) {
//!         conn.shutdown_write(); // the connection ends when the last answer is sent
//!     }
//! }
//!
//! let mut rehearsal = Rehearsal::new(Options::default().high_water(100).low_water(50));
//! let client = rehearsal.accept(&mut Counter).unwrap();
//! rehearsal.capacity(client, 0);
//! rehearsal.receive(&mut Counter, client, b"1000\n1\n");
//! rehearsal.eof(&mut Counter, client); // the client has sent everything
//! assert!(rehearsal.net().conn(client).unwrap().queued() < 110); // the high water mark and one line
//!
//! rehearsal.capacity(client, usize::MAX);
//! rehearsal.settle(&mut Counter);
//! let expected: String = (1..=1000).chain([1]).map(|number| format!("{number}\n")).collect();
//! assert_eq!(rehearsal.sent(client), expected.as_bytes());
//! assert_eq!(rehearsal.why(client), Some(tidegate::CloseKind::Eof));
//! ```
//!
//! * **The next request waits.** While the connection is full, `on_data` does not come, and the end of file is not noticed.
//!   So `on_data` never meets an answer that is not finished. This needs
//!   [`pause_when_full`](crate::Conn::pause_when_full), which is on for accepted connections.
//! * **A drain** goes on with the connection until all pieces are sent, because a connection that owes an `on_writable` is
//!   not idle.
//!
//! An answer that the program has in memory anyway is sent without a copy: [`send_owned`](crate::Conn::send_owned) gives a
//! vector away, and [`send_shared`](crate::Conn::send_shared) sends a block that the program keeps or that several
//! connections are sent. Both count for `max_outbox` like `send_all`.
//!
//! # An answer that is a file
//!
//! [`send_file`](crate::Conn::send_file) sends a range of a file behind everything that was sent before. The file is not read
//! into memory as a whole, and `max_outbox` does not count the file, so one call sends a file of any length. A large file
//! returns `Full`, and the next request waits until nearly all of the file is sent.
//!
//! ```
//! use std::{
//!     fs::{self, File},
//!     path::{Path, PathBuf},
//! };
//! use tidegate::{Accepted, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// Answers the name of a file with a line that has the length of the file, and with the file.
//! struct Files {
//!     folder: PathBuf,
//! }
//!
//! impl Files {
//!     /// Opens a file of the folder itself. A name with a folder in it is refused. Other things than files are refused,
//!     /// because the loop would wait while it opens a pipe.
//!     fn open(&self, name: &str) -> Option<(File, u64)> {
//!         let plain = Path::new(name).file_name().filter(|plain| *plain == name)?;
//!         let path = self.folder.join(plain);
//!         let length = fs::metadata(&path).ok().filter(|found| found.is_file())?.len();
//!         Some((File::open(path).ok()?, length))
//!     }
//! }
//!
//! impl Handler for Files {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 255);
//!         for line in &mut lines {
//!             let Ok(name) = line else {
//!                 conn.abort();
//!                 break;
//!             };
//!             let flow = match str::from_utf8(name).ok().and_then(|name| self.open(name)) {
//!                 Some((file, length)) => writeln!(conn, "{length}").max(conn.send_file(file, 0..length)),
//!                 None => writeln!(conn, "not found"),
//!             };
//!             if flow != Flow::Open {
//!                 break;
//!             }
//!         }
//!         lines.used()
//!     }
//!
//!     fn on_eof(&mut self, conn: &mut Conn<'_>) {
//!         conn.shutdown_write(); // `close_timeout` does not limit the time that the client takes for a large file
//!     }
//! }
//!
//! # let folder = std::env::temp_dir().join(format!("tidegate-guide-{}", std::process::id()));
//! # fs::create_dir_all(&folder)?;
//! fs::write(folder.join("tide.txt"), "high\n".repeat(100_000))?;
//! let mut files = Files { folder };
//! let mut rehearsal = Rehearsal::new(Options::default());
//! let client = rehearsal.accept(&mut files).unwrap();
//! rehearsal.capacity(client, 0);
//! rehearsal.receive(&mut files, client, b"tide.txt\n../secret\n");
//! assert_eq!(rehearsal.net().conn(client).unwrap().queued(), 500_007);
//! assert!(rehearsal.net().stats().buffered < 1000); // the bytes of the file are not in memory
//!
//! rehearsal.capacity(client, usize::MAX);
//! rehearsal.settle(&mut files);
//! let expected = ["500000\n", &"high\n".repeat(100_000), "not found\n"].concat();
//! assert_eq!(rehearsal.sent(client), expected.as_bytes());
//! # fs::remove_dir_all(&files.folder)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! * **A file that becomes shorter** while it is sent ends the connection with a reset and
//!   [`CloseReason::FileFailed`](crate::CloseReason::FileFailed), because the client was told the length.
//! * **The disk blocks the loop.** Bytes that are not in the system's cache are read from the disk, and all connections wait
//!   meanwhile. See [`send_file`](crate::Conn::send_file).
//! * **A file stays open** until its last byte is sent. A handler that stops at `Full` has one large file open for each
//!   connection.
