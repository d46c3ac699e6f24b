//! Tests of the order in which connections are served.

use tidegate::Options;

use crate::support::{
    Call, PATIENCE, Recorder, listening,
    pair::{Pair, turn_on_hints_alone},
};

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mio_unsupported_force_poll_poll),
    ignore = "epoll(7) lists the sockets that are ready in the order in which they became ready; other selectors do not"
)]
fn connections_are_served_in_the_order_in_which_they_became_ready() {
    const CLIENTS: u32 = 150;
    // The capacity decides whether one poll or several polls return the events.
    for capacity in [1024, 7] {
        let (mut event_loop, _) = listening(Options::default().event_capacity(capacity));
        let mut recorder = Recorder::new(|_, _, _, _| {});
        let pairs = Pair::several(&mut event_loop, &mut recorder, CLIENTS);
        recorder.notes.clear();
        // The order differs from the order in which the connections began and from the order of the slots. 7 and 150 have
        // no common factor.
        let order: Vec<u32> = (0..CLIENTS).map(|n| n * 7 % CLIENTS).collect();
        for who in &order {
            // `Pair::send` returns when the bytes have arrived, so the sockets become ready in this order.
            pairs[*who as usize].send(b"hello");
        }
        event_loop.turn(&mut recorder, Some(PATIENCE)).unwrap();
        turn_on_hints_alone(&mut event_loop, &mut recorder);
        assert!(recorder.calls().iter().all(|(_, call)| *call == Call::Data(b"hello".to_vec())));
        let served: Vec<u32> = recorder.calls().iter().map(|(who, _)| *who).collect();
        assert_eq!(served, order, "event_capacity {capacity}");
    }
}
