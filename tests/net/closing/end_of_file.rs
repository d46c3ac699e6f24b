//! Tests of the end of a stream: half-closes, closes with unread input, and which side waits for which.

use std::{
    io::{Read, Write},
    net::Shutdown,
    sync::mpsc::Receiver,
};

use tidegate::{CloseKind, Options};

use crate::support::{
    PATIENCE, Stepped, assert_same, connect, connect_narrow, next, pattern, read_to_end,
    script::{Script, Told},
};

/// Returns options with long timeouts, so that a slow machine does not look like a silent peer.
fn patient() -> Options {
    Options::default().linger(PATIENCE).close_timeout(PATIENCE)
}

/// Waits for the end of the connection, skipping the messages before, and returns its reason.
fn end(told: &Receiver<Told>) -> CloseKind {
    loop {
        if let Told::Close(kind) = next(told) {
            return kind;
        }
    }
}

#[test]
fn data_and_end_of_file_in_one_edge_are_answered_whole() {
    for accepted_before in [false, true] {
        let mut server = Stepped::new(patient(), Script::echo());
        let mut client = connect(server.address);
        if accepted_before {
            server.next().open();
            server.turn(); // The first event of a new socket, which reports it writable, has been handled.
        }
        client.write_all(b"all I have to say").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (server, told) = server.run();
        assert_eq!(read_to_end(&mut client), b"all I have to say");
        assert_eq!(end(&told), CloseKind::Eof);
        assert_eq!(server.stop().1.open, 0);
    }
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_the_whole_answer() {
    // The answer is larger than the kernel takes. With the automatic pause, the server meets the end of file when most of
    // the answer is delivered; without the pause, at once.
    for pause_when_full in [true, false] {
        let answer = pattern(8 << 20, 1);
        let script = Script::default()
            .on_data({
                let answer = answer.clone();
                move |conn, input, _| {
                    conn.pause_when_full(pause_when_full);
                    conn.send_all(&answer);
                    input.len()
                }
            })
            .on_eof(move |conn, tell| {
                tell.send(Told::Full(conn.queued()));
                conn.close();
            });
        let (server, told) = script.serve(patient());
        let mut client = connect_narrow(server.address);
        client.write_all(b"?").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        next(&told).open();
        if !pause_when_full {
            assert_eq!(next(&told), Told::Eof(vec![]));
            assert!(matches!(next(&told), Told::Full(queued) if queued > 1 << 20));
        }
        assert_same(&read_to_end(&mut client), &answer);
        drop(client);
        assert_eq!(end(&told), CloseKind::Eof);
        server.stop();
    }
}

#[test]
fn a_half_closed_client_gets_back_the_mebibyte_it_sent() {
    let script = Script::echo().on_open(|conn, _| conn.pause_when_full(false));
    let (server, told) = script.serve(patient());
    let mut client = connect_narrow(server.address);
    let message = pattern(1 << 20, 2);
    client.write_all(&message).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // The client reads only after the server has met the end of file.
    next(&told).open();
    while next(&told) != Told::Eof(vec![]) {}
    assert_same(&read_to_end(&mut client), &message);
}

#[test]
fn close_with_unread_input_still_delivers_the_whole_response() {
    let answer = pattern(1 << 20, 3);
    let script = Script::default().on_data({
        let answer = answer.clone();
        move |conn, input, _| {
            assert_eq!(input, b"!");
            conn.send_all(&answer);
            conn.close();
            1
        }
    });
    // A turn reads one byte, so nearly all input is still in the kernel when the answer and the end of file are sent.
    let server = Stepped::new(patient().read_buffer(1).read_budget(1), script);
    let mut client = connect_narrow(server.address);
    client.write_all(&[b'!'; 10_000]).unwrap();
    let (server, told) = server.run();
    assert_same(&read_to_end(&mut client), &answer);
    next(&told).open();
    assert_eq!(next(&told), Told::Close(CloseKind::Closed));
    server.stop();
    assert_eq!(told.try_iter().count(), 0);
}

#[test]
fn a_response_to_a_slow_reader_that_still_uploads_arrives_whole_after_close() {
    const PORTION: usize = 16 << 10;
    // The kernel may take three mebibytes, so that the server lingers. It does not take ten, so that the server has to read
    // while it still sends.
    for len in [3 << 20, 10 << 20] {
        let answer = pattern(len, 4);
        let script = Script::default().on_data({
            let answer = answer.clone();
            move |conn, _, _| {
                conn.send_all(&answer);
                conn.close();
                1
            }
        });
        let (server, told) = script.serve(patient());
        let mut client = connect_narrow(server.address);
        let mut found = vec![0; len];
        for portion in found.chunks_mut(PORTION) {
            // The client reads only when it could write. So a server that does not go on reading cannot deliver its answer.
            client.write_all(&[b'.'; PORTION]).unwrap();
            client.read_exact(portion).unwrap();
        }
        assert_same(&found, &answer);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        next(&told).open();
        assert_eq!(next(&told), Told::Close(CloseKind::Closed));
        // The client may go on sending after the end of file, too.
        client.write_all(&[b'.'; 64 * PORTION]).unwrap();
    }
}

#[test]
fn a_connection_that_both_sides_have_ended_is_closed() {
    for server_is_first in [true, false] {
        let script = Script::default()
            .on_data(move |conn, input, tell| {
                conn.send_all(input);
                if server_is_first {
                    conn.shutdown_write();
                    // No bytes are accepted after `shutdown_write`.
                    assert_eq!(conn.send_all(b"more"), tidegate::Flow::Gone);
                }
                tell.send(Told::Data(input.to_vec()));
                input.len()
            })
            .on_eof(|_, _| {});
        let mut server = Stepped::new(patient(), script);
        let mut client = connect(server.address);
        let id = server.next().open();

        client.write_all(b"one").unwrap();
        assert_eq!(server.next(), Told::Data(b"one".to_vec()));
        if server_is_first {
            assert_eq!(read_to_end(&mut client), b"one");
            // The direction from the client is still open.
            client.write_all(b"two").unwrap();
            assert_eq!(server.next(), Told::Data(b"two".to_vec()));
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.next(), Told::Eof(vec![]));
        if !server_is_first {
            server.turn();
            assert!(server.net().stats().open == 1 && server.is_idle());
            server.net().send_all(id, b" and all");
            server.net().shutdown_write(id);
        }
        assert_eq!(server.next(), Told::Close(CloseKind::Eof));
        assert_eq!(server.net().stats().open, 0);
        if !server_is_first {
            assert_eq!(read_to_end(&mut client), b"one and all");
        }
    }
}

#[test]
fn shutdown_write_delivers_everything_sent_before_it() {
    let answer = pattern(8 << 20, 5);
    let script = Script::default().on_data({
        let answer = answer.clone();
        move |conn, input, tell| {
            conn.send_all(&answer);
            conn.shutdown_write();
            tell.send(Told::Full(conn.queued()));
            input.len()
        }
    });
    let (server, told) = script.serve(patient().write_budget(64 << 20));
    let mut client = connect_narrow(server.address);
    client.write_all(b"?").unwrap();
    next(&told).open();
    assert!(matches!(next(&told), Told::Full(queued) if queued > 1 << 20));
    assert_same(&read_to_end(&mut client), &answer);
    drop(client);
    assert_eq!(end(&told), CloseKind::Eof);
}

#[test]
fn a_closed_connection_counts_as_open_until_the_peer_ends() {
    let script = Script::default().on_open(|conn, _| {
        conn.send_all(b"bye");
        conn.close();
    });
    let mut server = Stepped::new(patient(), script);
    let mut client = connect(server.address);
    let id = server.next().open();
    assert_eq!(server.next(), Told::Close(CloseKind::Closed));
    assert_eq!(read_to_end(&mut client), b"bye");
    assert!(server.net().conn(id).is_none());
    client.write_all(b"I have not").unwrap();
    server.turn();
    assert_eq!((server.net().stats().open, server.net().stats().closed), (1, 1));
    drop(client);
    server.turn_until(|_, net| net.stats().open == 0);
    assert_eq!(server.rest(), []);
}

#[test]
fn on_eof_sees_the_unconsumed_bytes() {
    let script = Script::default().on_data(move |_, input, tell| {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return 0 };
        tell.send(Told::Data(input[..=end].to_vec()));
        end + 1
    });
    let mut server = Stepped::new(patient(), script);
    let mut client = connect(server.address);
    client.write_all(b"a line\nno line").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.next().open();
    assert_eq!(server.next(), Told::Data(b"a line\n".to_vec()));
    assert_eq!(server.next(), Told::Eof(b"no line".to_vec()));
    assert_eq!(server.next(), Told::Close(CloseKind::Eof));
    assert_eq!(server.rest(), []);
}

#[test]
fn on_data_is_not_called_after_on_eof() {
    let script = Script::default()
        .on_data(move |_, input, tell| {
            tell.send(Told::Data(input.to_vec()));
            0
        })
        .on_eof(|_, _| {});
    let mut server = Stepped::new(patient(), script);
    let mut client = connect(server.address);
    client.write_all(b"half a mess").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let id = server.next().open();
    assert_eq!(server.next(), Told::Data(b"half a mess".to_vec()));
    assert_eq!(server.next(), Told::Eof(b"half a mess".to_vec()));
    // A proxy calls `resume_reading` like this whenever its other connection has taken bytes.
    server.net().resume_reading(id);
    server.turn();
    assert_eq!(server.rest(), []);
    assert_eq!(server.net().conn(id).unwrap().unconsumed(), b"half a mess");
}
