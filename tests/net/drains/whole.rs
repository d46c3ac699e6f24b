//! Tests of a drain with the default `on_drain`: a download, and a request that was sent before, are finished within the
//! grace.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Flow, Handler, Net, Options};

use crate::support::{End, Host, PATIENCE, Server, assert_same, connect, connect_narrow, pattern, read_out};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Sends a body of this length to each client that sends a request, as fast as the client reads, and leaves the connection
/// open.
struct Downloads {
    len: usize,
    ends: Vec<CloseKind>,
}

/// The body of a download, and the number of its bytes that are sent already.
#[derive(Default)]
struct Download {
    sent: usize,
    body: Vec<u8>,
}

impl Downloads {
    const SEED: u64 = 7;

    fn new(len: usize) -> Self {
        Self { len, ends: Vec::new() }
    }

    fn body(len: usize) -> Vec<u8> {
        pattern(len, Self::SEED)
    }

    fn go_on(conn: &mut Conn<'_, Download>) {
        let (download, mut out) = conn.split();
        while download.sent < download.body.len() {
            let end = download.body.len().min(download.sent + (16 << 10));
            let flow = out.send_all(&download.body[download.sent..end]);
            if flow == Flow::Gone {
                return;
            }
            download.sent = end;
            if flow == Flow::Full {
                return;
            }
        }
    }
}

impl Handler for Downloads {
    type Session = Download;

    fn on_accept(&mut self, _net: &mut Net<Download>, _from: &Accepted) -> Option<Download> {
        Some(Download::default())
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Download>, input: &[u8]) -> usize {
        conn.session().body = Self::body(self.len);
        Self::go_on(conn);
        input.len()
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, Download>) {
        Self::go_on(conn);
    }

    fn on_close(&mut self, _net: &mut Net<Download>, _id: ConnId, _session: Download, why: CloseReason) {
        self.ends.push(why.kind());
    }
}

#[test]
fn a_download_arrives_whole_although_a_drain_begins_in_the_middle() {
    const LEN: usize = 8 << 20;
    let server = Server::start(Options::default(), Downloads::new(LEN));
    let mut client = connect_narrow(server.address);
    client.write_all(b"go").unwrap();
    let mut came = vec![0; 100_000];
    client.read_exact(&mut came).unwrap();
    server.remote.drain(A_DAY);
    // The client reads small portions, so that the server pauses and resumes often.
    let mut portion = [0; 10_000];
    loop {
        match client.read(&mut portion).unwrap() {
            0 => break,
            n => came.extend_from_slice(&portion[..n]),
        }
    }
    drop(client);
    assert_same(&came, &Downloads::body(LEN));
    let (downloads, stats) = server.join();
    assert_eq!(downloads.ends, [CloseKind::Drained]);
    assert_eq!((stats.open, stats.drain_resets, stats.undelivered), (0, 0, 0));
}

#[test]
fn a_reader_that_pauses_for_long_gets_the_download_whole_within_the_grace() {
    const LEN: usize = 8 << 20;
    let (mut host, start) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut downloads = Downloads::new(LEN);
    let mut client = connect_narrow(at);
    client.write_all(b"go").unwrap();
    host.turn_until(&mut reactor, &mut downloads, start, |_, net| net.stats().bytes_sent > 0);
    reactor.net().drain(A_DAY);
    // The time passes and no byte moves, because the client does not read.
    let mut now = start;
    for _ in 0..100 {
        host.turn_until_quiet(&mut reactor, &mut downloads, now);
        now += Duration::from_secs(100);
        assert_eq!(downloads.ends, [], "after {:?}", now - start);
    }
    let reader = thread::spawn(move || read_out(&mut client));
    let end = Instant::now() + PATIENCE;
    while downloads.ends.is_empty() {
        assert!(Instant::now() < end, "the download does not end: {:?}", reactor.net().stats());
        host.poll_once(&mut reactor);
        reactor.settle(&mut downloads, now);
        now += Duration::from_millis(1);
    }
    let (came, how) = reader.join().unwrap();
    assert_same(&came, &Downloads::body(LEN));
    assert_eq!((how, downloads.ends), (End::Eof, vec![CloseKind::Drained]));
}

#[test]
fn a_request_in_the_kernel_when_a_drain_begins_is_answered_whole() {
    const LEN: usize = 100_000;
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut downloads = Downloads::new(LEN);
    let mut client = connect(at);
    host.turn_until(&mut reactor, &mut downloads, now, |_, net| net.stats().accepted == 1);
    host.turn_until_quiet(&mut reactor, &mut downloads, now);
    client.write_all(b"go").unwrap();
    let events = host.collect(1);
    reactor.net().drain(A_DAY);
    reactor.settle(&mut downloads, now); // The drain begins before the reactor has the event of the request.
    events.iter().for_each(|event| assert!(reactor.handle(event)));
    let reader = thread::spawn(move || {
        let mut answer = vec![0; LEN];
        client.read_exact(&mut answer).map(|()| (answer, client))
    });
    host.turn_until(&mut reactor, &mut downloads, now, |_, net| net.stats().bytes_sent == LEN as u64);
    let (answer, mut client) = reader.join().unwrap().expect("the answer is whole");
    assert_same(&answer, &Downloads::body(LEN));
    // After the answer the connection is idle, and the drain ends long before the end of its grace.
    let minute = Duration::from_secs(60);
    host.turn_until(&mut reactor, &mut downloads, now + minute, |downloads, _| !downloads.ends.is_empty());
    assert_eq!(downloads.ends, [CloseKind::Drained]);
    assert_eq!(read_out(&mut client), (vec![], End::Eof));
}
