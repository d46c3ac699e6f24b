//! Tests that an option that is zero does not stop the service. Where the smallest value is 1, zero means 1.

use std::{
    io::{Read, Write},
    time::Instant,
};

use tidegate::{DatagramOptions, EventLoop, ListenOptions, Options, testing::Rehearsal};

use crate::support::{
    Actor, Call, Echo, PATIENCE, Recorder, Server, assert_same, connect, datagrams, exchange, listening,
    turn_until,
};

type Change = fn(Options) -> Options;

/// These are all numeric options, except `max_connections`: with zero connections, no client is admitted.
const ZEROS: [(&str, Change); 12] = [
    ("high_water", |options| options.high_water(0)),
    ("low_water", |options| options.low_water(0)),
    ("max_outbox", |options| options.max_outbox(0)),
    ("max_inbox", |options| options.max_inbox(0)),
    ("memory_budget", |options| options.memory_budget(0)),
    ("read_buffer", |options| options.read_buffer(0)),
    ("read_budget", |options| options.read_budget(0)),
    ("write_budget", |options| options.write_budget(0)),
    ("turn_budget", |options| options.turn_budget(0)),
    ("event_capacity", |options| options.event_capacity(0)),
    ("event_budget", |options| options.event_budget(0)),
    ("accept_budget", |options| options.accept_budget(0)),
];

/// Returns the options with each of these changes alone, and then with all changes together.
fn changes(zeros: &[(&'static str, Change)], base: &Options) -> Vec<(&'static str, Options)> {
    let each = zeros.iter().map(|(name, change)| (*name, change(base.clone())));
    let all = zeros.iter().fold(base.clone(), |options, (_, change)| change(options));
    each.chain([("all", all)]).collect()
}

#[test]
fn an_option_that_is_zero_still_serves_an_echo_and_a_drain() {
    for (name, options) in changes(&ZEROS, &Options::default()) {
        println!("{name}"); // If a helper fails, the output of the test names the option.
        let (mut event_loop, at): (EventLoop<u32>, _) = listening(options);
        let mut echo = Recorder::new(|net, id, _, call| match call {
            Call::Data(bytes) => _ = net.send_all(id, bytes),
            Call::Eof | Call::Drain => net.close(id),
            _ => {}
        });
        let mut client = connect(at);
        for n in 1..=2 {
            client.write_all(b"hello").unwrap();
            turn_until(&mut event_loop, &mut echo, |_, net| {
                assert_eq!(net.stats().closed, 0, "{name}");
                net.stats().bytes_sent == 5 * n
            });
            let mut back = [0; 5];
            client.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"hello", "{name}");
        }
        // A drain accepts the client that waits in the backlog.
        let waiting = connect(at);
        event_loop.net().drain(PATIENCE);
        drop((client, waiting));
        let end = Instant::now() + PATIENCE;
        while !event_loop.turn(&mut echo, Some(PATIENCE)).unwrap().finished {
            assert!(Instant::now() < end, "{name}: the drain does not end");
        }
        let stats = event_loop.net().stats();
        assert_eq!((stats.accepted, stats.closed, stats.drain_resets), (2, 2, 0), "{name}: {stats}");
    }
}

#[test]
fn an_option_that_is_zero_stops_neither_a_part_of_a_message_nor_a_full_outbox() {
    // These two limits are excluded: with a limit of zero, an unsent answer passes the limit, and the connection ends.
    let zeros = ZEROS.into_iter().filter(|(name, _)| !["max_outbox", "memory_budget"].contains(name));
    let base = Options::default().high_water(1000).low_water(500);
    for (name, options) in changes(&zeros.collect::<Vec<_>>(), &base) {
        let mut actor = Actor::echo();
        let mut rehearsal = Rehearsal::new(options);
        let client = rehearsal.accept(&mut actor).unwrap();
        actor.portion = 0;
        rehearsal.receive(&mut actor, client, b"hel");
        actor.portion = 1;
        rehearsal.receive(&mut actor, client, b"lo");
        assert_eq!(rehearsal.sent(client), b"hello", "{name}");

        actor.portion = usize::MAX;
        rehearsal.capacity(client, 0);
        rehearsal.receive(&mut actor, client, &[b'.'; 2000]);
        assert_eq!(rehearsal.sent(client), b"", "{name}");
        rehearsal.receive(&mut actor, client, b"more");
        rehearsal.capacity(client, usize::MAX);
        rehearsal.settle(&mut actor);
        assert_same(&rehearsal.sent(client), &[&[b'.'; 2000][..], b"more"].concat());
        assert!(!actor.has_heard(&Call::Eof) && rehearsal.is_open(client), "{name}");
    }
}

#[test]
fn a_backlog_of_zero_still_serves_a_client() {
    let server = Server::start_with(Options::default(), ListenOptions::default().backlog(0), Echo);
    assert_eq!(exchange(&mut server.connect(), b"hello"), b"hello");
}

#[test]
fn a_datagram_option_that_is_zero_still_serves_an_echo() {
    type Change = fn(DatagramOptions) -> DatagramOptions;
    let zeros: [(&str, Change); 4] = [
        ("receive_budget", |options| options.receive_budget(0)),
        ("send_budget", |options| options.send_budget(0)),
        ("queue", |options| options.queue(0)),
        ("all", |options| options.receive_budget(0).send_budget(0).queue(0)),
    ];
    for (name, change) in zeros {
        println!("{name}"); // If a helper fails, the output of the test names the option.
        let (mut event_loop, _, at) = datagrams::bound(change(DatagramOptions::default()));
        let mut echo = datagrams::Post::echo();
        let client = datagrams::client();
        for count in 1..=2 {
            client.send_to(b"hello", at).unwrap();
            datagrams::turn_until_received(&mut event_loop, &mut echo, count);
            turn_until(&mut event_loop, &mut echo, |_, net| net.stats().datagrams_sent == count as u64);
            assert_eq!(datagrams::receive(&client), (b"hello".to_vec(), at));
        }
    }
}
