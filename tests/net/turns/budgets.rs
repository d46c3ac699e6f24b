//! Tests of how much a turn may do: bytes, clients and events, also when the end of the turn has passed. The tests count
//! the work, because no test may depend on a clock.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options, Turn};

use crate::support::{
    Call, PATIENCE, Recorder, connect, listening,
    pair::{Pair, is_due, turn_on_hints_alone},
};

/// The bytes and the sources that a turn may handle between two looks at the clock.
const LOOK: u64 = 64 << 10;
const SOURCES: u64 = 32;

/// Consumes all input, and echoes it if `echoes` is set.
struct Sink {
    echoes: bool,
}

impl Handler for Sink {
    type Session = u32;

    fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        Some(0)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        if self.echoes {
            conn.send_all(input);
        }
        input.len()
    }
}

fn moved<S>(net: &mut Net<S>) -> u64 {
    net.stats().bytes_received + net.stats().bytes_sent
}

/// Lets a client send as fast as it can from a thread, and read the echo in another thread.
fn flood(client: &TcpStream, bytes: usize, reads: bool) -> [JoinHandle<()>; 2] {
    let (mut sender, mut reader) = (client.try_clone().unwrap(), client.try_clone().unwrap());
    let sends = thread::spawn(move || sender.write_all(&vec![7; bytes]).unwrap());
    let receives = thread::spawn(move || {
        if reads {
            reader.read_exact(&mut vec![0; bytes]).unwrap();
        }
    });
    [sends, receives]
}

/// Makes turns whose end has already passed, under a flood of `total` bytes. Asserts that no turn moves more than `bound`
/// bytes.
fn turns_past_their_end(options: Options, echoes: bool, total: usize, bound: u64) {
    const CLIENTS: usize = 8;
    let (mut event_loop, _) = listening(options);
    let mut sink = Sink { echoes };
    let pairs = Pair::several(&mut event_loop, &mut sink, CLIENTS as u32);
    let begin = moved(event_loop.net());
    let threads: Vec<_> =
        pairs.iter().flat_map(|pair| flood(&pair.client, total / CLIENTS, echoes)).collect();
    let all = begin + total as u64 * if echoes { 2 } else { 1 };
    let (past, end) = (Instant::now(), Instant::now() + PATIENCE);
    let (mut turns, mut more) = (0, 0);
    while moved(event_loop.net()) < all {
        let before = moved(event_loop.net());
        // The turn may wait for an event, but the end of the turn has passed, so the turn must not wait.
        let turn = event_loop.turn_until(&mut sink, Some(2 * PATIENCE), past).unwrap();
        let bytes = moved(event_loop.net()) - before;
        assert!(bytes <= bound, "{bytes} bytes in a turn that may move {bound}");
        assert_eq!(turn.more, is_due(&event_loop));
        assert!(Instant::now() < end, "the flood does not end");
        turns += u64::from(bytes > 0);
        more += u64::from(turn.more);
    }
    assert!(turns >= total as u64 / bound && more > 0, "{turns} turns, {more} of which left something");
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_flood_of_64_mib_does_not_make_a_turn_exceed_its_bound() {
    let options = Options::default();
    // After a look at the clock, a turn may still handle one connection: its read budget, and the last `recv`, which may
    // pass the budget.
    let share = options.read_budget + options.read_buffer;
    turns_past_their_end(options, false, 64 << 20, LOOK + share as u64);
}

#[test]
fn a_flood_does_not_make_a_turn_exceed_its_bound_with_small_read_budgets() {
    let options = Options::default().read_buffer(16 << 10).read_budget(16 << 10);
    turns_past_their_end(options, false, 64 << 20, LOOK + (32 << 10));
}

#[test]
fn an_echo_of_a_flood_does_not_make_a_turn_exceed_its_bound() {
    let options = Options::default();
    let share = options.read_budget + options.read_buffer + options.write_budget;
    turns_past_their_end(options, true, 32 << 20, LOOK + share as u64);
    let options = Options::default().read_buffer(16 << 10).read_budget(16 << 10).write_budget(16 << 10);
    turns_past_their_end(options, true, 32 << 20, LOOK + (48 << 10));
}

#[test]
fn many_clients_in_the_backlog_does_not_make_a_turn_exceed_its_bound() {
    const CLIENTS: u64 = 100;
    let (mut event_loop, at) = listening(Options::default());
    let _clients: Vec<_> = (0..CLIENTS).map(|_| connect(at)).collect();
    let past = Instant::now();
    let mut turns = 0;
    let mut sink = Sink { echoes: false };
    while event_loop.net().stats().accepted < CLIENTS {
        let before = event_loop.net().stats().accepted;
        event_loop.turn_until(&mut sink, None, past).unwrap();
        let accepted = event_loop.net().stats().accepted - before;
        assert!(accepted <= SOURCES, "{accepted} clients in a turn without time");
        turns += 1;
        assert!(turns < 1000 * CLIENTS, "the clients are not accepted");
    }
    assert!(turns >= CLIENTS / SOURCES);
}

#[test]
fn many_small_messages_does_not_make_a_turn_exceed_its_bound() {
    const CLIENTS: u32 = 100;
    let (mut event_loop, _) = listening(Options::default());
    let mut sink = Sink { echoes: true };
    let pairs = Pair::several(&mut event_loop, &mut sink, CLIENTS);
    pairs.iter().for_each(|pair| pair.send(b"hello"));
    let past = Instant::now();
    let (mut served, mut is_first, mut turns) = (0, true, 0);
    while is_first || is_due(&event_loop) {
        is_first = false;
        event_loop.turn_until(&mut sink, None, past).unwrap();
        let receives = event_loop.net().stats().receives;
        assert!(receives - served <= SOURCES, "{} clients in a turn without time", receives - served);
        // The selector on poll(2) reports each socket as writable again after its `WouldBlock`. A turn may handle only
        // that.
        let gets_on = receives > served || cfg!(mio_unsupported_force_poll_poll);
        assert!(gets_on || !is_due(&event_loop), "a turn makes no progress");
        turns += 1;
        assert!(turns <= 4 * CLIENTS, "the loop always has more to do");
        served = receives;
    }
    assert_eq!(served, CLIENTS.into());
}

#[test]
fn bytes_sent_between_turns_does_not_make_the_next_turn_exceed_its_bound() {
    const CLIENTS: u64 = 100;
    const MESSAGE: usize = 6000;
    let (mut event_loop, _) = listening(Options::default());
    let mut sink = Sink { echoes: false };
    let pairs = Pair::several(&mut event_loop, &mut sink, CLIENTS as u32);
    event_loop.net().for_each(|conn| _ = conn.send_all(&[7; MESSAGE]));
    let past = Instant::now();
    let mut turns = 0;
    while is_due(&event_loop) {
        let before = moved(event_loop.net());
        let turn = event_loop.turn_until(&mut sink, None, past).unwrap();
        let bytes = moved(event_loop.net()) - before;
        assert!(bytes <= LOOK + MESSAGE as u64, "{bytes} bytes in a turn without time");
        assert_eq!(turn.more, is_due(&event_loop));
        turns += 1;
    }
    assert!(turns >= CLIENTS * MESSAGE as u64 / (LOOK + MESSAGE as u64));
    pairs.iter().for_each(|pair| assert_eq!(pair.read(MESSAGE), [7; MESSAGE]));
}

#[test]
fn a_flush_sends_to_all_connections_at_once() {
    let (mut event_loop, _) = listening(Options::default().turn_budget(1));
    let mut sink = Sink { echoes: false };
    let pairs = Pair::several(&mut event_loop, &mut sink, 100);
    event_loop.net().for_each(|conn| _ = conn.send_all(&[7; 6000]));
    assert!(!event_loop.flush().more);
    assert_eq!((event_loop.net().stats().bytes_sent, event_loop.next_deadline()), (600_000, None));
    pairs.iter().for_each(|pair| assert_eq!(pair.read(6000), [7; 6000]));
}

#[test]
fn each_flush_has_a_write_budget_of_its_own() {
    let (mut event_loop, _) = listening(Options::default().write_budget(1000));
    let mut sink = Sink { echoes: false };
    let pairs = Pair::several(&mut event_loop, &mut sink, 1);
    for flush in 1..=3 {
        event_loop.net().for_each(|conn| _ = conn.send_all(&[7; 1500]));
        assert!(event_loop.flush().more && is_due(&event_loop));
        assert_eq!(event_loop.net().stats().bytes_sent, flush * 1000);
    }
    // The next turns send the rest, as many bytes in each turn as in a flush.
    assert_eq!(turn_on_hints_alone(&mut event_loop, &mut sink), 2);
    assert_eq!(pairs[0].read(4500), [7; 4500]);
}

#[test]
fn a_broadcast_is_not_delayed_by_a_flood_that_spends_every_turn() {
    const CLIENTS: usize = 100;
    // The budget of a turn is enough for fifty messages, or for one read of the flood.
    let options = Options::default().turn_budget(200).read_buffer(1000).read_budget(1000);
    let (mut event_loop, _) = listening(options);
    let mut sink = Sink { echoes: false };
    let pairs = Pair::several(&mut event_loop, &mut sink, 2 + CLIENTS as u32);
    // The first two connections stay busy for sixty turns each.
    pairs[..2].iter().for_each(|pair| pair.send(&[7; 60_000]));
    event_loop.net().for_each(|conn| _ = conn.send_all(b"tick"));
    let mut turns = 0;
    loop {
        event_loop.turn(&mut sink, Some(PATIENCE)).unwrap();
        turns += 1;
        let mut waiting = Vec::new();
        event_loop.net().for_each(|conn| waiting.push(conn.queued() > 0));
        assert!(waiting.is_sorted(), "the connections are not flushed in order: {waiting:?}");
        if !waiting.contains(&true) {
            break;
        }
        assert!(turns < CLIENTS / 10, "{waiting:?} after {turns} turns");
    }
    assert!(event_loop.net().stats().bytes_received < 120_000, "the flood ended before the broadcast");
    pairs.iter().for_each(|pair| assert_eq!(pair.read(4), b"tick"));
}

type OneTurn = fn(&mut EventLoop<u32>, &mut dyn Handler<Session = u32>) -> Turn;

#[test]
fn a_turn_whose_budget_is_spent_on_input_still_flushes_one_connection() {
    const PIECES: u64 = 5;
    let by_bytes: OneTurn = |event_loop, handler| event_loop.turn(handler, Some(PATIENCE)).unwrap();
    let by_time: OneTurn = |event_loop, handler| {
        let past = Instant::now();
        event_loop.turn_until(handler, Some(Duration::ZERO), past).unwrap()
    };
    for (turn_budget, turn) in [(1, by_bytes), (usize::MAX, by_time)] {
        // A turn receives only one piece of input.
        let options = Options::default().turn_budget(turn_budget).read_buffer(10).read_budget(10);
        let (mut event_loop, _) = listening(options);
        let pairs = Pair::several(&mut event_loop, &mut Sink { echoes: false }, 4);
        let mut recorder = Recorder::new(|net, _, _, call| {
            if let Call::Data(_) = call {
                pairs[1..].iter().for_each(|other| _ = net.send_all(other.id, b"tick"));
            }
        });
        pairs[0].send(&[7; 10 * PIECES as usize]);
        let (mut received, mut sent, mut more) = (0, 0, true);
        while more {
            more = turn(&mut event_loop, &mut recorder).more;
            let stats = event_loop.net().stats();
            let (input, flushed) = (stats.bytes_received - received, stats.bytes_sent - sent);
            assert!(input <= 10, "a turn received more than one piece of input");
            assert!(input == 0 || flushed > 0, "the turn of piece {} flushed nothing", received / 10);
            (received, sent) = (stats.bytes_received, stats.bytes_sent);
        }
        assert_eq!(received, 10 * PIECES);
        pairs[1..].iter().for_each(|pair| assert_eq!(pair.read(20), b"tickticktickticktick"));
    }
}

#[test]
fn a_turn_moves_at_most_its_budget_and_the_budget_of_one_connection() {
    const CLIENTS: u32 = 10;
    for budget in [1, 5000, 20_000] {
        let options = Options::default().turn_budget(budget).read_buffer(1000).read_budget(1000);
        let (mut event_loop, _) = listening(options);
        let mut sink = Sink { echoes: true };
        let pairs = Pair::several(&mut event_loop, &mut sink, CLIENTS);
        pairs.iter().for_each(|pair| pair.send(&[7; 5000]));
        let all = moved(event_loop.net()) + u64::from(CLIENTS) * 10_000;
        let mut turns = 0;
        while moved(event_loop.net()) < all {
            let before = moved(event_loop.net());
            let turn = event_loop.turn(&mut sink, Some(PATIENCE)).unwrap();
            let bytes = moved(event_loop.net()) - before;
            assert!(bytes < budget as u64 + 2000, "{bytes} bytes with a budget of {budget}");
            assert!(bytes >= 2000, "a turn did not serve a whole connection");
            assert!(turn.more || moved(event_loop.net()) == all);
            turns += 1;
        }
        assert!(turns >= 100_000 / (budget + 2000), "{turns} turns with a budget of {budget}");
        pairs.iter().for_each(|pair| assert_eq!(pair.read(5000), [7; 5000]));
    }
}

#[test]
fn connections_that_wait_for_the_next_turn_come_before_those_already_served() {
    // The budget of a turn is enough for a part of the input of one connection.
    let (mut event_loop, _) = listening(Options::default().turn_budget(1).read_buffer(3).read_budget(3));
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let pairs = Pair::several(&mut event_loop, &mut recorder, 4);
    recorder.notes.clear();
    pairs.iter().for_each(|pair| pair.send(b"onetwo"));
    event_loop.turn(&mut recorder, Some(PATIENCE)).unwrap();
    turn_on_hints_alone(&mut event_loop, &mut recorder);
    let order: Vec<u32> = recorder.calls().iter().map(|(who, _)| *who).collect();
    assert_eq!(order.len(), 8, "{:?}", recorder.calls());
    assert_eq!(order[..4], order[4..], "a connection was served twice before another one was served once");
    assert!(recorder.calls()[4..].iter().all(|(_, call)| *call == Call::Data(b"two".to_vec())));
}

#[test]
fn a_turn_does_not_wait_beyond_its_end() {
    let (mut event_loop, _) = listening(Options::default());
    let mut sink = Sink { echoes: false };
    let _pairs = Pair::several(&mut event_loop, &mut sink, 1);
    event_loop.net().set_timer(Instant::now() + 3 * PATIENCE, 1);
    let begin = Instant::now();
    for wait in [None, Some(2 * PATIENCE)] {
        for end in [begin, Instant::now() + Duration::from_millis(5)] {
            let turn = event_loop.turn_until(&mut sink, wait, end).unwrap();
            assert_eq!((turn.events, turn.more), (0, false));
        }
    }
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "the selector on poll(2) returns all events at once, whatever the capacity"
)]
fn a_turn_takes_at_most_its_event_budget_and_the_events_of_one_poll() {
    const CLIENTS: usize = 20;
    let (mut event_loop, _): (EventLoop<u32>, _) =
        listening(Options::default().event_capacity(3).event_budget(4));
    let mut sink = Sink { echoes: true };
    let pairs = Pair::several(&mut event_loop, &mut sink, CLIENTS as u32);
    pairs.iter().for_each(|pair| pair.send(b"hello"));
    let (mut turns, all) = (0, 5 * CLIENTS as u64);
    while event_loop.net().stats().bytes_received < all {
        let Turn { events, more, .. } = event_loop.turn(&mut sink, Some(PATIENCE)).unwrap();
        assert!(events > 0 && events < 4 + 3, "{events} events");
        assert!(more || event_loop.net().stats().bytes_received == all);
        turns += 1;
    }
    assert!(turns >= CLIENTS / (4 + 3), "{turns} turns");
    pairs.iter().for_each(|pair| assert_eq!(pair.read(5), b"hello"));
}

#[test]
fn a_turn_with_time_left_does_all_work() {
    let (mut event_loop, _) = listening(Options::default());
    let mut sink = Sink { echoes: true };
    let pairs = Pair::several(&mut event_loop, &mut sink, 100);
    pairs.iter().for_each(|pair| pair.send(&[7; 2000]));
    let end = Instant::now() + 10 * PATIENCE;
    let turn = event_loop.turn_until(&mut sink, Some(PATIENCE), end).unwrap();
    assert!(!turn.more);
    assert_eq!(event_loop.net().stats().bytes_sent, 200_000);
}
