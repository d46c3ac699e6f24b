//! Recipe: signals, pipes and other sources of the program in the loop, without a thread for them.
//!
//! A program often has a few inputs that are no connections: signals, standard input, the output of a child, a timer of the
//! kernel, a file that inotify watches. [`Net::watch`](crate::Net::watch) puts them into the loop, and
//! [`on_ready`](crate::Handler::on_ready) tells that one of them is ready. The program itself reads and writes. The docs of
//! `watch` have a program that sends the bytes of a pipe to all clients.
//!
//! A process without further threads also has cheaper system calls: in a process with several threads, glibc makes every
//! `recv` and `send` cancellable.
//!
//! The examples need `mio = { version = "1.2", features = ["os-ext", "net"] }`, which is the version of `mio` that this crate
//! uses, and `signal-hook = "0.4"`.
//!
//! # Signals
//!
//! The crate `signal-hook` writes a byte into a pair of sockets when a signal comes. The loop watches the other end.
//!
//! ```no_run
//! # #[cfg(unix)]
//! # mod unix {
//! use std::{io, time::Duration};
//!
//! use mio::{Interest, net::UnixStream};
//! use signal_hook::{
//!     consts::{SIGHUP, SIGINT, SIGTERM},
//!     iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
//! };
//! use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options, Readiness, SourceId};
//!
//! struct Echo {
//!     signals: SignalDelivery<UnixStream, SignalOnly>,
//! }
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
//!     fn on_ready(&mut self, net: &mut Net, source: SourceId, _ready: Readiness) {
//!         for signal in self.signals.pending() {
//!             match signal {
//!                 SIGHUP => println!("{}", net.stats()),
//!                 _ => net.drain(Duration::from_secs(5)), // a second drain resets everything
//!             }
//!         }
//!         // `pending` has read until the socket was empty. mio has not seen that, so its selector on poll(2) needs this call.
//!         net.rewatch(source, self.signals.get_read_mut(), Interest::READABLE).expect("the source is watched");
//!     }
//! }
//!
//! fn main() -> io::Result<()> {
//!     let mut server = EventLoop::new(Options::default())?;
//!     let (end, other_end) = UnixStream::pair()?;
//!     let which = [SIGINT, SIGTERM, SIGHUP];
//!     let mut signals = SignalDelivery::with_pipe(end, other_end, SignalOnly, which)?;
//!     server.net().watch(signals.get_read_mut(), Interest::READABLE)?;
//!     server.net().listen("127.0.0.1:7007")?;
//!     server.run(&mut Echo { signals })
//! }
//! # }
//! ```
//!
//! The page [`stopping`](crate::guide::stopping) says why a program ignores a signal that follows another within a second. The
//! example `echo_server` does so.
//!
//! # Standard input, and other descriptors that stay blocking
//!
//! An event is not repeated, so the usual way is to read until `WouldBlock`. Standard input cannot be read so: a terminal or
//! a pipe is shared with other processes, and `O_NONBLOCK` would be set for them too. The program then reads once for each
//! event, and [`Net::rewatch`](crate::Net::rewatch) brings a further event if more bytes are there. A regular file needs no
//! watching, because reading it waits for no other process (and epoll refuses it): the program reads a piece in a turn. The
//! example `echo_client` does both.
//!
//! # Bounds
//!
//! * **Work in a turn.** A program that has read enough calls [`Net::ready_again`](crate::Net::ready_again) and returns. The
//!   connections that are ready come first, and the next turn calls `on_ready` again.
//! * **Backpressure.** A program that cannot take more bytes now leaves them in the source, and remembers that the source is
//!   ready. When there is room, it calls `ready_again`, because the event is not repeated.
//! * **The end.** At the end of the stream, or at an error, the program calls [`Net::unwatch`](crate::Net::unwatch), and drops
//!   the source after that.
