//! Recipe: listeners that another program opened, and a restart that refuses no client.
//!
//! # A listener that was opened elsewhere
//!
//! [`Net::adopt_listener`](crate::Net::adopt_listener) serves a `std::net::TcpListener`, wherever it comes from. Under
//! systemd's socket activation, the listeners are descriptors from 3 on; the crate `listenfd` makes a `TcpListener` of each,
//! without `unsafe` in the program. systemd keeps the socket open while the service restarts, so clients wait in the backlog
//! meanwhile. A service under systemd needs no more than this, and the drain of the page [`stopping`](super::stopping).
//! [`Net::adopt_stream`](crate::Net::adopt_stream) does the same for a connection.
//!
//! A Unix socket is adopted by [`Net::adopt_unix_listener`](crate::Net::adopt_unix_listener). The reactor removes the file of a
//! listener that it has made itself, and never the file of an adopted listener.
//!
//! # A restart without a gap
//!
//! The old process and the new process have descriptors of one listening socket. The socket has one backlog, which lives
//! for as long as one of the descriptors is open. The restart has four steps:
//!
//! 1. The old process starts the new process with a copy of the listener, here as its standard input.
//! 2. The new process adopts the listener, and says that it serves.
//! 3. The old process drains: it serves the clients that it has accepted, and closes its own descriptor of the listener.
//! 4. The old process ends when its last connection has ended, or when the grace is over.
//!
//! Between steps 2 and 3 both processes accept, and each client is served by one of them. If the new process does not start,
//! the old process goes on. Connections do not move to the new process: they end in the old process.
//!
//! The example `restart` is a whole server with these steps, for TCP and Unix sockets. It starts the new process at a signal
//! from its loop, without a thread: the signals, the message of the new process and a limit of time are sources and a timer of
//! the loop. It passes its sockets as systemd passes them, so that a process has one way to take sockets.
//!
//! The short version of the steps has a thread, which may block:
//!
//! ```no_run
//! # #[cfg(unix)]
//! # mod unix {
//! use std::{
//!     io::{self, BufRead, BufReader},
//!     net::TcpListener,
//!     os::fd::{AsFd, OwnedFd},
//!     process::{Command, Stdio},
//!     thread,
//!     time::Duration,
//! };
//! use signal_hook::{consts::SIGHUP, iterator::Signals};
//! use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options};
//!
//! const GRACE: Duration = Duration::from_secs(60);
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
//! }
//!
//! fn main() -> io::Result<()> {
//!     let is_successor = std::env::args().nth(1).is_some_and(|argument| argument == "--listener-is-stdin");
//!     let listener = if is_successor {
//!         TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?)
//!     } else {
//!         TcpListener::bind("127.0.0.1:7007")?
//!     };
//!     let copy = listener.try_clone()?; // for the successor of this process
//!
//!     let mut server = EventLoop::new(Options::default())?;
//!     server.net().adopt_listener(listener)?;
//!     let (mut signals, remote) = (Signals::new([SIGHUP])?, server.remote());
//!     thread::spawn(move || {
//!         for _ in signals.forever() {
//!             match start_successor(&copy) {
//!                 Ok(()) => return remote.drain(GRACE), // a second drain would reset all connections
//!                 Err(error) => eprintln!("this process goes on: {error}"),
//!             }
//!         }
//!     });
//!     println!("serving"); // the predecessor waits for this line
//!     server.run(&mut Echo)
//! }
//!
//! /// Starts a process that serves the listener, and waits until the process says so.
//! fn start_successor(listener: &TcpListener) -> io::Result<()> {
//!     let mut successor = Command::new(std::env::current_exe()?)
//!         .arg("--listener-is-stdin")
//!         .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
//!         .stdout(Stdio::piped())
//!         .spawn()?;
//!     let mut line = String::new();
//!     let stdout = successor.stdout.take().expect("the standard output is a pipe");
//!     BufReader::new(stdout).read_line(&mut line)?;
//!     if line != "serving\n" {
//!         let _ = successor.kill();
//!         successor.wait()?;
//!         return Err(io::Error::other("the successor did not start"));
//!     }
//!     Ok(())
//! }
//! # }
//! ```
//!
//! * **The first process** binds with the standard library, because a copy of the listener has to stay in the thread, outside
//!   of the loop. The copy does not accept; it only keeps the socket open. A program that starts its successor in a callback
//!   keeps no copy: [`Net::listener_socket`](crate::Net::listener_socket) gives the socket of any listener of the loop, to be
//!   duplicated.
//! * **The file of a Unix socket.** A drain removes the file of a listener that the reactor has made itself, and then no
//!   client finds the new process. So the old process calls [`Net::release_unix_listener`](crate::Net::release_unix_listener)
//!   before it drains, and drops the result: the file stays.
//! * **The standard output** of the successor is a pipe that nobody reads after the first line, so the program writes its
//!   messages to the standard error.
//! * **The program file.** `current_exe` should name the new program. On Linux the name gets the suffix `" (deleted)"` if
//!   the file was removed or replaced. A program that is updated in this way therefore keeps the path of its file.
//! * **Supervisors** that watch the process id see the old process end. Under such a supervisor, socket activation is
//!   the simpler way.
//! * **Without a common socket.** [`ListenOptions::reuse_port`](crate::ListenOptions::reuse_port) lets two processes listen on
//!   one port with a socket each. Each socket has a backlog of its own. A client that reaches the old backlog after the
//!   drain has emptied the backlog and before the socket is closed is reset, so this way has a small gap.
//!
//! The same steps with two loops in one process, without signals:
//!
//! ```
//! use std::{
//!     io::{Read, Write},
//!     net::{Shutdown, TcpListener, TcpStream},
//!     time::Duration,
//! };
//! use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options};
//! #
//! # struct Echo;
//! #
//! # impl Handler for Echo {
//! #     type Session = ();
//! #
//! #     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//! #         Some(())
//! #     }
//! #
//! #     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//! #         conn.send_all(input);
//! #         input.len()
//! #     }
//! # }
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let at = listener.local_addr()?;
//! let [mut old, mut new] = [(); 2].map(|()| EventLoop::new(Options::default()).unwrap());
//! old.net().adopt_listener(listener.try_clone()?)?;
//! new.net().adopt_listener(listener)?;
//!
//! old.net().drain(Duration::from_secs(60));
//! old.run(&mut Echo)?; // no client has come, so the drain is over at once
//! let mut client = TcpStream::connect(at)?; // the socket still listens
//! client.write_all(b"tide")?;
//! client.shutdown(Shutdown::Write)?;
//! new.net().drain(Duration::from_secs(60)); // so that `run` returns when the client has its echo
//! new.run(&mut Echo)?;
//! let mut echo = String::new();
//! client.read_to_string(&mut echo)?;
//! assert_eq!(echo, "tide");
//! # Ok(())
//! # }
//! ```
