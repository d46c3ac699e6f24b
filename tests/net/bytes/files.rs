//! Tests of `send_file`.

use std::{
    cell::Cell,
    fs::File,
    io::{Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use tidegate::{CloseKind, Flow, Options, testing::Rehearsal};

use crate::support::{
    Actor, Call, End, assert_same, connect, connect_narrow, listening, pattern, read_out, turn_until,
};

/// A file that is removed when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn with(bytes: &[u8]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tidegate-file-{}-{number}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const MIB: usize = 1 << 20;

/// Starts a loop whose handler sends a header, a part of the file and a trailer for each request. Returns all that a slow
/// client receives until the loop has closed the connection.
fn serve(path: &Path, range: &Range<u64>, options: Options) -> Vec<u8> {
    let mut actor = Actor::with_conn(|conn, call| match call {
        Call::Data(request) => {
            conn.send_all(b"header");
            for _ in 0..request.len() {
                conn.send_file(File::open(path).unwrap(), range.clone());
            }
            conn.send_all(b"trailer");
        }
        Call::Eof => conn.close(),
        _ => {}
    });
    let (mut event_loop, at) = listening(options);
    let mut client = connect_narrow(at);
    client.write_all(b"12").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).map(|_| all)
    });
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.count(&Call::Close(CloseKind::Eof)) > 0);
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().open == 0);
    assert!(actor.has_heard(&Call::Close(CloseKind::Eof)), "{:?}", actor.take_calls());
    reader.join().unwrap().unwrap()
}

fn answer(part: &[u8]) -> Vec<u8> {
    [b"header", part, part, b"trailer"].concat()
}

#[test]
fn files_arrive_whole_and_in_order_between_other_sends() {
    let bytes = pattern(3 * MIB, 1);
    let file = Temporary::with(&bytes);
    for range in [0..bytes.len(), 5..6, 1_000_000..2_345_678, 7..7] {
        let part = answer(&bytes[range.clone()]);
        let range = range.start as u64..range.end as u64;
        assert_same(&serve(&file.0, &range, Options::default()), &part);
        let narrow = Options::default().write_budget(10_000).high_water(100).low_water(10).max_outbox(100);
        assert_same(&serve(&file.0, &range, narrow), &part);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_the_kernel_cannot_send_by_itself_is_read_and_sent() {
    let path = Path::new("/proc/version");
    let Ok(version) = std::fs::read(path) else { return crate::support::skip("there is no /proc/version") };
    let range = 0..version.len() as u64;
    assert_same(&serve(path, &range, Options::default()), &answer(&version));
}

#[test]
fn a_file_that_grows_sends_no_more_than_its_range() {
    let file = Temporary::with(b"before");
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::idle();
    let id = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(id, 3);
    rehearsal.net().send_file(id, file.open(), 0..6);
    rehearsal.settle(&mut actor);
    std::fs::write(&file.0, b"before and after").unwrap();
    rehearsal.capacity(id, usize::MAX);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.sent(id), b"before");
    assert!(rehearsal.is_open(id));
}

#[test]
fn a_file_that_ends_before_its_range_ends_the_connection_with_a_reset() {
    let bytes = pattern(50_000, 2);
    let file = Temporary::with(&bytes);
    let mut actor = Actor::with_conn(|conn, call| {
        if matches!(call, Call::Data(_)) {
            conn.send_file(file.open(), 0..50_001);
            conn.close();
        }
    });
    let (mut event_loop, at) = listening(Options::default());
    let mut client = connect(at);
    client.write_all(b"?").unwrap();
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed > 0);
    assert!(actor.has_heard(&Call::Close(CloseKind::FileFailed)), "{:?}", actor.take_calls());
    assert_eq!(event_loop.net().stats().undelivered, 1);
    let (received, end) = read_out(&mut client);
    assert_eq!(end, End::of_abort());
    assert!(bytes.starts_with(&received));
}

#[test]
fn a_file_that_cannot_be_read_ends_the_connection_with_a_reset() {
    let file = Temporary::with(b"secret");
    let write_only = || File::options().append(true).open(&file.0).unwrap();
    let folder = || File::open(std::env::temp_dir()).unwrap();
    for open in [&write_only as &dyn Fn() -> File, &folder] {
        let mut actor = Actor::with_conn(|conn, call| {
            if *call == Call::Open {
                conn.send_file(open(), 0..6);
            }
        });
        let (mut event_loop, at) = listening(Options::default());
        let mut client = connect(at);
        turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed > 0);
        assert!(actor.has_heard(&Call::Close(CloseKind::FileFailed)), "{:?}", actor.take_calls());
        assert_eq!(read_out(&mut client), (Vec::new(), End::of_abort()));
    }
}

#[test]
fn a_large_file_is_full_at_once_and_on_writable_comes_when_nearly_all_of_it_is_sent() {
    let file = Temporary::with(&pattern(200_000, 3));
    let left = Cell::new(None);
    let mut actor = Actor::with_conn(|conn, call| match call {
        Call::Data(_) => {
            assert_eq!(conn.send_file(file.open(), 0..200_000), Flow::Full);
            assert_eq!(conn.queued(), 200_000);
        }
        Call::Writable => left.set(Some(conn.queued())),
        _ => {}
    });
    // The hard limit and the memory budget do not count bytes that are on the disk.
    let options = Options::default().max_outbox(1 << 16).memory_budget(1 << 17);
    let low_water = options.low_water;
    let mut rehearsal = Rehearsal::new(options);
    let id = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(id, 0);
    rehearsal.receive(&mut actor, id, b"?");
    for step in [100_000, 200_000 - 100_000 - low_water, 1] {
        assert_eq!(left.get(), None, "on_writable came before {step} further bytes were sent");
        rehearsal.capacity(id, step);
        rehearsal.settle(&mut actor);
    }
    assert_eq!(left.get(), Some(low_water - 1));
    rehearsal.capacity(id, usize::MAX);
    rehearsal.settle(&mut actor);
    assert_same(&rehearsal.sent(id), &pattern(200_000, 3));
    assert_eq!(rehearsal.net().stats().buffered, 0);
}

#[test]
fn a_send_of_a_file_to_a_connection_that_is_gone_is_discarded() {
    let file = Temporary::with(b"unread");
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::idle();
    let id = rehearsal.accept(&mut actor).unwrap();
    rehearsal.net().shutdown_write(id);
    assert_eq!(rehearsal.net().send_file(id, file.open(), 0..6), Flow::Gone);
    rehearsal.net().abort(id);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.net().send_file(id, file.open(), 0..6), Flow::Gone);
    assert_eq!(rehearsal.net().stats().sends_discarded, 2);
}

#[test]
fn ranges_that_are_longer_than_any_file_keep_their_order_and_end_with_a_reset() {
    let file = Temporary::with(b"all there is");
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::idle();
    let id = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(id, 0);
    rehearsal.net().send_all(id, b"header ");
    for _ in 0..3 {
        assert_eq!(rehearsal.net().send_file(id, file.open(), 0..u64::MAX), Flow::Full);
        assert_eq!(rehearsal.net().send_all(id, b"between"), Flow::Full);
    }
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.net().conn(id).unwrap().queued(), usize::MAX);
    rehearsal.capacity(id, usize::MAX);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.sent(id), b"header all there is");
    assert_eq!(rehearsal.why(id), Some(CloseKind::FileFailed));
}

#[test]
fn the_memory_budget_holds_when_files_are_read_between_turns() {
    let file = Temporary::with(&pattern(100_000, 4));
    let mut actor = Actor::idle();
    // Each connection reads up to 64 KiB of its file, and its peer takes none of them.
    let mut rehearsal = Rehearsal::new(Options::default().memory_budget(150_000));
    let ids = [(); 4].map(|()| rehearsal.accept(&mut actor).unwrap());
    for id in ids {
        rehearsal.capacity(id, 0);
        rehearsal.net().send_file(id, file.open(), 0..100_000);
    }
    rehearsal.settle(&mut actor);
    assert!(rehearsal.net().stats().buffered <= 150_000, "{}", rehearsal.net().stats());
    let ended = ids.iter().filter_map(|id| rehearsal.why(*id)).collect::<Vec<_>>();
    assert_eq!(ended, [CloseKind::MemoryLimit; 2]);
}
