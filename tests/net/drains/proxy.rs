//! Tests of a drain of a small proxy with the default `on_drain`: a stream arrives whole, or it ends with a reset.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, ConnId, EventLoop, Net, Options};

use crate::support::{
    self, End, PATIENCE, assert_same, connect, connect_narrow, next, pattern, proxy::Proxy, read_out,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns options with a long quiet time, so that a connection does not become idle while a thread of the test waits for
/// the processor.
fn options() -> Options {
    Options::default().drain_quiet(A_DAY)
}

/// Passes the end of a connection on to the other connection.
fn end(net: &mut Net, other: ConnId, kind: CloseKind) {
    if kind.is_clean() { net.close(other) } else { net.abort(other) }
}

/// Makes a proxied stream. Returns the client, whose buffers are small, and the backend as well.
fn proxied(event_loop: &mut EventLoop) -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let client = connect_narrow(at);
    let from_client = listener.accept().unwrap().0;
    let backend = connect(at);
    let to_backend = listener.accept().unwrap().0;
    let (proxy, _) = Proxy::between(event_loop.net(), from_client, to_backend, end);
    (proxy, client, backend)
}

/// Runs the loop in this thread until a drain ends it. Fails if the drain does not end.
fn run_to_the_end(event_loop: &mut EventLoop, proxy: &mut Proxy) {
    let end = Instant::now() + PATIENCE;
    while !event_loop.turn(proxy, Some(end.saturating_duration_since(Instant::now()))).unwrap().finished {
        assert!(Instant::now() < end, "the drain does not end: {:?}", event_loop.net().stats());
    }
}

#[test]
fn a_proxied_stream_arrives_whole_although_a_drain_begins_in_the_middle() {
    const LEN: usize = 8 << 20;
    let mut event_loop = EventLoop::new(options()).unwrap();
    let (mut proxy, mut client, mut backend) = proxied(&mut event_loop);
    let remote = event_loop.remote();
    let writer = thread::spawn(move || {
        backend.write_all(&pattern(LEN, 1)).unwrap();
        backend.shutdown(Shutdown::Write).unwrap();
        read_out(&mut backend)
    });
    let reader = thread::spawn(move || {
        let mut came = vec![0; 100_000];
        client.read_exact(&mut came).unwrap();
        remote.drain(A_DAY);
        let (rest, end) = read_out(&mut client);
        came.extend_from_slice(&rest);
        (came, end)
    });
    run_to_the_end(&mut event_loop, &mut proxy);
    let (came, end) = reader.join().unwrap();
    assert_same(&came, &pattern(LEN, 1));
    assert_eq!(end, End::Eof);
    assert_eq!(writer.join().unwrap(), (vec![], End::Eof));
    assert_eq!(event_loop.net().stats().drain_resets, 0, "{:?}", proxy.ends());
}

/// Sends the first half of a stream, as far as the proxy takes the bytes. Sends the second half only after a message of
/// `go_on`.
fn send_half(mut backend: TcpStream, len: usize, go_on: Receiver<()>) -> TcpStream {
    let bytes = pattern(len, 2);
    let half = backend.write_all(&bytes[..len / 2]); // The grace may end before the proxy has taken all of the half.
    if half.is_ok() && go_on.recv_timeout(PATIENCE).is_ok() {
        backend.write_all(&bytes[len / 2..]).unwrap();
    }
    backend
}

#[test]
fn a_proxied_stream_that_a_drain_cuts_off_does_not_end_with_a_clean_end_of_file() {
    const LEN: usize = 16 << 20;
    // The backend sends only the first half. In the first case the client has read all of this half when the drain begins. In
    // the second case, most bytes of this half are still in the proxy and in the kernel.
    for reads in [LEN / 2, 100_000] {
        let mut event_loop = EventLoop::new(options()).unwrap();
        let (mut proxy, mut client, backend) = proxied(&mut event_loop);
        let remote = event_loop.remote();
        let (go_on, told): (Sender<()>, _) = mpsc::channel();
        let writer = thread::spawn(move || send_half(backend, LEN, told));
        let (ended, end) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut came = vec![0; reads];
            client.read_exact(&mut came).unwrap();
            remote.drain(Duration::from_millis(50));
            next(&end);
            (came, read_out(&mut client))
        });
        run_to_the_end(&mut event_loop, &mut proxy);
        ended.send(()).unwrap();
        let (came, (rest, how)) = reader.join().unwrap();
        assert_eq!(
            how,
            End::of_abort(),
            "after {} of {LEN} bytes, {:?}",
            came.len() + rest.len(),
            proxy.ends()
        );
        assert!(proxy.ends().iter().all(|kind| *kind == CloseKind::Aborted), "{:?}", proxy.ends());
        drop(go_on);
        let _ = writer.join().unwrap();
    }
}

#[test]
fn a_backend_that_resets_during_a_drain_ends_the_client_with_a_reset() {
    const LEN: usize = 200_000;
    let mut event_loop = EventLoop::new(options()).unwrap();
    let (mut proxy, mut client, backend) = proxied(&mut event_loop);
    let remote = event_loop.remote();
    let (go_on, told) = mpsc::channel();
    let writer = thread::spawn(move || send_half(backend, LEN, told));
    let reader = thread::spawn(move || {
        client.read_exact(&mut vec![0; LEN / 2]).unwrap();
        remote.drain(A_DAY);
        drop(go_on);
        support::reset(writer.join().unwrap());
        read_out(&mut client).1
    });
    run_to_the_end(&mut event_loop, &mut proxy);
    assert_eq!(reader.join().unwrap(), End::of_abort(), "{:?}", proxy.ends());
}
