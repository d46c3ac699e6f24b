//! Backends that refuse, vanish or stop, and the line that tells a backend the address of the client.

use super::*;
#[cfg(target_os = "linux")]
use crate::support::connect_narrow;

/// Returns the first line that the backend receives.
fn first_line(backend: TcpStream) -> String {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut BufReader::new(backend), &mut line).unwrap();
    line
}

#[test]
fn the_line_for_the_backend_has_the_family_of_the_client() {
    if TcpListener::bind("[::1]:0").is_err() {
        return crate::support::skip("this machine has no IPv6");
    }
    // A listener for both families has IPv4 clients with mapped addresses, and the line has their IPv4 addresses.
    for (listen, loopback, family) in
        [("[::1]:0", "::1", "TCP6"), (":0", "::1", "TCP6"), (":0", "127.0.0.1", "TCP4")]
    {
        let (listener, to) = backend();
        let proxy = Proxy::start(listen, &to, &["--proxy-protocol"]);
        let at = SocketAddr::new(loopback.parse().unwrap(), proxy.address().port());
        let client = connect(at);
        let from = client.local_addr().unwrap();
        let line = format!("PROXY {family} {loopback} {loopback} {} {}\r\n", from.port(), at.port());
        assert_eq!(first_line(accept(&listener)), line, "{listen}");
    }
}

/// The line stands in front of bytes that the client has sent before the proxy had a connection to the backend.
#[test]
fn early_bytes_of_the_client_follow_the_line() {
    let (listener, to) = backend();
    let proxy = Proxy::start("127.0.0.1:0", &to, &["--proxy-protocol"]);
    let mut client = connect(proxy.address());
    client.write_all(b"early").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let received = read_to_end(&mut accept(&listener));
    assert!(
        received.starts_with(b"PROXY TCP4 127.0.0.1 ") && received.ends_with(b"\r\nearly"),
        "{received:?}"
    );
}

/// A client that has sent bytes is not reset, so that the client can tell a backend that is down from a stream that was cut.
#[test]
fn a_client_that_has_sent_bytes_gets_an_end_of_file_if_the_backend_cannot_be_reached() {
    let (_mute, refuses) = mute();
    let mut backends = vec![refuses];
    if cfg!(unix) {
        backends.push("unix:/nonexistent/socket".into());
    }
    for to in backends {
        let proxy = Proxy::start("127.0.0.1:0", &to, &[]);
        let mut client = connect(proxy.address());
        client.write_all(&pattern(10_000, 1)).unwrap();
        assert_eq!(read_out(&mut client), (vec![], End::Eof), "{to}");
    }
}

/// The backend has a path, because no other process takes a path that is free for a moment.
#[test]
#[cfg(unix)]
fn a_backend_that_comes_back_is_used_for_the_next_client() {
    use crate::support::unix::Folder;
    use std::os::{fd::OwnedFd, unix::net::UnixListener};

    let folder = Folder::new();
    let path = folder.file("back");
    let accept = |listener: &UnixListener| {
        let listener = listener.try_clone().unwrap();
        let (stream, _) = within(move || listener.accept()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        TcpStream::from(OwnedFd::from(stream)) // `connect_to` explains the type
    };
    let listener = UnixListener::bind(&path).unwrap();
    let proxy = Proxy::start("127.0.0.1:0", &format!("unix:{}", path.display()), &[]);
    let mut client = connect(proxy.address());
    let mut served = accept(&listener);
    drop(listener);
    assert_eq!(read_to_end(&mut connect(proxy.address())), b"");
    // The pair that exists does not depend on the listener of the backend.
    assert_eq!(pass(&mut client, &mut served), b"hello");
    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let mut next = connect(proxy.address());
    assert_eq!(pass(&mut next, &mut accept(&listener)), b"hello");
    assert_eq!(pass(&mut served, &mut client), b"hello");
}

/// The backend accepts the connection and ends with the connection in its backlog, so the system resets the connection.
#[test]
fn a_backend_that_ends_without_accepting_resets_the_client() {
    let (listener, to) = backend();
    let proxy = Proxy::start("127.0.0.1:0", &to, &["--idle-timeout", "0"]);
    let mut client = connect(proxy.address());
    let mut other = connect(proxy.address());
    let mut served = accept(&listener);
    // One of the two clients is served, and the other waits in the backlog of the backend.
    served.write_all(b"hello").unwrap();
    let mut first_byte = [0];
    client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    other.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let begin = Instant::now();
    let (mut waits, is_served) = loop {
        assert!(begin.elapsed() < PATIENCE, "no client gets the bytes");
        if client.read(&mut first_byte).is_ok() {
            break (other, client);
        }
        if other.read(&mut first_byte).is_ok() {
            break (client, other);
        }
    };
    waits.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(listener);
    assert_eq!(read_out(&mut waits), (vec![], End::Reset));
    drop((served, is_served));
}

/// The backend may answer and reset the connection before the proxy has noticed that its connect has succeeded.
#[test]
fn the_answer_of_a_backend_that_resets_at_once_reaches_the_client() {
    const CLIENTS: usize = 40;
    let (listener, to) = backend();
    let proxy = Proxy::start("127.0.0.1:0", &to, &[]);
    let serving = thread::spawn(move || {
        for _ in 0..CLIENTS {
            let mut stream = accept(&listener);
            stream.write_all(b"the answer").unwrap();
            reset(stream);
        }
    });
    let at = proxy.address();
    let clients = [(); CLIENTS].map(|()| thread::spawn(move || read_out(&mut connect(at))));
    for client in clients {
        assert_eq!(within(|| client.join()).unwrap(), (b"the answer".to_vec(), End::Reset));
    }
    within(|| serving.join()).unwrap();
}

/// The backend reads nothing, so the upload stops, and the client notices that the backend has gone.
#[test]
fn an_upload_that_the_backend_does_not_read_ends_with_the_reset_of_the_backend() {
    let (_proxy, mut client, backend) = pair(&[]);
    let uploading = client.try_clone().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let upload = thread::spawn(move || {
        let part = pattern(1 << 20, 1);
        loop {
            match (&uploading).write_all(&part) {
                Ok(()) => drop(tell.send(())),
                Err(error) => return error,
            }
        }
    });
    crate::support::next(&told);
    // The upload stops when the buffers between both ends are full.
    while told.recv_timeout(Duration::from_millis(200)).is_ok() {}
    reset(backend);
    let failed = within(|| upload.join()).unwrap();
    let (found, end) = read_out(&mut client);
    assert_eq!(found, b"");
    // The system tells only one call of the reset: the read or the write.
    let is_told = end == End::Reset || failed.kind() == ErrorKind::ConnectionReset;
    assert!(is_told, "the stream ended with {end:?}, and the upload with {failed}");
}

/// The largest memory that the process has had is compared, so that a short peak counts too.
#[test]
#[cfg(target_os = "linux")]
fn a_download_to_slow_readers_costs_less_than_a_mebibyte_each() {
    const READERS: usize = 4;
    const LEN: usize = 16 << 20;
    let (listener, to) = backend();
    let mut proxy = Proxy::start("127.0.0.1:0", &to, &[]);
    let at = proxy.address();
    let download = |readers| {
        // Each client takes few bytes at a time.
        let pairs: Vec<_> = (0..readers).map(|_| (connect_narrow(at), accept(&listener))).collect();
        let threads = pairs.into_iter().map(|(mut client, mut backend)| {
            let sender = thread::spawn(move || {
                backend.write_all(&large(LEN, 1)).unwrap();
                backend.shutdown(Shutdown::Write).unwrap();
                read_to_end(&mut backend)
            });
            (sender, thread::spawn(move || assert!(read_to_end(&mut client) == large(LEN, 1))))
        });
        for (sender, reader) in threads.collect::<Vec<_>>() {
            within(|| (reader.join().unwrap(), sender.join().unwrap()));
        }
    };
    download(1); // the proxy allocates what it needs for any client
    let before = programs::memory(&mut proxy.program, "VmHWM:");
    download(READERS);
    let growth = programs::memory(&mut proxy.program, "VmHWM:").saturating_sub(before);
    assert!(growth < READERS << 20, "{READERS} readers need {growth} bytes");
}
