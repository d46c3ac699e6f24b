//! Tests of input that the handler does not consume yet and of output that the peer does not read yet: which bytes are kept,
//! and when reading and sending go on.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Instant,
};

use tidegate::{CloseKind, Conn, Flow, Options};

use crate::support::{
    End, PATIENCE, Stepped, assert_same, connect, connect_narrow, exchange, next, pattern, read_out,
    script::{Script, Told},
};

const HIGH_WATER: usize = 64 << 10;
const LOW_WATER: usize = 32 << 10;

/// Returns the default watermarks, with a write budget that is larger than the kernel takes.
fn options() -> Options {
    Options::default().high_water(HIGH_WATER).low_water(LOW_WATER).write_budget(64 << 20)
}

/// Sends back the input, and tells how many bytes are unsent then.
fn echo() -> Script {
    Script::default().on_data(|conn, input, tell| {
        conn.send_all(input);
        tell.send(Told::Full(conn.queued()));
        input.len()
    })
}

/// Writes until the kernel takes no more.
fn flood(mut client: &TcpStream) {
    client.set_nonblocking(true).unwrap();
    loop {
        match client.write(&[b'.'; 64 << 10]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_client_that_never_reads_is_bounded_and_others_are_served() {
    const READ: usize = 256 << 10;
    let mut server = Stepped::new(options().read_buffer(READ).read_budget(READ), echo());
    let greedy = connect(server.address);
    let mut other = connect(server.address);
    let (mut most, mut received, mut quiet_rounds) = (0, 0, 0);
    let end = Instant::now() + PATIENCE;
    // The loop ends when the server has received nothing from the greedy client for a hundred round trips of the other
    // client.
    while quiet_rounds < 100 {
        assert!(Instant::now() < end, "the server does not stop reading: {most} bytes are kept");
        flood(&greedy);
        assert_eq!(server.exchange(&mut other, b"ping"), b"ping");
        for told in server.rest() {
            match told {
                Told::Full(queued) => most = most.max(queued),
                Told::Open(_) | Told::Writable(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(most < HIGH_WATER + READ, "{most} bytes are kept");
        let before = std::mem::replace(&mut received, server.net().stats().bytes_received);
        let quiet = most >= HIGH_WATER && received - before == 4;
        quiet_rounds = if quiet { quiet_rounds + 1 } else { 0 };
    }
    assert_eq!(server.net().stats().open, 2);
    assert!(server.is_idle(), "a full connection must not ask for turns");
}

#[test]
fn a_pipeline_whose_answers_fill_the_outbox_is_answered_whole() {
    const ANSWER: usize = 32 << 10;
    // The kernel may take a hundred answers, so that only the write budget stops them; it does not take four hundred.
    for count in [100_usize, 400] {
        let script = Script::default().on_data(move |conn, input, tell| {
            for (i, request) in input.iter().enumerate() {
                if conn.send_all(&[*request; ANSWER]) == Flow::Full {
                    tell.send(Told::Full(conn.queued()));
                    return i + 1;
                }
            }
            input.len()
        });
        let (server, told) = script.serve(Options::default());
        let mut client = connect_narrow(server.address);
        let requests = pattern(count, 1);
        client.write_all(&requests).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        next(&told).open();
        let Told::Full(mut most) = next(&told) else { panic!("the first message is not Full") };
        let mut answer = [0; ANSWER];
        for request in &requests {
            client.read_exact(&mut answer).unwrap();
            assert_same(&answer, &[*request; ANSWER]);
        }
        loop {
            match next(&told) {
                Told::Full(queued) => most = most.max(queued),
                Told::Writable(queued) => assert!(queued < LOW_WATER, "{queued}"),
                told => break assert_eq!(told, Told::Eof(vec![])),
            }
        }
        assert!(most < HIGH_WATER + ANSWER, "{most} bytes were kept");
        assert_eq!(next(&told), Told::Close(CloseKind::Eof));
    }
}

#[test]
fn input_kept_back_by_a_pause_is_shown_again_at_the_resume() {
    let script = Script::default().on_data(move |conn, input, tell| {
        conn.pause_reading();
        tell.send(Told::Data(input.to_vec()));
        if input == b"four" { 0 } else { input.iter().position(|byte| *byte == b' ').unwrap() + 1 }
    });
    let mut server = Stepped::new(options(), script);
    let mut client = connect(server.address);
    client.write_all(b"one two three four").unwrap();
    let id = server.next().open();
    for shown in ["one two three four", "two three four", "three four", "four", "four"] {
        assert_eq!(server.next(), Told::Data(shown.into()));
        // The input is not shown again before the resume.
        server.turn();
        assert!(server.rest().is_empty() && server.is_idle());
        server.net().resume_reading(id);
    }
}

#[test]
fn declined_input_is_shown_again_at_a_resume() {
    let script = Script::default().on_data(move |_, input, tell| {
        tell.send(Told::Data(input.to_vec()));
        0
    });
    let mut server = Stepped::new(options(), script);
    let mut client = connect(server.address);
    client.write_all(b"not yet").unwrap();
    let id = server.next().open();
    for _ in 0..3 {
        assert_eq!(server.next(), Told::Data(b"not yet".to_vec()));
        server.turn();
        assert!(server.rest().is_empty() && server.is_idle());
        server.net().conn(id).unwrap().pause_reading();
        server.net().resume_reading(id);
    }
}

/// A way of asking for an `on_writable`. Returns the number of bytes that it has sent.
type Ask = fn(&mut Conn<'_>) -> usize;

const WAYS: [(&str, Ask); 4] = [
    ("Full", fill),
    ("WouldBlock", |conn| {
        let mut sent = 0;
        loop {
            match conn.try_send(&[b'.'; 10_000]) {
                Ok(taken) => sent += taken,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        sent
    }),
    ("notify_writable", |conn| {
        conn.notify_writable();
        conn.notify_writable();
        0
    }),
    ("all three", |conn| {
        let sent = fill(conn);
        assert_eq!(conn.try_send(b".").unwrap_err().kind(), ErrorKind::WouldBlock);
        conn.notify_writable();
        sent
    }),
];

/// Sends until the outbox is full, and then so many bytes that the kernel cannot empty the outbox while nobody reads.
fn fill(conn: &mut Conn<'_>) -> usize {
    const PIECE: [u8; 10_000] = [b'.'; 10_000];
    let mut sent = PIECE.len();
    while conn.send_all(&PIECE) == Flow::Open {
        sent += PIECE.len();
    }
    assert_eq!(conn.send_all(&vec![b'.'; 8 << 20]), Flow::Full);
    sent + (8 << 20)
}

#[test]
fn on_writable_comes_once_for_each_way_to_ask_for_on_writable() {
    for (what, ask) in WAYS {
        let script = echo().on_open(move |conn, tell| {
            tell.send(Told::Full(ask(conn)));
        });
        let mut server = Stepped::new(options(), script);
        let mut client = connect_narrow(server.address);
        let id = server.next().open();
        let Told::Full(sent) = server.next() else { panic!("{what}: on_open did not send its message") };
        if server.net().conn(id).unwrap().queued() > 0 {
            // The client has read nothing yet, so the outbox stays above low water.
            (0..10).for_each(|_| server.turn());
            assert_eq!(server.rest(), [], "{what}");
        }
        let (server, told) = server.run();
        client.read_exact(&mut vec![0; sent]).unwrap();
        let Told::Writable(queued) = next(&told) else { panic!("{what}: on_writable does not come") };
        assert!(queued < LOW_WATER, "{what}: {queued}");
        // If there was a second `on_writable`, one of these turns would call it.
        (0..3).for_each(|_| assert_eq!(exchange(&mut client, b"ping"), b"ping"));
        server.stop();
        assert!(told.try_iter().all(|told| matches!(told, Told::Full(_))), "{what}");
    }
}

#[test]
fn reading_goes_on_above_high_water_if_pause_when_full_is_off() {
    let script = Script::default().on_open(|conn, _| {
        conn.pause_when_full(false);
        fill(conn);
    });
    let mut server = Stepped::new(options(), script);
    let mut client = connect_narrow(server.address);
    let id = server.next().open();
    for word in [b"one", b"two"] {
        client.write_all(word).unwrap();
        assert_eq!(server.next(), Told::Data(word.to_vec()));
        assert!(server.net().conn(id).unwrap().queued() >= HIGH_WATER);
    }
    // Switched on again, reading pauses at once, and new input waits.
    server.net().conn(id).unwrap().pause_when_full(true);
    client.write_all(b"three").unwrap();
    let _fence = connect(server.address);
    server.next().open();
    server.turn();
    assert_eq!(server.rest(), []);
}

#[test]
fn an_outbox_that_would_pass_its_limit_ends_the_connection() {
    const LIMIT: usize = 1 << 20;
    let script = Script::default().on_data(move |conn, input, tell| {
        let mut most = 0;
        while conn.send_all(&[b'.'; 10_000]) != Flow::Gone {
            most = most.max(conn.queued());
        }
        assert_eq!(conn.queued(), 0, "the outbox of an ended connection is not freed");
        tell.send(Told::Full(most));
        input.len()
    });
    let (server, told) = script.serve(options().max_outbox(LIMIT));
    let mut client = connect_narrow(server.address);
    client.write_all(b"!").unwrap();
    next(&told).open();
    let Told::Full(most) = next(&told) else { panic!("on_data did not send its message") };
    assert!((LIMIT - 10_000..=LIMIT).contains(&most), "{most}");
    assert_eq!(next(&told), Told::Close(CloseKind::OutboxLimit));
    // The client must not mistake the truncated stream for a complete one.
    assert_eq!(read_out(&mut client).1, End::of_abort());
    server.stop();
    assert_eq!(told.try_iter().count(), 0);
}

#[test]
fn a_message_that_fills_the_inbox_and_is_not_whole_ends_the_connection() {
    /// An inbox takes 16 bytes beyond `max_inbox`.
    const LIMIT: usize = MAX_INBOX + 16;
    const MAX_INBOX: usize = 10_000;
    // The input comes in many small portions, or in one `recv` that could take more than the limit.
    for read_buffer in [7, 256 << 10] {
        let script = Script::default().on_data(move |_, input, tell| {
            tell.send(Told::Full(input.len()));
            if input.ends_with(b"\n") { input.len() } else { 0 }
        });
        let mut server = Stepped::new(options().max_inbox(MAX_INBOX).read_buffer(read_buffer), script);
        let mut client = connect(server.address);
        server.next().open();

        let mut message = pattern(LIMIT, 2);
        message.iter_mut().for_each(|byte| *byte |= 0x80);
        message[LIMIT - 1] = b'\n';
        client.write_all(&message).unwrap();
        while server.next() != Told::Full(LIMIT) {}
        server.turn();
        assert_eq!(server.rest(), [], "a complete message of the size of the limit ended the connection");

        client.write_all(&message[..LIMIT - 1]).unwrap();
        while server.next() != Told::Full(LIMIT - 1) {}
        server.turn();
        assert_eq!(server.rest(), [], "the connection ended although one more byte fits");

        client.write_all(&[b'.'; 100]).unwrap();
        assert_eq!(server.next(), Told::Full(LIMIT));
        assert_eq!(server.next(), Told::Close(CloseKind::InboxLimit));
        assert_eq!(server.net().stats().open, 0);
    }
}
