//! Tests that the end of the grace closes all sockets, lingering sockets included.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Options};

use crate::support::{Call, End, PATIENCE, Recorder, connect_open, listening, read_out, turn_until};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn the_end_of_the_grace_closes_lingering_sockets() {
    const CLIENTS: usize = 3;
    let (mut event_loop, at) = listening(Options::default().linger(A_DAY).close_timeout(A_DAY));
    let mut recorder = Recorder::new(|net, id, _, call| {
        if let Call::Data(_) = call {
            net.send_all(id, b"answer");
            net.close(id);
        }
    });
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, CLIENTS);
    clients.iter_mut().for_each(|client| client.write_all(b"go").unwrap());
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().closed == CLIENTS as u64);
    assert_eq!(event_loop.net().stats().open, CLIENTS, "not all connections linger");

    event_loop.net().drain(Duration::ZERO);
    event_loop.run(&mut recorder).unwrap();
    assert_eq!((event_loop.net().stats().open, event_loop.next_deadline()), (0, None));
    assert_eq!(recorder.count(&Call::Close(CloseKind::Closed)), CLIENTS, "on_close is not called again");
    for client in &mut clients {
        assert_eq!(read_out(client), (b"answer".to_vec(), End::Eof));
        // The system resets a peer that goes on sending to a closed socket. A lingering socket would receive all bytes and
        // send no reset.
        let end = Instant::now() + PATIENCE;
        while client.write_all(b"more").is_ok() {
            assert!(Instant::now() < end, "the socket is still open");
            std::thread::yield_now();
        }
    }
}
