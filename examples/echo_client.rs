//! A client for an echo server, on the event loop. The client sends and receives at the same time, in bounded memory.
//!
//! `echo_client 127.0.0.1:7007 hello` sends a word, and `echo_client 127.0.0.1:7007 < file > copy` sends a file and writes
//! the echo to a copy. The client counts and hashes the bytes of both directions, so the client detects a byte that is lost,
//! doubled or changed.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Cursor, ErrorKind, IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::Parser;
use log::debug;
use tidegate::{
    Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Net, Options, Readiness, SourceId,
};

/// Sends a message, or else standard input, to an echo server, and writes the echo to standard output.
///
/// The exit status is 0 if the whole echo came back, 1 if not, and 2 if the arguments are wrong. With status 1, a line on
/// standard error names the cause.
#[derive(Parser)]
struct Args {
    /// The address of the server, such as 127.0.0.1:7007 or unix:/path
    #[arg(value_name = "ADDR")]
    server: String,

    /// The message to send, in place of standard input; a newline follows the echo only on a terminal
    message: Option<OsString>,
}

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "echo_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let server = Address::resolve(&args.server)?; // may ask a name server and block, so not in the loop
    let mut event_loop = EventLoop::new(Options::default())?;
    let conn = event_loop.net().connect(&server, ()); // does not fail here: `on_open` or `on_close` reports the result

    let newline = args.message.is_some() && io::stdout().is_terminal();
    let input = match args.message {
        Some(message) => Input::always_ready(Cursor::new(message.into_encoded_bytes())),
        None => standard_input(&mut event_loop)?,
    };
    let (sent, back) = (Tally::new(), Tally::new());
    let mut client = Client { conn, input, may_send: false, input_ended: false, sent, back, fault: None };
    event_loop.run(&mut client)?;

    if let Some(fault) = client.fault {
        return Err(format!("{}: {fault}", args.server).into());
    }
    if newline {
        print(b"\n")?;
    }
    debug!("all {} bytes came back", client.back.bytes);
    Ok(())
}

/// The input. The client reads a piece of a bounded size in a turn, so that the connection has its turns as well.
struct Input {
    from: Box<dyn Read>,
    /// Standard input, if the loop watches it.
    source: Option<SourceId>,
    is_ready: bool,
    piece: Vec<u8>,
}

const PIECE: usize = 64 * 1024;

impl Input {
    /// Input that can be read at any time without waiting.
    fn always_ready(from: impl Read + 'static) -> Self {
        Self { from: Box::new(from), source: None, is_ready: true, piece: vec![0; PIECE] }
    }

    /// Reads the next piece. `None` means that no input is there now; 0 bytes are the end of the input.
    fn read(&mut self, net: &mut Net) -> io::Result<Option<usize>> {
        let read = loop {
            match self.from.read(&mut self.piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    break None;
                }
                read => break Some(read?),
            }
        };
        if let Some(source) = self.source {
            self.is_ready = false;
            watched::next_event(net, source, read == Some(0))?;
        }
        Ok(read)
    }
}

use watched::standard_input;

#[cfg(unix)]
mod watched {
    use std::{
        fs::File,
        io,
        os::fd::{AsFd, AsRawFd},
    };

    use mio::{Interest, unix::SourceFd};
    use tidegate::{EventLoop, Net, SourceId};

    use super::Input;

    /// Standard input as a source in the loop. A regular file needs no watching, because reading a file does not wait for
    /// others, and epoll refuses it. epoll refuses some other inputs as well, such as /dev/null (EPERM, see epoll_ctl(2)),
    /// and they do not wait either.
    pub(super) fn standard_input(event_loop: &mut EventLoop) -> io::Result<Input> {
        let mut input = Input::always_ready(io::stdin());
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        if !stdin.metadata()?.is_file() {
            let fd = io::stdin().as_raw_fd();
            match event_loop.net().watch(&mut SourceFd(&fd), Interest::READABLE) {
                Ok(source) => (input.source, input.is_ready) = (Some(source), false),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(input)
    }

    /// Asks for an event when there is more input. Standard input stays blocking, because a nonblocking standard input would
    /// be nonblocking for the shell too. So the client reads once for each event, and `rewatch` brings a further event if
    /// input is left.
    pub(super) fn next_event(net: &mut Net, source: SourceId, has_ended: bool) -> io::Result<()> {
        let fd = io::stdin().as_raw_fd();
        if has_ended {
            net.unwatch(source, &mut SourceFd(&fd));
            return Ok(());
        }
        net.rewatch(source, &mut SourceFd(&fd), Interest::READABLE)
    }
}

/// Without descriptors, a thread reads standard input, and sends the pieces into the loop.
#[cfg(not(unix))]
mod watched {
    use std::{
        io::{self, Read},
        sync::mpsc::TryRecvError,
        thread,
    };

    use tidegate::{EventLoop, Net, Receiver, SourceId};

    use super::{Input, PIECE};

    type Piece = io::Result<Vec<u8>>;

    const PIECES: usize = 4; // a large input does not fill the memory

    pub(super) fn standard_input(event_loop: &mut EventLoop) -> io::Result<Input> {
        let (sender, pieces) = event_loop.bounded_channel(PIECES);
        thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut stdin = io::stdin().lock();
            let mut buffer = vec![0; PIECE];
            loop {
                let piece = match stdin.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n) => Ok(buffer[..n].to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_last = piece.is_err();
                if sender.send(piece).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Input::always_ready(Pieces(pieces))) // until a read would block
    }

    struct Pieces(Receiver<Piece>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.try_recv() {
                Ok(piece) => {
                    let piece = piece?;
                    buffer[..piece.len()].copy_from_slice(&piece); // the buffer has room for a whole piece
                    Ok(piece.len())
                }
                Err(TryRecvError::Empty) => Err(io::ErrorKind::WouldBlock.into()),
                Err(TryRecvError::Disconnected) => Ok(0),
            }
        }
    }

    pub(super) fn next_event(_net: &mut Net, _source: SourceId, _has_ended: bool) -> io::Result<()> {
        Ok(())
    }
}

struct Client {
    conn: ConnId,
    input: Input,
    may_send: bool,    // the connection is open and not full
    input_ended: bool, // the whole input was sent, and the end of file follows it
    sent: Tally,
    back: Tally,
    fault: Option<String>, // the first fault
}

impl Client {
    /// Sends a piece if there is input and the connection is not full. `on_ready` calls this method again when new input
    /// comes, and `on_writable` calls it again when the connection has room.
    fn pump(&mut self, conn: &mut Conn<'_>) {
        if !self.may_send || !self.input.is_ready {
            return;
        }
        match self.input.read(conn.net()) {
            Ok(Some(0)) => {
                self.may_send = false;
                self.input_ended = true;
                conn.shutdown_write(); // the end of file is sent behind the input; the rest of the echo still comes in
            }
            Ok(Some(n)) => {
                let piece = &self.input.piece[..n];
                self.sent.add(piece);
                self.may_send = conn.send_all(piece) == Flow::Open; // at `Full` the piece was taken as well
                if self.input.is_ready {
                    conn.notify_writable(); // the next turn sends the next piece, or a later turn if the connection is full
                }
            }
            Ok(None) => {}
            Err(error) => self.fail(conn, format!("cannot read standard input: {error}")),
        }
    }

    fn input_is_ready(&mut self, net: &mut Net) {
        self.input.is_ready = true;
        if let Some(mut conn) = net.conn(self.conn) {
            self.pump(&mut conn);
        }
    }

    fn fail(&mut self, conn: &mut Conn<'_>, why: String) {
        self.fault.get_or_insert(why);
        self.may_send = false;
        conn.abort(); // bytes that are still on their way do not matter after a fault; `on_close` follows
    }

    /// Returns the fault if the connection ended now, or `None` if the whole input was sent and the whole echo came back.
    fn missing(&self) -> Option<String> {
        let (sent, back) = (self.sent.bytes, self.back.bytes);
        if back < sent {
            Some(format!("the echo is short by {} of {sent} bytes", sent - back))
        } else if !self.input_ended {
            Some("the server closed the connection before the end of the input".into())
        } else if self.back != self.sent {
            Some(format!("the echo has the length of the input, {sent} bytes, but not the content"))
        } else {
            None
        }
    }
}

impl Handler for Client {
    type Session = (); // there is one connection, so the handler itself holds all state

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        None // `on_accept` is never called, because there is no listener
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        debug!("connected");
        // An outgoing connection is read even above high water, because `pause_when_full` is off by default for outgoing
        // connections. With the pause, client and server would wait for each other for ever: a server that waits until
        // the client reads the echo does not read either.
        self.may_send = true;
        self.pump(conn);
    }

    fn on_ready(&mut self, net: &mut Net, _stdin: SourceId, _ready: Readiness) {
        self.input_is_ready(net);
    }

    /// The thread that reads standard input has sent a piece.
    #[cfg(not(unix))]
    fn on_wake(&mut self, net: &mut Net) {
        self.input_is_ready(net);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.may_send = true;
        self.pump(conn);
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.back.add(input);
        if self.back.bytes > self.sent.bytes {
            self.fail(conn, "the server sends more bytes than the client has sent".into());
        } else if let Err(error) = print(input) {
            self.fail(conn, format!("cannot write standard output: {error}"));
        }
        input.len()
    }

    fn on_eof(&mut self, conn: &mut Conn<'_>) {
        // The server sends no more bytes. So an end of file that comes too early, with unsent bytes in the outbox or with
        // standard input still open, is an error at once.
        match self.missing() {
            None => conn.close(),
            Some(why) => self.fail(conn, why),
        }
    }

    fn on_close(&mut self, net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
        let missing = match why {
            CloseReason::Eof | CloseReason::Closed => self.missing(),
            CloseReason::ConnectFailed(_) => Some(why.to_string()),
            why => Some(format!("{why}; {} of {} bytes came back", self.back.bytes, self.sent.bytes)),
        };
        self.fault = self.fault.take().or(missing);
        net.stop();
    }
}

/// Blocks the loop while standard output does not take the bytes. A server must not block its loop. This client has only one
/// connection, and while the client does not read, the flow control of TCP makes the server wait.
fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// The length and a hash (64-bit FNV-1a) of the bytes of one direction. The portions in which the bytes came do not matter.
/// The hashers of std do not promise that two writes give the same result as one write of the same bytes.
#[derive(PartialEq)]
struct Tally {
    bytes: u64,
    hash: u64,
}

impl Tally {
    fn new() -> Self {
        Self { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
