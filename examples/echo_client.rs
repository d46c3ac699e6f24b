//! A client for an echo server, on the event loop. The client sends and receives at the same time, in bounded memory.
//!
//! `echo_client 127.0.0.1:7007 hello` sends a word, and `echo_client 127.0.0.1:7007 < file > copy` sends a file and writes
//! the echo to a copy. The client counts and hashes the bytes of both directions, so the client detects a byte that is lost,
//! doubled or changed.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

use clap::Parser;
use log::debug;
use tidegate::{
    Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Net, Options, Remote,
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

/// One piece of the input, or the error that ends the input. The end of the input is the end of the channel.
type Chunk = io::Result<Vec<u8>>;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 4; // the channel holds at most this number of chunks, so that a large input does not fill the memory

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS, // a reader thread that still waits for input ends with the process
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
        Some(message) => one_chunk(message)?,
        None => standard_input(event_loop.remote())?,
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

fn one_chunk(message: OsString) -> Result<Receiver<Chunk>, Box<dyn Error>> {
    let (sender, input) = mpsc::sync_channel(1);
    sender.send(Ok(message.into_encoded_bytes()))?;
    Ok(input) // the sender is dropped here, and that is the end of the input
}

/// Reads standard input on a thread. The loop cannot read standard input: standard input may be a regular file, which epoll
/// refuses (EPERM, see epoll_ctl(2)), and a non-blocking standard input would be non-blocking for the shell too.
fn standard_input(remote: Remote) -> io::Result<Receiver<Chunk>> {
    let (sender, input) = mpsc::sync_channel(CHUNKS);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        read_chunks(&sender, &remote);
        drop(sender); // before the last wake, so that the loop then finds the end of the channel
        remote.wake();
    })?;
    Ok(input)
}

/// Waits in read(2), and waits for room in the channel. The loop must not wait for either.
fn read_chunks(sender: &SyncSender<Chunk>, remote: &Remote) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => Ok(buffer[..n].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let last = chunk.is_err();
        if sender.send(chunk).is_err() || last {
            return; // the loop has dropped the receiver, or standard input has failed
        }
        remote.wake();
    }
}

struct Client {
    conn: ConnId,
    input: Receiver<Chunk>,
    may_send: bool,    // the connection is open and not full
    input_ended: bool, // the whole input was sent, and the end of file follows it
    sent: Tally,
    back: Tally,
    fault: Option<String>, // the first fault
}

impl Client {
    /// Sends while there is input and the connection is not full. `on_wake` calls this method again when new input comes,
    /// and `on_writable` calls this method again when a full connection has room.
    fn pump(&mut self, conn: &mut Conn<'_>) {
        while self.may_send {
            match self.input.try_recv() {
                Ok(Ok(chunk)) => {
                    self.sent.add(&chunk);
                    self.may_send = conn.send_all(&chunk) == Flow::Open; // at `Full` the chunk was taken as well
                }
                Ok(Err(error)) => self.fail(conn, format!("cannot read standard input: {error}")),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.may_send = false;
                    self.input_ended = true;
                    conn.shutdown_write(); // the end of file is sent behind the input; the rest of the echo still comes in
                }
            }
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

    fn on_wake(&mut self, net: &mut Net) {
        if let Some(mut conn) = net.conn(self.conn) {
            self.pump(&mut conn);
        }
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
