//! Tests of the file at the path of a Unix listener: who makes it, who replaces it, and who removes it.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
    sync::{Arc, Barrier},
    thread,
};

use tidegate::{Address, EventLoop, ListenOptions, ListenerId, Options};

use crate::support::unix::Folder;

fn event_loop() -> EventLoop {
    EventLoop::new(Options::default()).unwrap()
}

fn listen(event_loop: &mut EventLoop, path: &Path) -> io::Result<ListenerId> {
    event_loop.net().listen(Address::unix(path).unwrap())
}

/// Leaves a file behind, as a process that was killed does.
fn leave_stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(fs::symlink_metadata(path).unwrap().file_type().is_socket());
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

#[test]
fn the_file_is_there_while_the_listener_listens_and_is_removed_with_it() {
    let folder = Folder::new();
    let mut one = event_loop();
    let [closed, dropped] = ["closed", "dropped"].map(|name| folder.file(name));
    let listener = listen(&mut one, &closed).unwrap();
    listen(&mut one, &dropped).unwrap();
    assert_eq!(one.net().local_address(listener).unwrap(), Address::unix(&closed).unwrap());
    assert!([&closed, &dropped].iter().all(|path| UnixStream::connect(path).is_ok()));
    one.net().close_listener(listener);
    assert_eq!(folder.names(), ["dropped"]);
    drop(one);
    assert!(folder.names().is_empty());
}

#[test]
fn a_file_that_has_taken_the_place_of_the_listener_is_kept() {
    let folder = Folder::new();
    let path = folder.file("socket");
    for closes in [true, false] {
        for replace in [|path: &Path| fs::write(path, "other").unwrap(), leave_stale] {
            let mut one = event_loop();
            let listener = listen(&mut one, &path).unwrap();
            fs::remove_file(&path).unwrap();
            replace(&path);
            let before = inode(&path);
            if closes {
                one.net().close_listener(listener);
            }
            drop(one);
            assert_eq!(inode(&path), before);
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn a_listener_whose_file_was_removed_closes_like_any_other() {
    let folder = Folder::new();
    let path = folder.file("socket");
    let mut one = event_loop();
    let listener = listen(&mut one, &path).unwrap();
    fs::remove_file(&path).unwrap();
    one.net().close_listener(listener);
    listen(&mut one, &path).unwrap();
}

#[test]
fn the_permissions_are_those_that_were_asked_for() {
    let folder = Folder::new();
    let mut one = event_loop();
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let path = folder.file(&format!("{mode:o}"));
        let options = ListenOptions::default().unix_mode(Some(mode));
        one.net().listen_with(Address::unix(&path).unwrap(), options).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    ignore = "only Linux tells a socket that nobody listens on from a socket with a full backlog"
)]
fn a_file_that_nobody_listens_on_is_replaced() {
    let folder = Folder::new();
    let path = folder.file("socket");
    leave_stale(&path);
    let mut one = event_loop();
    listen(&mut one, &path).unwrap();
    UnixStream::connect(&path).unwrap();
    assert_eq!(folder.names(), ["socket"], "a file was left beside the socket");
    drop(one);
    assert!(folder.names().is_empty());
}

#[test]
fn a_socket_that_somebody_listens_on_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.file("socket");
    // The standard library would listen with a backlog of thousands.
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(2).unwrap();
    let std = UnixListener::from(socket);
    for full in [false, true] {
        // A nonblocking connect to a full backlog fails with EAGAIN.
        let mut clients = Vec::new();
        if full {
            let pending = || {
                let socket =
                    socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket.connect(&socket2::SockAddr::unix(&path).unwrap()).map(|()| socket)
            };
            while let Ok(client) = pending() {
                clients.push(client);
            }
        }
        let before = inode(&path);
        let error = listen(&mut event_loop(), &path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let expected = format!("cannot listen on unix:{}: ", path.display());
        assert!(error.to_string().starts_with(&expected) && !error.to_string().contains('\n'), "{error}");
        assert_eq!(inode(&path), before);
    }
    std.accept().unwrap();
    drop(std);
}

#[test]
fn other_files_are_never_removed() {
    let folder = Folder::new();
    let [file, link, datagram] = ["file", "link", "datagram"].map(|name| folder.file(name));
    fs::write(&file, "content").unwrap();
    std::os::unix::fs::symlink(folder.file("nowhere"), &link).unwrap();
    let _datagram = UnixDatagram::bind(&datagram).unwrap();
    for path in [&file, &link, &datagram, &folder.path().to_owned()] {
        let before = inode(path);
        let error = listen(&mut event_loop(), path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        assert_eq!(inode(path), before);
    }
    assert_eq!(fs::read(&file).unwrap(), b"content");
}

#[test]
fn a_path_that_cannot_be_bound_is_named_with_the_cause() {
    let folder = Folder::new();
    let path = folder.file("missing").join("socket");
    let error = listen(&mut event_loop(), &path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains(&format!("unix:{}", path.display())), "{error}");
    let options = ListenOptions::default().reuse_port(true);
    let address = Address::unix(folder.file("socket")).unwrap();
    let error = event_loop().net().listen_with(address, options).unwrap_err();
    assert!(error.to_string().contains("reuse_port"), "{error}");
    assert!(folder.names().is_empty());
}

/// The token range has room for no listener, so the listener is closed again.
#[test]
fn a_listener_that_finds_no_token_leaves_no_file() {
    let folder = Folder::new();
    let host = crate::support::Host::new();
    let mut reactor = tidegate::Reactor::<()>::new(host.poll.registry(), 0..1, Options::default()).unwrap();
    reactor.net().listen("127.0.0.1:0").unwrap();
    reactor.net().listen(Address::unix(folder.file("socket")).unwrap()).unwrap_err();
    assert!(folder.names().is_empty());
}

/// A server that starts holds the lock on the directory. Its socket looks like a socket that nobody listens on until it
/// listens.
#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn nothing_is_replaced_while_another_server_starts_in_the_directory() {
    use rustix::fs::{FlockOperation, flock};

    let folder = Folder::new();
    let path = folder.file("socket");
    leave_stale(&path);
    let before = inode(&path);
    let lock = fs::File::open(folder.path()).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let error = listen(&mut event_loop(), &path).unwrap_err();
    assert_eq!((error.kind(), inode(&path)), (io::ErrorKind::AddrInUse, before), "{error}");
    // A path that is free needs no lock.
    listen(&mut event_loop(), &folder.file("free")).unwrap();
    // A server that waits for the lock goes on when the lock is free.
    let waiting = thread::spawn(move || listen(&mut event_loop(), &path).map(drop));
    drop(lock);
    waiting.join().unwrap().unwrap();
}

/// Several servers start at a time at the path of a server that was killed. One of them gets the path, and clients reach
/// that one.
#[test]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    ignore = "only Linux tells a socket that nobody listens on from a socket with a full backlog"
)]
fn of_servers_that_start_at_a_time_one_gets_the_path() {
    const SERVERS: usize = 8;
    let folder = Folder::new();
    for round in 0..100 {
        let path = folder.file("socket");
        if round % 2 == 0 {
            leave_stale(&path);
        }
        let barrier = Arc::new(Barrier::new(SERVERS));
        let servers = [(); SERVERS].map(|()| {
            let (barrier, path) = (barrier.clone(), path.clone());
            thread::spawn(move || {
                let mut event_loop = event_loop();
                barrier.wait();
                let listening = listen(&mut event_loop, &path).is_ok();
                barrier.wait(); // Nobody gives the path back before all have tried to get it.
                let reached = listening && UnixStream::connect(&path).is_ok();
                barrier.wait();
                (listening, reached)
            })
        });
        let outcomes = servers.map(|server| server.join().unwrap());
        assert_eq!(outcomes.iter().filter(|(listening, _)| *listening).count(), 1, "round {round}");
        assert_eq!(outcomes.iter().filter(|(_, reached)| *reached).count(), 1, "round {round}");
        assert!(folder.names().is_empty(), "round {round}");
    }
}
