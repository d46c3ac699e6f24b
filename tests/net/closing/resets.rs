//! Tests of connections that end with a reset: by the peer, by this side, and by a send that meets the reset.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    sync::mpsc,
};

use tidegate::{CloseKind, Conn, Flow, Options};

use crate::support::{
    Server, Stepped, connect, connect_narrow, next,
    pair::Pair,
    pattern, reset,
    script::{Script, Told},
};

/// Sends more bytes than the kernel takes while the peer reads nothing.
fn overfill(conn: &mut Conn<'_>) {
    conn.send_all(&vec![b'.'; 8 << 20]);
}

/// Returns options with which only the kernel bounds the bytes of a send.
fn generous() -> Options {
    Options::default().write_budget(64 << 20)
}

fn assert_reset_closes_once(server: Server<Script>, told: &mpsc::Receiver<Told>) {
    assert_eq!(next(told), Told::Close(CloseKind::Reset));
    let (_, stats) = server.stop();
    assert_eq!((stats.open, stats.closed), (0, 1));
    assert_eq!(told.try_iter().count(), 0);
}

#[test]
fn a_reset_between_messages_is_closed_once() {
    let (server, told) = Script::default().serve(Options::default());
    let mut client = server.connect();
    client.write_all(b"hello").unwrap();
    next(&told).open();
    assert_eq!(next(&told), Told::Data(b"hello".to_vec()));
    reset(client);
    assert_reset_closes_once(server, &told);
}

#[test]
fn a_client_that_resets_before_it_is_accepted_opens_and_closes() {
    let mut server = Stepped::new(Options::default(), Script::default());
    reset(connect(server.address));
    server.next().open();
    assert_eq!(server.next(), Told::Close(CloseKind::Reset));
    assert_eq!(server.net().stats().open, 0);
}

#[test]
fn a_reset_in_the_middle_of_an_answer_is_closed_once() {
    let (server, told) = Script::default().on_open(|conn, _| overfill(conn)).serve(generous());
    let mut client = connect_narrow(server.address);
    next(&told).open();
    client.read_exact(&mut [0; 100_000]).unwrap();
    reset(client);
    assert_reset_closes_once(server, &told);
}

#[test]
fn a_reset_while_reading_is_paused_ends_the_connection_after_the_resume() {
    for paused_before in [true, false] {
        let script = Script::default().on_data(move |conn, input, tell| {
            tell.send(Told::Data(input.to_vec()));
            if input.starts_with(b"!") {
                conn.pause_reading();
                return 1;
            }
            input.len()
        });
        let mut server = Stepped::new(Options::default(), script);
        let mut client = connect(server.address);
        client.write_all(b"!more than it wants").unwrap();
        let id = server.next().open();
        let shown = Told::Data(b"!more than it wants".to_vec());
        let mut rest = b"more than it wants".to_vec();
        if paused_before {
            assert_eq!(server.next(), shown);
            client.write_all(b" and something that it has not read").unwrap();
            rest.extend_from_slice(b" and something that it has not read");
            server.turn();
        }
        reset(client);
        if !paused_before {
            assert_eq!(server.next(), shown);
        }
        // The event of this client comes after the reset. So the loop has handled the event of the reset.
        let _fence = connect(server.address);
        server.next().open();
        server.turn();
        assert_eq!(server.rest(), [], "callbacks came before the resume");
        server.net().resume_reading(id);
        let (heard, then) = hear_out(&mut server);
        assert_eq!(heard, rest);
        assert_eq!(then, [Told::Close(CloseKind::Reset)]);
        assert_eq!(server.net().stats().open, 1, "only the last client is open");
    }
}

#[test]
fn an_end_of_file_while_reading_is_paused_waits_for_the_resume() {
    let script = Script::default().on_open(|conn, _| conn.pause_reading());
    let mut server = Stepped::new(Options::default(), script);
    let mut client = connect(server.address);
    let id = server.next().open();
    client.write_all(b"words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // The event of this client comes after the end of file, so the loop has handled the event of the end of file.
    let _fence = connect(server.address);
    server.next().open();
    server.turn();
    assert_eq!(server.rest(), []);
    server.net().resume_reading(id);
    assert_eq!(server.next(), Told::Data(b"words".to_vec()));
    assert_eq!(server.next(), Told::Eof(vec![]));
    assert_eq!(server.next(), Told::Close(CloseKind::Eof));
}

#[test]
fn a_reset_behind_an_end_of_file_ends_the_connection() {
    let mut server = Stepped::new(Options::default(), Script::default().on_eof(|_, _| {}));
    let client = connect(server.address);
    server.next().open();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.next(), Told::Eof(vec![]));
    reset(client);
    assert_eq!(server.next(), Told::Close(CloseKind::Reset));
}

/// Makes turns until a message other than `Data` comes. Returns all bytes that `on_data` was shown, and the messages after
/// them.
fn hear_out(server: &mut Stepped) -> (Vec<u8>, Vec<Told>) {
    let mut heard = Vec::new();
    loop {
        match server.next() {
            Told::Data(mut more) => heard.append(&mut more),
            other => {
                let mut rest = vec![other];
                server.turn();
                rest.append(&mut server.rest());
                return (heard, rest);
            }
        }
    }
}

#[test]
fn bytes_before_a_reset_are_delivered_although_the_outbox_is_full() {
    let script = Script::default().on_open(|conn, _| overfill(conn));
    let mut server = Stepped::new(generous().read_buffer(1000).read_budget(2000), script);
    let mut client = connect_narrow(server.address);
    let id = server.next().open();
    assert!(server.net().conn(id).unwrap().queued() > 64 << 10, "the outbox is not above high water");
    let words = pattern(20_000, 1);
    client.write_all(&words).unwrap();
    reset(client);
    assert_eq!(hear_out(&mut server), (words, vec![Told::Close(CloseKind::Reset)]));
}

#[test]
fn bytes_before_a_reset_are_delivered_although_sends_fail() {
    let script = Script::default().on_data(move |conn, input, tell| {
        // The kernel reports the reset once, and the first answer gets that error. A later read returns an end of file.
        conn.send_all(b"I see");
        tell.send(Told::Data(input[..1].to_vec()));
        1
    });
    let mut server = Stepped::new(Options::default().read_buffer(1000), script);
    let mut client = connect(server.address);
    server.next().open();
    let words = pattern(5000, 2);
    client.write_all(&words).unwrap();
    reset(client);
    assert_eq!(hear_out(&mut server), (words, vec![Told::Close(CloseKind::Reset)]));
}

#[test]
fn bytes_before_a_reset_that_a_send_finds_are_delivered_without_an_event() {
    let (go_on, gone_on) = mpsc::channel::<()>();
    let script = Script::default().on_data(move |conn, input, tell| {
        tell.send(Told::Data(input.to_vec()));
        if input == b"one" {
            next(&gone_on);
            conn.send_all(b"this meets the reset");
        }
        input.len()
    });
    let (server, told) = script.serve(Options::default());
    let mut client = server.connect();
    client.write_all(b"one").unwrap();
    next(&told).open();
    assert_eq!(next(&told), Told::Data(b"one".to_vec()));
    // The recv was short, so the server takes the socket to be empty.
    client.write_all(b"two").unwrap();
    reset(client);
    go_on.send(()).unwrap();
    assert_eq!(next(&told), Told::Data(b"two".to_vec()));
    assert_eq!(next(&told), Told::Close(CloseKind::Reset));
}

#[test]
fn input_kept_back_at_high_water_is_delivered_after_a_reset() {
    let script = Script::default().on_data(move |conn, input, tell| {
        tell.send(Told::Data(input[..1].to_vec()));
        overfill(conn);
        1
    });
    let mut server = Stepped::new(generous(), script);
    let mut client = connect_narrow(server.address);
    client.write_all(b"a pipeline").unwrap();
    server.next().open();
    assert_eq!(server.next(), Told::Data(b"a".to_vec()));
    reset(client);
    assert_eq!(hear_out(&mut server), (b" pipeline".to_vec(), vec![Told::Close(CloseKind::Reset)]));
}

#[test]
fn a_reset_that_is_found_by_shutdown_write_has_the_reason_reset() {
    let script = Script::default().on_data(|conn, input, _| {
        conn.shutdown_write();
        input.len()
    });
    // The read budget ends the turn before `recv` returns the reset.
    let mut server = Stepped::new(Options::default().read_buffer(1).read_budget(1), script);
    let mut client = connect(server.address);
    server.next().open();
    client.write_all(b"no answer, please").unwrap();
    reset(client);
    assert_eq!(server.next(), Told::Close(CloseKind::Reset));
}

#[test]
fn abort_is_a_reset_for_the_client() {
    let script = Script::default().on_data(|conn, input, _| {
        conn.abort();
        assert_eq!(conn.send_all(b"too late"), Flow::Gone);
        input.len()
    });
    let (server, told) = script.serve(Options::default());
    let mut client = server.connect();
    client.write_all(b"!").unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    next(&told).open();
    assert_eq!(next(&told), Told::Close(CloseKind::Aborted));
    let (_, stats) = server.stop();
    assert_eq!((stats.open, stats.closed, stats.sends_discarded), (0, 1, 1));
    assert_eq!(told.try_iter().count(), 0);
}

#[test]
fn bytes_that_a_callback_sends_before_its_abort_are_counted_as_undelivered() {
    let script = Script::default().on_data(|conn, input, _| {
        if input == b"!" {
            assert_eq!(conn.send_all(b"taken, and gathered"), Flow::Open);
        }
        conn.abort();
        input.len()
    });
    let mut server = Stepped::new(Options::default(), script);
    for (words, undelivered) in [(b"!", 1), (b".", 1)] {
        let mut client = connect(server.address);
        server.next().open();
        client.write_all(words).unwrap();
        assert_eq!(server.next(), Told::Close(CloseKind::Aborted));
        assert_eq!(
            server.net().stats().undelivered,
            undelivered,
            "a connection without sends counts as undelivered"
        );
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_send_error_ends_the_connection_once() {
    for size in [1, 100_000] {
        let mut server = Stepped::new(Options::default(), Script::default());
        let pair = Pair::adopted_by(server.net(), ());
        let id = server.next().open();
        server.turn();
        // The socket has received the reset when this call returns, and the loop has not polled since. So a send meets the
        // reset first.
        let _twin = pair.reset();
        let bytes = vec![b'.'; size];
        let gone = std::iter::repeat_with(|| {
            let flow = server.net().send_all(id, &bytes);
            server.flush();
            flow
        });
        // A small send is gathered, so the send after that send returns `Gone`.
        assert!(gone.take(2).any(|flow| flow == Flow::Gone));
        assert!(server.net().conn(id).is_some(), "the connection ended outside of a turn");
        assert_eq!(server.rest(), []);
        assert_eq!(server.next(), Told::Close(CloseKind::Reset));
        assert_eq!(server.net().send_all(id, &bytes), Flow::Gone);
        server.turn();
        assert_eq!(server.rest(), []);
        let stats = server.net().stats();
        assert_eq!((stats.open, stats.closed), (0, 1));
    }
}

#[test]
fn a_reset_ends_a_connection_that_is_being_closed() {
    let script = Script::default().on_open(|conn, _| {
        overfill(conn);
        conn.close();
    });
    let mut server = Stepped::new(generous(), script);
    let client = connect_narrow(server.address);
    server.next().open();
    server.turn();
    assert_eq!((server.rest(), server.net().stats().open), (vec![], 1));
    reset(client);
    assert_eq!(
        server.next(),
        Told::Close(CloseKind::Reset),
        "the reset prevented the close, so the reset is the reason"
    );
    assert_eq!(server.net().stats().open, 0);
}
