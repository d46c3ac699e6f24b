//! A chat: each line that a member writes goes to all members.
//!
//! Start the server with `cargo run --release --example chat`, then talk from two other terminals with `nc 127.0.0.1 7007`. The
//! first line of a client is its nickname. `/who` lists the members, and `/quit` ends the connection.
//!
//! The example shows how one message reaches many connections without being copied for each of them
//! ([`Conn::send_shared`]), and how a member that reads too slowly is dropped before the member costs much memory. The other
//! members get their lines meanwhile as if the slow member read quickly.
//!
//! A copy of the example needs, beside tidegate: `cargo add clap ctrlc env_logger log --features
//! clap/derive,ctrlc/termination`.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use log::{debug, info};
use tidegate::{
    Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Keepalive, ListenOptions, Net, Options,
    WhenFull, framing,
};

/// Sends each line of a member to all members, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7007" listens on every interface, port 0 takes a free port, and "unix:/path" is a Unix
    /// socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// Serve at most this number of clients at a time; further clients are closed at once
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..))]
    max_members: u16,

    /// Take at most this number of lines from a member in a second; further lines wait in the connection, and
    /// are lost if the client ends meanwhile
    #[arg(long, value_name = "LINES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

/// The greatest length of a line, without its end.
const MAX_LINE: usize = 1000;
/// The greatest length of a nickname.
const MAX_NAME: usize = 20;
/// A member that has more unsent bytes than this is dropped. The limit is far below `Options::max_outbox`. If all members
/// together write 20 lines of 100 bytes in a second, a member may be two minutes behind.
const MOST_BEHIND: usize = 256 << 10;
/// The memory for the lines that wait for slow members. A line of 256 bytes or more is in memory once, for however many
/// members the line waits. Beyond the budget, the reactor drops the member that is furthest behind.
const MEMORY: usize = 64 << 20;
/// How long a client may take to send its nickname.
const TIME_FOR_A_NAME: Duration = Duration::from_secs(60);
/// How long clients may take, after a signal, to become idle.
const GRACE: Duration = Duration::from_secs(5);
/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    // A member that only reads may be silent for days, so there is no idle timeout. Keepalive finds members whose machine is
    // gone. The small read budget divides the turns fairly between a member that sends a flood of lines and the others.
    let options = Options::default()
        .max_inbox(MAX_LINE)
        .read_budget(16 << 10)
        .memory_budget(MEMORY)
        .max_connections(args.max_members.into())
        .keepalive(Some(Keepalive::default()));
    let mut server = EventLoop::new(options)?;
    // A client beyond the limit is closed, because a client that waits in the backlog would look like a chat without an answer.
    // The kernel, too, keeps few bytes for each member. A larger buffer would hide for longer that a member is slow.
    let listen = ListenOptions::default().when_full(WhenFull::Close).send_buffer(Some(64 << 10));
    let listener = server.net().listen_with(args.listen.as_str(), listen)?;
    let address = server.net().local_address(listener)?; // with port 0, the system has chosen the port

    // Signals are handled before the address is printed: a program that waits for the address may send a signal at once.
    // (The example `echo_server` handles signals in the loop itself, without the thread that ctrlc starts.)
    let remote = server.remote();
    let mut asked: Option<Instant> = None;
    ctrlc::set_handler(move || {
        match asked {
            None => info!(
                "asked to end by a signal: clients have {GRACE:?}, and a second signal after {REPEAT:?} resets them"
            ),
            Some(at) if at.elapsed() >= REPEAT => info!("asked by a further signal to end at once"),
            Some(_) => return, // the signal belongs to the first signal
        }
        asked = Some(Instant::now());
        remote.drain(GRACE); // a second drain resets all connections
    })?;

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address}, Ctrl-C ends the server");

    let ended = server.run(&mut Chat { rate: args.rate });
    info!("stopped\n{}", server.net().stats());
    Ok(ended?)
}

struct Chat {
    /// The number of lines that a member may write in a second.
    rate: u32,
}

struct Member {
    /// `None` until the client has sent a nickname.
    name: Option<String>,
    /// The start of the present second of the member, and the number of lines that the server has taken in this second.
    second: Instant,
    lines: u32,
}

/// Sends a line to all members, and drops each member that is too far behind.
fn broadcast(net: &mut Net<Member>, line: &str) {
    let line: Arc<[u8]> = [line.as_bytes(), b"\n"].concat().into();
    net.for_each(|member| {
        if member.session().name.is_none() || member.is_closing() {
            return;
        }
        if member.queued() + line.len() > MOST_BEHIND {
            // The reset tells the client that lines are missing. An end of file would look like the end of the chat.
            member.abort();
        } else {
            member.send_shared(&line);
        }
    });
}

impl Chat {
    /// Returns true if the member may write one more line in the present second. Otherwise reading pauses until the second is
    /// over. The lines wait in the connection, so a client that sends too much has to wait when the kernel's buffers are full.
    fn may_write(&self, member: &mut Conn<'_, Member>) -> bool {
        let now = member.now();
        let state = member.session();
        let end = state.second + Duration::from_secs(1);
        if now >= end {
            (state.second, state.lines) = (now, 0);
        } else if state.lines == self.rate {
            member.pause_reading();
            member.set_timeout(end, 0); // calls `on_timeout`
            return false;
        }
        state.lines += 1;
        true
    }
}

/// Takes the first line of a client as the nickname.
fn join(member: &mut Conn<'_, Member>, name: &str) {
    let is_name =
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        writeln!(member, "* a nickname has 1 to {MAX_NAME} letters and digits of ASCII, write another");
    } else if member.net().sessions().any(|(_, other)| other.name.as_deref() == Some(name)) {
        writeln!(member, "* {name} is taken, write another nickname");
    } else {
        debug!("{} is {name}", member.id());
        member.session().name = Some(name.into());
        member.set_deadline(None);
        broadcast(member.net(), &format!("* {name} has joined"));
    }
}

/// Carries out a line of a member.
fn take_line(member: &mut Conn<'_, Member>, name: &str, line: &str) {
    match line {
        "" => {}
        "/quit" => {
            member.send_all(b"* goodbye\n");
            member.close(); // `on_close` tells the other members
        }
        "/who" => {
            let mut names: Vec<_> =
                member.net().sessions().filter_map(|(_, member)| member.name.clone()).collect();
            names.sort();
            writeln!(member, "* here: {}", names.join(" "));
        }
        _ if line.starts_with('/') => {
            member.send_all(b"* the commands are /who and /quit\n");
        }
        _ => broadcast(member.net(), &format!("{name}: {line}")),
    }
}

impl Handler for Chat {
    type Session = Member;

    fn on_accept(&mut self, net: &mut Net<Member>, from: &Accepted) -> Option<Member> {
        debug!("{} opened by {}", from.id, from.peer);
        Some(Member { name: None, second: net.now(), lines: 0 })
    }

    fn on_open(&mut self, member: &mut Conn<'_, Member>) {
        let end = member.now() + TIME_FOR_A_NAME;
        member.set_deadline(end);
        member.send_all(b"* write your nickname\n");
    }

    /// Takes one line. The reactor calls the method again at once if there is another line, but not while the member has 64 KiB
    /// or more of unsent bytes: a member that does not read cannot ask for more and more answers.
    fn on_data(&mut self, member: &mut Conn<'_, Member>, input: &[u8]) -> usize {
        let mut lines = framing::lines(input, MAX_LINE);
        match lines.next() {
            Some(Ok(line)) => {
                if !self.may_write(member) {
                    return 0; // `on_timeout` lets the reactor show the line again
                }
                // A member must not send control characters to the terminals of the others.
                let line = String::from_utf8_lossy(line).replace(char::is_control, "?");
                match member.session().name.clone() {
                    Some(name) => take_line(member, &name, line.trim()),
                    None => join(member, line.trim()),
                }
            }
            Some(Err(_)) => {
                writeln!(member, "* a line has at most {MAX_LINE} bytes");
                member.close();
            }
            None => {}
        }
        lines.used()
    }

    fn on_timeout(&mut self, member: &mut Conn<'_, Member>, _tag: u64) {
        member.resume_reading();
    }

    /// The client has ended while lines above the rate wait. Without this close, a client that has sent a flood of lines and has
    /// gone would stay a member until all lines were taken.
    fn on_peer_closed(&mut self, member: &mut Conn<'_, Member>) {
        member.close();
    }

    // The default `on_eof` closes the connection, after the bytes that were sent are delivered.

    /// Tells the member that the chat ends. Lines that are on their way to the server are sent to the members too.
    fn on_drain(&mut self, member: &mut Conn<'_, Member>) {
        member.send_all(b"* the server ends\n");
        let quiet = member.net().options().drain_quiet;
        member.close_when_idle(quiet);
    }

    fn on_close(&mut self, net: &mut Net<Member>, id: ConnId, member: Member, why: CloseReason) {
        let Some(name) = member.name else { return debug!("{id} closed without a nickname: {why}") };
        match why {
            CloseReason::Aborted | CloseReason::MemoryLimit => info!("{name} was dropped: {why}"),
            _ => debug!("{name} closed: {why}"),
        }
        // In a drain, a line for each member that leaves would keep the other members from becoming idle.
        if !net.is_draining() {
            broadcast(net, &format!("* {name} has left"));
        }
    }
}
