//! A client for an echo server, on the reactor. It sends and receives at the same time, in bounded memory.
//!
//! `echo_client 127.0.0.1:7007 hello` sends a word, `echo_client 127.0.0.1:7007 < file > copy` streams a file
//! there and back. The client counts and hashes both directions, so it finds out a byte that is lost, doubled or changed.

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

/// Sends a message, or else standard input, to an echo server and writes to standard output what comes back.
///
/// The exit status is 0 when everything came back, 1 (and one line of why) when not, 2 for wrong arguments.
#[derive(Parser)]
struct Args {
    /// The server's address, such as 127.0.0.1:7007
    #[arg(value_name = "ADDR")]
    server: String,

    /// The message to send, instead of standard input; only on a terminal, a newline follows the echo
    message: Option<OsString>,
}

/// One piece of the input, or the error that ends the input. The end of the input is the end of the channel.
type Chunk = io::Result<Vec<u8>>;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 4; // so many chunks wait in the channel; the client holds no more than these and the outbox

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (0) and at wrong arguments (2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS, // a reader thread that still waits for input ends with the process
        Err(error) => {
            // eprintln! would panic if nobody reads standard error any more.
            let _ = writeln!(io::stderr(), "echo_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let server = Address::resolve(&args.server)?; // may ask a name server and block: not inside the loop
    let mut event_loop = EventLoop::new(Options::default())?;
    let conn = event_loop.net().connect(&server, ()); // cannot fail here: on_open or on_close tells the result

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
    Ok(input) // the sender is dropped here: the end of the input
}

/// Reads standard input on a thread. The loop cannot read it: standard input may be a regular file, which epoll refuses
/// (EPERM, see epoll_ctl(2)), and the shell that shares standard input would find it non-blocking too.
fn standard_input(remote: Remote) -> io::Result<Receiver<Chunk>> {
    let (sender, input) = mpsc::sync_channel(CHUNKS);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        read_chunks(&sender, &remote);
        drop(sender); // before the last wake, so that the loop then finds the end of the channel
        remote.wake();
    })?;
    Ok(input)
}

/// Waits in read(2) and for room in the channel, which the loop must not do.
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
            return; // nobody listens any more, or there is nothing more to read
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
    /// Sends while there is input and the connection takes it. When new input comes, `on_wake` calls this method again;
    /// when a full connection has room again, `on_writable` does.
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
                    conn.shutdown_write(); // the end of file leaves behind the input; the echo still comes in
                }
            }
        }
    }

    fn fail(&mut self, conn: &mut Conn<'_>, why: String) {
        self.fault.get_or_insert(why);
        self.may_send = false;
        conn.abort(); // bytes that are still on their way do not matter now; on_close follows
    }

    /// The fault that there would be if the connection ended now; `None` if everything came back.
    fn missing(&self) -> Option<String> {
        let (sent, back) = (self.sent.bytes, self.back.bytes);
        if back < sent {
            Some(format!("the echo is short by {} of {sent} bytes", sent - back))
        } else if !self.input_ended {
            Some("the server closed the connection before the end of the input".into())
        } else if self.back != self.sent {
            Some(format!("the echo has the length of what was sent, {sent} bytes, but not the content"))
        } else {
            None
        }
    }
}

impl Handler for Client {
    type Session = (); // there is one connection: all state is the handler's own

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        None // never called, without a listener
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        debug!("connected");
        // An outgoing connection is read even above high water, as `pause_when_full` is off by default for it. With the
        // pause, client and server would lock each other: a server that waits until its echo is read does not read.
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
            self.fail(conn, "the server sends more than it was sent".into());
        } else if let Err(error) = print(input) {
            self.fail(conn, format!("cannot write standard output: {error}"));
        }
        input.len()
    }

    fn on_eof(&mut self, conn: &mut Conn<'_>) {
        // The server sends no more. If its end of file comes too early, with the outbox full or standard input still
        // open, there is nothing left to wait for.
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

/// Blocks the loop while standard output does not take the bytes. A server must not do that. This client has one
/// connection, and while it does not read on, TCP holds the server back.
fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Length and content (64-bit FNV-1a) of one direction, independent of the portions in which the bytes came. The hashers
/// of std do not promise that two writes give the same result as one write of the same bytes.
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
