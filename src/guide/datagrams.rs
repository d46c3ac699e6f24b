//! Streams and datagrams: the difference, and a program with both.
//!
//! Two kinds of socket carry most of what programs say to each other.
//!
//! | | a stream (TCP) | datagrams (UDP) |
//! |---|---|---|
//! | comparison | a telephone call | postcards |
//! | before the first byte | the two ends connect | nothing: a datagram carries the address of its receiver |
//! | unit | bytes, cut anywhere: a `recv` returns any part of what was sent | the datagram: whole, or not at all |
//! | order | bytes arrive in the order in which they were sent | datagrams may overtake each other |
//! | loss | the system sends lost bytes again; if it cannot, the connection ends with an error | a datagram may be lost, or arrive twice, and nobody says so |
//! | a receiver that is slow | the sender has to wait (backpressure) | the receiver's system drops what does not fit its buffer |
//! | size | without a limit | at most 65,507 bytes over IPv4; up to about 1,200 bytes travel well everywhere |
//! | sender | known since the connect | each datagram says so, and may lie |
//! | end | an end of file, or a reset | none |
//! | to many receivers at once | no | yes, by multicast and broadcast, in the local network |
//! | in this crate | [`listen`], [`connect`], a [`Conn`] for each connection, [`on_data`] | [`bind`], a [`Socket`] for all peers, [`on_datagram`] |
//!
//! A **stream** is right wherever everything has to arrive: files, requests and answers, terminals. It has no message
//! boundaries, so a program has to mark them itself; [`framing`](crate::framing) has lines and length prefixes.
//!
//! **Datagrams** are right where a message is small and complete in itself, and where a late message is worth nothing: questions
//! and answers of one packet (DNS, NTP), measurements, positions in a game, voice, and the search for services in a network.
//!
//! # What a program that uses datagrams has to do itself
//!
//! * **Ask again.** A client sends its question, sets a timer, and sends the question again if no answer has come. So a question
//!   may arrive twice, and a server has to be able to answer it twice.
//! * **Tell questions apart.** An answer to the first question may come after the second one was sent. A number in the
//!   question, repeated in the answer, tells them apart. It should be hard to guess, because anybody can send an answer.
//! * **Trust no address.** A sender can write any address into a datagram. A server whose answers are much larger than the
//!   questions can be made to flood a third party; so it sends large answers only to an address that has proved to be right, by
//!   repeating a number that was sent there.
//! * **Not send too fast.** No backpressure tells a sender of a full network. One question at a time for each peer, or a
//!   limit by a timer, is enough for most programs.
//! * **Forget.** No event says that a peer is gone. State that is kept for an address needs a timer to end it.
//!
//! # What this crate does
//!
//! * A datagram is shown whole or not at all. One that is larger than [`max_size`] is dropped and counted, never shortened.
//! * [`send_to`] and [`reply`] hand the datagram to the kernel at once. The [outcome](crate::Sent) tells whether the kernel has
//!   it. If the kernel takes nothing now, the datagram waits in a queue of [bounded](crate::DatagramOptions::queue) length
//!   that drops its oldest datagram for a new one, because an old one is worth less.
//! * An error never ends the socket. News by ICMP that an earlier datagram was not received comes in [`on_datagram_error`];
//!   only a [connected](crate::Socket::connect) socket gets such news.
//! * A socket receives and sends a bounded number of datagrams in a turn, so that a flood does not starve the connections.
//! * [`reply`] answers from the address that was asked, see there: for a socket on every interface this needs the feature
//!   `packet-info`.
//! * In a drain, the datagrams that have come are answered, the sockets stay open while there are connections, which may need
//!   them, and close when their queues are empty, or at the end of the grace. Peers are not told: a peer that asks again gets
//!   no answer.
//! * The counters `datagrams_…` in [`Stats`](crate::Stats) tell the rest. What the kernel dropped because its receive buffer
//!   was full, it does not tell the program (on Linux, `nstat UdpRcvbufErrors` does); a larger
//!   [`receive_buffer`](crate::DatagramOptions::receive_buffer) helps against bursts.
//!
//! # The feature `packet-info`
//!
//! The feature adds the crate `quinn-udp`. A socket then knows the [address](crate::Datagram::to) that each datagram was sent to, answers
//! from that address, and receives up to 32 datagrams with one system call on Linux and FreeBSD, or more where Linux puts
//! datagrams of one sender together (GRO). So it makes fewer system calls, but each of them costs more, because the kernel adds
//! the addresses: a server of small datagrams takes 5 to 15 % more processor time with the feature. The reason to have it is the
//! address.
//!
//! Limits: that crate is made for QUIC and forbids fragments. On Linux this crate allows them again for IPv4. Over IPv6, and on
//! other systems, a datagram that is larger than the route takes is [`TooLarge`](crate::Sent::TooLarge) with this feature.
//! Datagrams that were received together with one whose callback panics are lost.
//!
//! Without the feature, a server that has several addresses on one interface binds a socket to each of them.
//!
//! # A program with both
//!
//! A server counts the questions that come by datagram, and tells the count over a stream. Both are served by one loop and one
//! handler.
//!
//! ```
//! use std::{
//!     io::Read,
//!     net::{TcpStream, UdpSocket},
//!     thread,
//!     time::Duration,
//! };
//! use tidegate::{Accepted, Conn, Datagram, DatagramOptions, EventLoop, Handler, Net, Options, Socket};
//!
//! struct Server {
//!     asked: u64,
//! }
//!
//! impl Handler for Server {
//!     type Session = ();
//!
//!     // The datagram is the whole question, and the answer is one datagram.
//!     fn on_datagram(&mut self, socket: &mut Socket<'_>, question: &Datagram<'_>) {
//!         self.asked += 1;
//!         let answer = question.bytes().to_ascii_uppercase();
//!         // If the answer is lost, here or on the way, the client asks again.
//!         let _ = socket.reply(question, &answer);
//!     }
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_open(&mut self, conn: &mut Conn<'_>) {
//!         writeln!(conn, "{} questions", self.asked); // the stream delivers it, or ends with an error
//!         conn.close();
//!     }
//!
//!     fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         input.len()
//!     }
//! }
//!
//! /// Asks until an answer has come: any of the two datagrams may be lost.
//! fn ask(server: &str, question: &[u8]) -> std::io::Result<Vec<u8>> {
//!     let socket = UdpSocket::bind("127.0.0.1:0")?;
//!     socket.connect(server)?; // datagrams of others are not received
//!     socket.set_read_timeout(Some(Duration::from_secs(1)))?;
//!     let mut answer = [0; 1200];
//!     for _attempt in 0..5 {
//!         socket.send(question)?;
//!         if let Ok(len) = socket.recv(&mut answer) {
//!             return Ok(answer[..len].to_vec());
//!         }
//!     }
//!     Err(std::io::ErrorKind::TimedOut.into())
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let mut event_loop = EventLoop::new(Options::default())?;
//!     let socket = event_loop.net().bind("127.0.0.1:0", DatagramOptions::default())?;
//!     let listener = event_loop.net().listen("127.0.0.1:0")?;
//!     let at = event_loop.net().socket_address(socket)?.to_string();
//!     let control = event_loop.net().local_address(listener)?.to_string();
//!     let remote = event_loop.remote();
//!     let clients = thread::spawn(move || {
//!         let answer = ask(&at, b"hello");
//!         let mut count = String::new();
//!         let read = TcpStream::connect(control).and_then(|mut stream| stream.read_to_string(&mut count));
//!         remote.stop();
//!         (answer, read.map(|_| count))
//!     });
//!     event_loop.run(&mut Server { asked: 0 })?;
//!     let (answer, count) = clients.join().unwrap();
//!     assert_eq!(answer?, b"HELLO");
//!     assert!(count?.ends_with(" questions\n"));
//!     Ok(())
//! }
//! ```
//!
//! The example `udp_echo` is a datagram server as a program.
//!
//! [`bind`]: crate::Net::bind
//! [`connect`]: crate::Net::connect
//! [`listen`]: crate::Net::listen
//! [`max_size`]: crate::DatagramOptions::max_size
//! [`on_data`]: crate::Handler::on_data
//! [`on_datagram`]: crate::Handler::on_datagram
//! [`on_datagram_error`]: crate::Handler::on_datagram_error
//! [`reply`]: crate::Socket::reply
//! [`send_to`]: crate::Socket::send_to
//! [`Conn`]: crate::Conn
//! [`Socket`]: crate::Socket
