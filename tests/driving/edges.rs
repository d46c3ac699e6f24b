//! Tests that a host that watches the descriptor of the loop for edges misses no work. Work that a turn leaves is due, and
//! an event that comes after the poll of a turn causes another edge.

use std::{os::fd::AsRawFd, time::Duration};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use tidegate::{EventLoop, Options};

use crate::support::{
    Call, PATIENCE, Recorder, echo, listening,
    pair::{Pair, turn_on_hints_alone, turn_until_quiet},
};

/// A poll that watches the descriptor of a loop for edges.
struct Watch {
    poll: Poll,
    events: Events,
}

impl Watch {
    fn new<S>(event_loop: &EventLoop<S>) -> Self {
        let poll = Poll::new().unwrap();
        let fd = event_loop.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
        Self { poll, events: Events::with_capacity(4) }
    }

    /// Waits for an edge as long as `wait`. Returns true if an edge came.
    fn edge(&mut self, wait: Duration) -> bool {
        self.poll.poll(&mut self.events, Some(wait)).unwrap();
        !self.events.is_empty()
    }
}

#[test]
fn an_event_that_comes_between_the_poll_and_the_end_of_the_turn_is_an_edge() {
    let (mut event_loop, _) = listening(Options::default());
    let mut quiet = Recorder::new(|_, _, _, _| {});
    let pairs = Pair::several(&mut event_loop, &mut quiet, 2);
    let mut watch = Watch::new(&event_loop);
    while watch.edge(Duration::ZERO) {}
    // While a callback runs, the poll of this turn is over, and the next poll of the host has not begun.
    let (first, second) = (&pairs[0], &pairs[1]);
    let act = |who: u32, bytes: &[u8]| match (who, bytes) {
        (0, b"one") => second.send(b"two"),
        (1, b"two") => first.send(b"three"),
        (0, b"three") => first.send(b"four"), // The event is for the connection whose callback runs.
        _ => {}
    };
    let mut recorder = Recorder::new(|_, _, who, call| {
        if let Call::Data(bytes) = call {
            act(who, bytes);
        }
    });
    pairs[0].send(b"one");
    for (who, bytes) in [(0, "one"), (1, "two"), (0, "three"), (0, "four")] {
        assert!(watch.edge(PATIENCE), "no edge announces {bytes}");
        let turn = event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap();
        assert_eq!((turn.events, turn.more), (1, false));
        assert_eq!(recorder.calls().last(), Some(&(who, Call::Data(bytes.into()))));
    }
    assert!(!watch.edge(Duration::ZERO));
}

#[test]
fn events_left_by_a_poll_are_served_with_new_events() {
    let (mut event_loop, _) = listening(Options::default().event_capacity(1).event_budget(1));
    let mut echo = echo();
    let pairs = Pair::several(&mut event_loop, &mut echo, 4);
    let mut watch = Watch::new(&event_loop);
    while watch.edge(Duration::ZERO) {}
    for round in 1..=20 {
        // Two messages come before the turn, and two while the turn has left work.
        pairs[0].send(b"hello");
        pairs[1].send(b"hello");
        assert!(watch.edge(PATIENCE));
        assert!(event_loop.turn(&mut echo, Some(Duration::ZERO)).unwrap().more);
        pairs[2].send(b"hello");
        pairs[3].send(b"hello");
        turn_on_hints_alone(&mut event_loop, &mut echo);
        assert_eq!(event_loop.net().stats().bytes_received, round * 20);
        while watch.edge(Duration::ZERO) {
            turn_until_quiet(&mut event_loop, &mut echo); // The edge may be of a message that was served already.
        }
        pairs.iter().for_each(|pair| assert_eq!(pair.read(5), b"hello"));
    }
}
