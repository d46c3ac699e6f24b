//! In which order those who wait are served.
// epoll(7) lists what is ready in the order in which it became so; mio's `poll(2)` selector lists it in no order.
#![cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]

use std::{io::Write, net::TcpStream, time::Duration};

use tidegate::{Accepted, Conn, Handler, Net, Options};

use crate::support::{connect, listening};

/// Notes the numbers that it is sent, as they come.
#[derive(Default)]
struct Heard(Vec<u16>);

impl Handler for Heard {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.0.push(u16::from_be_bytes(input.try_into().expect("a number in one piece")));
        input.len()
    }
}

#[test]
fn a_thousand_clients_in_one_batch_are_served_in_the_order_in_which_they_became_ready() {
    let (mut event_loop, address) = listening(Options::default());
    let mut heard = Heard::default();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.extend((0..100).map(|_| connect(address)));
        while event_loop.net().stats().accepted < clients.len() as u64 {
            event_loop.turn(&mut heard, None).unwrap();
        }
    }
    // What is left are the events that say that the new sockets take bytes.
    while event_loop.turn(&mut heard, Some(Duration::ZERO)).unwrap().events > 0 {}

    // Not the order in which they came, nor that of their places: 7 and 1000 have no common factor.
    let order: Vec<u16> = (0..1000).map(|n| n * 7 % 1000).collect();
    for number in &order {
        let mut client: &TcpStream = &clients[usize::from(*number)];
        client.write_all(&number.to_be_bytes()).unwrap();
    }
    let turn = event_loop.turn(&mut heard, None).unwrap();
    assert_eq!(turn.events, 1000, "they come in one batch");
    assert_eq!(heard.0, order);
}
