//! Tests of the example `proxy`: bytes, ends, resets, memory, and the end by a signal.

mod backends;
#[cfg(unix)]
mod clients;

use std::{
    io::{BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::ChildStdout,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    End, PATIENCE, assert_same, connect, pattern,
    programs::{self, Killed, example, start_server},
    read_out, read_to_end, reset, within,
};

/// A running proxy. The program is killed with the value.
struct Proxy {
    program: Killed,
    _stdout: BufReader<ChildStdout>,
    at: String,
}

impl Proxy {
    fn start(listen: &str, to: &str, more: &[&str]) -> Self {
        let mut command = example("proxy");
        command.args(["--listen", listen, "--to", to]).args(more);
        let (program, _stdout, at) = start_server(command);
        Self { program, _stdout, at }
    }

    fn address(&self) -> SocketAddr {
        self.at.parse().expect("the proxy printed an address")
    }
}

fn backend() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    (listener, at)
}

/// Returns an address that refuses each connect, because a socket that does not listen holds the port.
fn mute() -> (socket2::Socket, String) {
    let mute = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    mute.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let at = mute.local_addr().unwrap().as_socket().unwrap().to_string();
    (mute, at)
}

/// Accepts a connection of the proxy. The calls of the stream fail after [`PATIENCE`].
fn accept(listener: &TcpListener) -> TcpStream {
    let listener = listener.try_clone().unwrap();
    let (stream, _) = within(move || listener.accept()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Starts a proxy in front of a backend, and returns both ends of a pair.
fn pair(more: &[&str]) -> (Proxy, TcpStream, TcpStream) {
    let (listener, to) = backend();
    let proxy = Proxy::start("127.0.0.1:0", &to, more);
    let client = connect(proxy.address());
    (proxy, client, accept(&listener))
}

/// Makes bytes that repeat a pattern. A test that is built without optimization needs seconds for a pattern of this length.
fn large(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = pattern(1_000_003, seed).repeat(len.div_ceil(1_000_003));
    bytes.truncate(len);
    bytes
}

/// Sends 32 MiB from each of the two ends at once, each with an end of file behind it.
fn stream_both_ways(client: TcpStream, backend: TcpStream) {
    let ends = [(client, 1), (backend, 2)].map(|(stream, seed)| {
        let sending = stream.try_clone().unwrap();
        let sender = thread::spawn(move || {
            (&sending).write_all(&large(32 << 20, seed)).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        let mut stream = stream;
        (sender, thread::spawn(move || assert!(read_to_end(&mut stream) == large(32 << 20, 3 - seed))))
    });
    for (sender, reader) in ends {
        within(|| (sender.join().unwrap(), reader.join().unwrap()));
    }
}

#[test]
fn large_streams_pass_in_both_directions_at_once() {
    let (_proxy, client, backend) = pair(&[]);
    stream_both_ways(client, backend);
}

#[test]
#[cfg(unix)]
fn both_sides_can_be_unix_sockets() {
    use crate::support::unix::{Folder, connect_to};
    use std::os::{fd::OwnedFd, unix::net::UnixListener};

    let folder = Folder::new();
    let paths = ["front", "back"].map(|name| folder.file(name));
    let [front, back] = paths.each_ref().map(|path| format!("unix:{}", path.display()));
    let listener = UnixListener::bind(&paths[1]).unwrap();
    let proxy = Proxy::start(&front, &back, &["--proxy-protocol"]);
    assert_eq!(proxy.at, front);
    let client = connect_to(&paths[0], |_| {});
    let (backend, _) = within(move || listener.accept()).unwrap();
    let mut backend = TcpStream::from(OwnedFd::from(backend)); // `connect_to` explains the type
    assert_eq!(read(&mut backend, 15), b"PROXY UNKNOWN\r\n");
    stream_both_ways(client, backend);
}

fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn an_end_of_file_passes_and_the_other_direction_stays_open() {
    let (_proxy, mut client, mut backend) = pair(&[]);
    client.write_all(b"the last question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut backend), b"the last question");
    let answer = pattern(1 << 20, 1);
    let sending = thread::spawn(move || {
        backend.write_all(&pattern(1 << 20, 1)).unwrap();
        backend.shutdown(Shutdown::Write).unwrap();
        backend
    });
    assert_same(&read_to_end(&mut client), &answer);
    within(|| sending.join()).unwrap();

    let (_proxy, mut client, mut backend) = pair(&[]);
    backend.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), b"");
    client.write_all(b"an upload").unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut backend), b"an upload");
}

#[test]
fn resets_pass_in_both_directions() {
    let (_proxy, mut client, mut backend) = pair(&[]);
    assert_eq!(pass(&mut client, &mut backend), b"hello");
    reset(client);
    assert_eq!(read_out(&mut backend), (vec![], End::Reset));

    let (_proxy, mut client, mut backend) = pair(&[]);
    assert_eq!(pass(&mut client, &mut backend), b"hello");
    reset(backend);
    assert_eq!(read_out(&mut client), (vec![], End::Reset));
}

fn pass(from: &mut TcpStream, to: &mut TcpStream) -> Vec<u8> {
    from.write_all(b"hello").unwrap();
    read(to, 5)
}

/// The backend answers before it has read the upload, and resets the connection, as the system does for a socket that is
/// closed with unread bytes.
#[test]
fn an_early_answer_reaches_the_client_before_the_reset() {
    for round in 0..5 {
        let (_proxy, mut client, mut backend) = pair(&[]);
        let uploading = client.try_clone().unwrap();
        let upload = thread::spawn(move || {
            let part = pattern(1 << 20, 1);
            loop {
                if let Err(error) = (&uploading).write_all(&part) {
                    return error; // the proxy discards the upload until the reset
                }
            }
        });
        read(&mut backend, 10);
        let answer = pattern(50_000, round); // less than the window of a new connection
        backend.write_all(&answer).unwrap();
        reset(backend);
        let (found, end) = read_out(&mut client);
        assert_same(&found, &answer);
        let failed = within(|| upload.join()).unwrap();
        // The system tells only one call of the reset: the read or the write.
        let is_told = end == End::Reset || failed.kind() == ErrorKind::ConnectionReset;
        assert!(is_told, "the stream ended with {end:?}, and the upload with {failed}");
    }
}

#[test]
fn the_client_is_closed_if_the_backend_refuses() {
    let (_mute, nobody) = mute();
    let proxy = Proxy::start("127.0.0.1:0", &nobody, &[]);
    for _ in 0..3 {
        assert_eq!(read_to_end(&mut connect(proxy.address())), b"");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_client_is_closed_if_the_backend_does_not_answer_the_connect() {
    let dead_end = crate::support::dead_end::DeadEnd::new();
    let proxy = Proxy::start("127.0.0.1:0", &dead_end.at().to_string(), &["--connect-timeout", "0.2"]);
    assert_eq!(read_to_end(&mut connect(proxy.address())), b"");
}

#[test]
fn a_client_above_the_limit_waits_until_a_client_ends() {
    let (listener, to) = backend();
    let proxy = Proxy::start("127.0.0.1:0", &to, &["--max-clients", "1"]);
    let (mut first, mut backend) = (connect(proxy.address()), accept(&listener));
    let mut second = connect(proxy.address());
    second.write_all(b"hello").unwrap();
    for _ in 0..3 {
        assert_eq!(pass(&mut first, &mut backend), b"hello");
        assert_eq!(pass(&mut backend, &mut first), b"hello");
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().expect_err("one client is served").kind(), ErrorKind::WouldBlock);
    listener.set_nonblocking(false).unwrap();
    drop((first, backend));
    assert_eq!(read(&mut accept(&listener), 5), b"hello");
}

#[test]
fn an_idle_pair_is_reset() {
    let (_proxy, mut client, mut backend) = pair(&["--idle-timeout", "0.3"]);
    assert_eq!(pass(&mut backend, &mut client), b"hello");
    assert_eq!(read_out(&mut client), (vec![], End::Reset));
    assert_eq!(read_out(&mut backend), (vec![], End::Reset));
}

#[test]
fn the_backend_is_told_the_address_of_the_client() {
    let (proxy, mut client, mut backend) = pair(&["--proxy-protocol"]);
    let (from, to) = (client.local_addr().unwrap(), proxy.address());
    let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
    assert_eq!(str::from_utf8(&read(&mut backend, line.len())), Ok(line.as_str()));
    assert_eq!(pass(&mut client, &mut backend), b"hello");
}

#[test]
#[cfg(target_os = "linux")]
fn slow_readers_cost_less_than_a_mebibyte_each() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    const PAIRS: usize = 8;
    const LEN: usize = 24 << 20; // more than the kernel holds
    let (listener, to) = backend();
    let mut proxy = Proxy::start("127.0.0.1:0", &to, &[]);
    {
        let mut first = connect(proxy.address());
        let mut backend = accept(&listener);
        assert_eq!(pass(&mut first, &mut backend), b"hello"); // what every proxy needs is allocated
    }
    let before = programs::memory(&mut proxy.program, "VmRSS:");
    let sent = Arc::new(AtomicUsize::new(0));
    let bytes: Arc<[u8]> = large(LEN, 1).into();
    let (mut ends, mut senders) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let client = crate::support::connect_narrow(proxy.address());
        for end in [accept(&listener), client] {
            let (sending, bytes, sent) = (end.try_clone().unwrap(), Arc::clone(&bytes), Arc::clone(&sent));
            senders.push(thread::spawn(move || {
                for chunk in bytes.chunks(64 << 10) {
                    (&sending).write_all(chunk).unwrap();
                    sent.fetch_add(chunk.len(), Ordering::Relaxed);
                }
                sending.shutdown(Shutdown::Write).unwrap();
            }));
            ends.push(end);
        }
    }
    // Nobody reads, so all senders are stopped by the proxy at some time.
    let (begin, mut seen, mut since) = (Instant::now(), 0, Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        assert!(begin.elapsed() < PATIENCE, "the proxy takes more and more bytes");
        let now = sent.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
    assert!(seen < 2 * PAIRS * LEN, "no sender was stopped");
    let growth = programs::memory(&mut proxy.program, "VmRSS:").saturating_sub(before);
    assert!(growth < PAIRS << 20, "{PAIRS} pairs need {growth} bytes");

    let readers = ends.into_iter().map(|mut end| {
        let bytes = Arc::clone(&bytes);
        thread::spawn(move || assert!(read_to_end(&mut end) == *bytes))
    });
    for thread in readers.collect::<Vec<_>>().into_iter().chain(senders) {
        within(|| thread.join()).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn a_signal_in_the_middle_of_a_download_loses_nothing() {
    let (listener, to) = backend();
    let mut proxy = Proxy::start("127.0.0.1:0", &to, &["--drain", "60"]);
    let (mut client, mut backend) = (connect(proxy.address()), accept(&listener));
    // A client that stays open, as the client of a connection pool does, is closed when the pair has been quiet.
    let (mut pooled, mut idle) = (connect(proxy.address()), accept(&listener));
    assert_eq!(pass(&mut pooled, &mut idle), b"hello");
    let answer = large(32 << 20, 1);
    let download = answer.clone();
    let sending = thread::spawn(move || {
        backend.write_all(&download).unwrap();
        backend.shutdown(Shutdown::Write).unwrap();
        read_to_end(&mut backend)
    });
    let mut found = read(&mut client, 1 << 20);
    proxy.program.signal("-TERM");
    let begin = Instant::now();
    while TcpStream::connect(proxy.address()).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "the proxy goes on listening");
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
    found.extend(read_to_end(&mut client));
    assert!(found == answer, "{} bytes", found.len());
    drop(client);
    assert_eq!(within(|| sending.join()).unwrap(), b"");
    assert_eq!((read_to_end(&mut pooled), read_to_end(&mut idle)), (vec![], vec![]));
    let output = proxy.program.finish();
    assert!(output.status.success(), "{output:?}");
}
