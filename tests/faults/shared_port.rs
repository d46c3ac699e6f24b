//! Loops with listeners at one port (SO_REUSEPORT) that come and go while clients connect. The head of the example `per_core`
//! says which clients are lost: clients that wait in the backlog of a listener at its close. Where `net.ipv4.tcp_migrate_req`
//! is 1, the kernel moves these clients to another listener, and resets at most clients whose connection becomes
//! complete at the moment of the close.
//!
//! Each test runs in a process of its own. A process that another test starts has duplicates of all descriptors until its
//! exec(2), so a listener that is closed would go on for a moment.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidegate::{
    Accepted, Conn, EventLoop, Handler, ListenOptions, ListenerId, Net, Options, Receiver, Sender,
};

use crate::support::{
    PATIENCE, next,
    programs::{is_child, run_alone, run_in_network_with},
    reset, skip, within,
};

const CLIENTS: usize = 8;
const ROUNDS: usize = 12;
const SYSCTL: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

enum Command {
    Pause,
    Close,
    Drain,
}

/// Echoes, and takes commands of the test.
struct Echo {
    listener: ListenerId,
    commands: Receiver<Command>,
    done: mpsc::Sender<()>,
}

impl Handler for Echo {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        conn.send_all(input);
        input.len()
    }

    fn on_wake(&mut self, net: &mut Net) {
        for command in self.commands.try_iter() {
            match command {
                Command::Pause => net.pause_listener(self.listener),
                Command::Close => net.close_listener(self.listener),
                Command::Drain => net.drain(PATIENCE),
            }
            let _ = self.done.send(());
        }
    }
}

/// A loop in a thread of its own.
struct Loop {
    thread: JoinHandle<io::Result<()>>,
    commands: Sender<Command>,
    done: mpsc::Receiver<()>,
    /// The number that /proc/net/tcp has for the listener.
    inode: String,
}

impl Loop {
    /// Starts a loop that listens at the address, and returns the address as well: with port 0, the system chooses a port.
    fn start(at: SocketAddr) -> (Self, SocketAddr) {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let options = ListenOptions::default().reuse_port(true);
        let listener = event_loop.net().listen_with(at, options).unwrap();
        let at = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
        let socket = event_loop.net().listener_socket(listener).unwrap();
        let inode = rustix::fs::fstat(&*socket).unwrap().st_ino.to_string();
        let ((commands, received), (tell, done)) = (event_loop.channel(), mpsc::channel());
        let mut echo = Echo { listener, commands: received, done: tell };
        let thread = thread::spawn(move || event_loop.run(&mut echo));
        (Self { thread, commands, done, inode }, at)
    }

    /// Gives the loop a command, and waits until the loop has called the method of `Net`.
    fn ask(&self, command: Command) {
        self.commands.send(command).unwrap_or_else(|_| panic!("the loop has ended"));
        next(&self.done);
    }

    /// Waits until the backlog has this number of clients.
    fn wait_for_backlog(&self, clients: usize) {
        let begin = Instant::now();
        while backlog(&self.inode) != Some(clients) {
            assert!(begin.elapsed() < PATIENCE, "{:?} clients wait", backlog(&self.inode));
            thread::sleep(Duration::from_millis(2)); // between two looks
        }
    }

    fn join(self) {
        within(|| self.thread.join()).unwrap().unwrap();
    }
}

/// Returns the number of clients in the backlog of a listener, or `None` if the listener is closed: proc(5), /proc/net/tcp.
fn backlog(inode: &str) -> Option<usize> {
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.filter(|columns| columns.get(3) == Some(&"0A")).find(|columns| columns[9] == inode)?;
    let (_sending, waiting) = row[4].split_once(':').expect("the column has two numbers");
    Some(usize::from_str_radix(waiting, 16).unwrap())
}

/// A client that got no answer.
#[derive(Debug)]
struct Lost {
    begin: Instant,
    end: Instant,
    error: ErrorKind,
}

/// Connects, sends, reads the echo and leaves, again and again. Returns the clients that got no echo.
fn connect_again_and_again(at: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<Lost> {
    let mut lost = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let exchange = || {
            let mut stream = TcpStream::connect(at)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"hello")?;
            let mut echo = [0; 5];
            stream.read_exact(&mut echo)?;
            assert_eq!(&echo, b"hello");
            reset(stream); // the port of the client is free at once
            Ok(())
        };
        match exchange() {
            Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                let error: io::Error = error;
                lost.push(Lost { begin, end: Instant::now(), error: error.kind() });
            }
        }
    }
    lost
}

/// Lets loops come and go under load. Every second loop is closed while all clients wait in its backlog, and the others are
/// drained while clients connect.
fn loops_come_and_go() {
    let moves = fs::read_to_string(SYSCTL).is_ok_and(|text| text.trim() == "1");
    let (first, at) = Loop::start("127.0.0.1:0".parse().unwrap());
    let mut loops = vec![first, Loop::start(at).0];
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = [(); CLIENTS].map(|()| {
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        thread::spawn(move || connect_again_and_again(at, &stop, &answered))
    });
    let wait_for_answers = || {
        let (begin, before) = (Instant::now(), answered.load(Ordering::Relaxed));
        while answered.load(Ordering::Relaxed) < before + 10 * CLIENTS {
            assert!(begin.elapsed() < PATIENCE, "the clients get no answers");
            thread::sleep(Duration::from_millis(2)); // between two looks
        }
    };
    let (mut drained, mut closed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        loops.push(Loop::start(at).0);
        wait_for_answers();
        let goes = loops.remove(0);
        if round % 2 == 0 {
            let begin = Instant::now();
            goes.ask(Command::Drain);
            goes.join();
            drained.push((begin, Instant::now()));
        } else {
            goes.ask(Command::Pause);
            goes.wait_for_backlog(CLIENTS);
            let begin = Instant::now();
            goes.ask(Command::Close);
            closed.push(begin);
            wait_for_answers();
            goes.ask(Command::Drain);
            goes.join();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let lost: Vec<Lost> = clients.into_iter().flat_map(|client| within(|| client.join()).unwrap()).collect();
    for rest in loops {
        rest.ask(Command::Drain);
        rest.join();
    }
    // A client that is lost has begun before the close and has ended after the close.
    let waited = |lost: &Lost| closed.iter().any(|close| lost.begin <= *close && *close <= lost.end);
    let (waited, others): (Vec<_>, Vec<_>) = lost.into_iter().partition(waited);
    assert_eq!(waited.len(), if moves { 0 } else { CLIENTS * ROUNDS / 2 }, "{waited:?}");
    assert!(waited.iter().all(|lost| lost.error == ErrorKind::ConnectionReset), "{waited:?}");
    for lost in others {
        let overlaps = drained.iter().any(|(begin, end)| lost.begin <= *end && *begin <= lost.end);
        assert!(overlaps, "{lost:?} is lost while no listener is closed");
    }
}

#[test]
fn only_clients_that_wait_in_the_backlog_of_a_listener_that_closes_are_lost() {
    const NAME: &str =
        "shared_port::only_clients_that_wait_in_the_backlog_of_a_listener_that_closes_are_lost";
    if is_child() { loops_come_and_go() } else { run_alone(NAME) }
}

#[test]
fn clients_that_wait_move_to_another_listener_where_the_system_is_told_so() {
    const NAME: &str = "shared_port::clients_that_wait_move_to_another_listener_where_the_system_is_told_so";
    if is_child() {
        assert_eq!(fs::read_to_string(SYSCTL).unwrap().trim(), "1");
        loops_come_and_go();
    } else if fs::exists(SYSCTL).unwrap() {
        run_in_network_with(NAME, &format!("echo 1 >{SYSCTL}"));
    } else {
        skip("the kernel is older than Linux 5.14");
    }
}
