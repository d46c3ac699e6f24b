//! Tests of partial sends and receives: no byte is lost, doubled or out of order, however few bytes the kernel takes at a
//! time.

use std::{
    io::{ErrorKind, Write},
    net::Shutdown,
    sync::mpsc,
    thread,
};

use tidegate::{Flow, Options};

use crate::support::{
    Server, Stepped, assert_same, connect, connect_narrow, next, pattern, read_to_end,
    script::{Script, Told},
};

#[test]
fn sixteen_mebibytes_come_back_through_small_buffers() {
    let (full, is_full) = mpsc::channel();
    let script = Script::default().on_data(move |conn, input, _| {
        if conn.send_all(input) == Flow::Full {
            let _ = full.send(());
        }
        input.len()
    });
    let (server, told) = script.serve(Options::default());
    let mut client = connect_narrow(server.address);
    let message = pattern(16 << 20, 1);
    thread::scope(|scope| {
        let mut sending = client.try_clone().unwrap();
        let message = &message;
        scope.spawn(move || {
            sending.write_all(message).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        // The client reads only after the server had to keep bytes back. Otherwise there might be no partial send to test.
        next(&is_full);
        assert_same(&read_to_end(&mut client), message);
    });
    let (_, stats) = server.stop();
    assert_eq!((stats.bytes_received, stats.bytes_sent), (16 << 20, 16 << 20));
    assert!(stats.partial_sends > 0 && stats.would_blocks > 0, "{stats:?}");
    assert!(told.try_iter().any(|told| told == Told::Eof(vec![])));
}

#[test]
fn many_small_sends_in_one_callback_are_one_send() {
    let message = pattern(20_000, 2);
    let script = Script::default().on_open({
        let message = message.clone();
        move |conn, _| {
            for piece in message.chunks(100) {
                assert_eq!(conn.send_all(piece), Flow::Open);
            }
            assert_eq!(conn.queued(), message.len());
            conn.close();
        }
    });
    let server = Server::start(Options::default(), script);
    assert_same(&read_to_end(&mut server.connect()), &message);
    assert_eq!(server.stop().1.sends, 1);
}

#[test]
#[cfg_attr(
    any(not(any(target_os = "linux", target_os = "android")), mio_unsupported_force_poll_poll),
    ignore = "the portable rules send one slice in a system call, so the message takes two"
)]
fn a_large_send_takes_the_gathered_bytes_along() {
    let message = pattern(100_000, 3);
    let script = Script::default().on_open({
        let message = message.clone();
        move |conn, _| {
            conn.send_all(&message[..10]);
            conn.send_all(&message[10..]);
            conn.close();
        }
    });
    let server = Server::start(Options::default(), script);
    assert_same(&read_to_end(&mut server.connect()), &message);
    assert_eq!(server.stop().1.sends, 1);
}

#[test]
fn a_large_send_behind_gathered_bytes_keeps_order() {
    // The message is larger than the kernel takes while the client does not read, and the write budget is larger than the
    // message.
    let options = Options::default().write_budget(64 << 20);
    let message = pattern(12 << 20, 4);
    let script = Script::default().on_open({
        let message = message.clone();
        move |conn, tell| {
            let (gathered, rest) = message.split_at(1000);
            let (large, rest) = rest.split_at(10 << 20);
            gathered.chunks(7).for_each(|piece| assert_eq!(conn.send_all(piece), Flow::Open));
            assert_eq!(conn.send_all(large), Flow::Full);
            // `try_send` must not overtake bytes in the outbox.
            assert_eq!(conn.try_send(b"first").unwrap_err().kind(), ErrorKind::WouldBlock);
            let (small, large) = rest.split_at(1000);
            small.chunks(7).for_each(|piece| assert_eq!(conn.send_all(piece), Flow::Full));
            assert_eq!(conn.send_all(large), Flow::Full);
            tell.send(Told::Full(conn.queued()));
            conn.close();
        }
    });
    let (server, told) = script.serve(options);
    let mut client = connect_narrow(server.address);
    next(&told).open();
    let Told::Full(queued) = next(&told) else { panic!("on_open did not send its message") };
    assert_same(&read_to_end(&mut client), &message);
    let (_, stats) = server.stop();
    assert!(queued > 0 && stats.partial_sends > 0, "{queued} {stats:?}");
    assert_eq!(stats.bytes_sent, message.len() as u64);
}

#[test]
fn sends_of_every_size_keep_their_order() {
    // The sizes go from sends that are gathered to sends that are too large for that. No size divides the size of a buffer.
    const SIZES: [usize; 10] = [1, 9000, 30, 70_001, 500, 3, 8191, 8192, 200_003, 12];
    let (full, is_full) = mpsc::channel();
    let message = pattern(12 << 20, 5);
    let script = Script::default().on_open(|conn, _| conn.notify_writable()).on_writable({
        let (message, mut sent, mut sizes) = (message.clone(), 0, SIZES.into_iter().cycle());
        move |conn, _| {
            while sent < message.len() {
                let start = sent;
                sent = message.len().min(start + sizes.next().unwrap());
                if conn.send_all(&message[start..sent]) == Flow::Full {
                    let _ = full.send(());
                    return;
                }
            }
            conn.close();
        }
    });
    let server = Server::start(Options::default().write_budget(64 << 20), script);
    let mut client = connect_narrow(server.address);
    next(&is_full);
    assert_same(&read_to_end(&mut client), &message);
    assert!(server.stop().1.partial_sends > 0);
}

#[test]
fn try_send_returns_how_many_bytes_the_kernel_took() {
    let (blocked, is_blocked) = mpsc::channel();
    let message = pattern(12 << 20, 6);
    let script = Script::default().on_open(|conn, _| conn.notify_writable()).on_writable({
        let (message, mut sent) = (message.clone(), 0);
        move |conn, _| {
            if sent == 0 {
                conn.send_all(&message[..10]); // These bytes are gathered, and `try_send` has to come after them.
                sent = 10;
            }
            let start = sent;
            while sent < message.len() {
                let end = message.len().min(sent + 100_003);
                match conn.try_send(&message[sent..end]) {
                    Ok(taken) => sent += taken,
                    Err(error) => {
                        assert_eq!((error.kind(), conn.queued()), (ErrorKind::WouldBlock, 0));
                        assert!(sent > start, "on_writable came before there was room");
                        // The kernel takes neither the gathered bytes nor the bytes behind them, so both are kept in order.
                        for size in [10, 20_000] {
                            let end = message.len().min(sent + size);
                            conn.send_all(&message[sent..end]);
                            sent = end;
                        }
                        let _ = blocked.send(());
                        return;
                    }
                }
            }
            conn.close();
        }
    });
    let server = Server::start(Options::default().write_budget(64 << 20), script);
    let mut client = connect_narrow(server.address);
    next(&is_blocked);
    assert_same(&read_to_end(&mut client), &message);
    assert!(server.stop().1.partial_sends > 0);
}

#[test]
fn sends_between_turns_keep_their_order() {
    let mut server = Stepped::new(Options::default(), Script::default());
    let mut client = connect(server.address);
    let id = server.next().open();
    server.net().send_all(id, b"kept until the next turn or flush, ");
    let mut conn = server.net().conn(id).unwrap();
    assert_eq!(conn.try_send(b"it must not overtake").unwrap_err().kind(), ErrorKind::WouldBlock);
    server.flush();
    assert_eq!(server.net().conn(id).unwrap().try_send(b"then this").unwrap(), 9);
    server.net().send_all(id, b", ");
    let large = pattern(100_000, 7);
    server.net().send_all(id, &large);
    server.net().close(id);
    let (_server, _told) = server.run();
    let expected = [b"kept until the next turn or flush, then this, ", &large[..]].concat();
    assert_same(&read_to_end(&mut client), &expected);
}
