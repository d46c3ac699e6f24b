//! Tests of the budgets of a datagram socket: how much the socket receives and sends in a turn.

use std::{io::Write, time::Duration};

use tidegate::{DatagramOptions, EventLoop, Options};

use crate::support::{
    connect,
    datagrams::{Post, bind, bound, client, turn_until_received},
    listen, turn_until, turn_until_quiet,
};

/// With the feature, one system call may receive more than the budget has left.
const MAY_PASS: usize = if cfg!(feature = "packet-info") { 31 } else { 0 };

#[test]
fn a_turn_receives_no_more_than_the_budget_and_the_rest_needs_no_event() {
    let (mut event_loop, _, at) = bound(DatagramOptions::default().receive_budget(10));
    let (client, mut post) = (client(), Post::silent());
    (0..100).for_each(|number: u8| _ = client.send_to(&[number], at).unwrap());
    let mut before = 0;
    while post.received.len() < 100 {
        turn_until(&mut event_loop, &mut post, |post, _| post.received.len() > before);
        assert!(post.received.len() - before <= 10 + MAY_PASS);
        before = post.received.len();
        if before < 100 {
            let turn = event_loop.turn(&mut post, Some(Duration::ZERO)).unwrap();
            assert!(post.received.len() > before, "the socket was due without an event: {turn:?}");
            before = post.received.len();
        }
    }
    assert!(post.received.iter().map(|letter| letter.bytes[0]).eq(0..100));
}

#[test]
fn the_read_budget_bounds_the_bytes_of_a_turn() {
    let mut event_loop = EventLoop::new(Options::default().read_budget(100)).unwrap();
    let (_, at) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    (0..20).for_each(|_| _ = client.send_to(&[0; 60], at).unwrap());
    turn_until_received(&mut event_loop, &mut post, 1);
    assert!(post.received.len() <= 2 + MAY_PASS);
    turn_until_received(&mut event_loop, &mut post, 20);
}

/// Each datagram brings two more, so the socket always has more to do.
#[test]
fn a_flood_of_datagrams_does_not_starve_a_connection() {
    let (mut event_loop, id, _) = bound(DatagramOptions::default().receive_budget(16));
    let (other, _) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default().receive_budget(16));
    let at = [id, other].map(|id| event_loop.net().socket_address(id).unwrap().socket_addrs()[0]);
    let mut post = Post::new(|socket, datagram| {
        for _ in 0..2 {
            let _ = socket.reply(datagram, datagram.bytes());
        }
    });
    event_loop.net().socket(id).unwrap().send_to(b"forever", at[1]);
    turn_until_received(&mut event_loop, &mut post, 1000);
    let mut stream = connect(listen(event_loop.net()));
    stream.write_all(b"me too").unwrap();
    let turns = event_loop.net().stats().turns;
    turn_until(&mut event_loop, &mut post, |post, _| post.stream_bytes == 6);
    let turns = event_loop.net().stats().turns - turns;
    assert!(turns < 50, "the connection waited for {turns} turns");
    let stats = event_loop.net().stats();
    assert!(stats.datagrams_received <= 1000 + (turns + 10) * 2 * (16 + MAY_PASS as u64) + 64);
}

#[test]
fn a_socket_at_rest_makes_no_turns() {
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::echo());
    client.send_to(b"once", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!(event_loop.next_deadline(), None);
}
