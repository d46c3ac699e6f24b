//! Peers without a reactor: clients and servers that read, write and end as they like.

use std::net::SocketAddr;

use crate::socket::simulated::{Network, Random};

use super::{actions::address_of_reactor, actor::network};

/// All peers of this kind of server listen at this address.
const SERVER: ([u8; 4], u16) = ([10, 0, 1, 0], 80);

#[derive(Debug, Default)]
pub(super) struct Peers {
    /// The ends of all streams of the peers.
    ends: Vec<usize>,
    listener: Option<usize>,
    /// How many streams the peers may still open.
    connects_left: usize,
    largest: usize,
    reactors: usize,
}

impl Peers {
    pub(super) fn new(count: usize, largest: usize, reactors: usize) -> Self {
        Self { ends: Vec::new(), listener: None, connects_left: 10 * count, largest, reactors }
    }

    pub(super) fn step(&mut self, random: &mut Random) {
        network(|network| self.step_in(network, random));
    }

    fn step_in(&mut self, network: &mut Network, random: &mut Random) {
        if self.listener.is_none() {
            self.listener = Some(network.raw_listen(SocketAddr::from(SERVER)));
        }
        if random.chance(700) {
            self.accept(network);
        }
        if self.connects_left > 0 && (self.ends.is_empty() || random.chance(300)) {
            self.connects_left -= 1;
            let at = address_of_reactor(random, self.reactors);
            self.ends.extend(network.raw_connect(at));
        }
        for _ in 0..2 + random.below(12) {
            if self.ends.is_empty() {
                return;
            }
            let end = random.pick(&self.ends);
            self.act(network, random, end);
        }
    }

    fn act(&self, network: &mut Network, random: &mut Random, end: usize) {
        let what = random.below(1000);
        match what {
            0..480 => {
                let n = random.size(self.largest);
                let taken = network.raw_write(end, n as u64);
                network.note(format_args!("peer {end}: writes {taken} of {n} bytes"));
            }
            480..940 => {
                let n = if random.chance(500) { usize::MAX } else { random.size(self.largest) };
                let read = network.raw_read(end, n as u64);
                network.note(format_args!("peer {end}: reads {read} of {n} bytes"));
            }
            940..960 => {
                network.note(format_args!("peer {end}: shuts down its writing"));
                network.raw_shutdown(end);
            }
            960..970 => network.raw_close(end, false),
            970..976 => network.raw_close(end, true),
            976..996 => {
                network.note(format_args!("peer {end}: sends an urgent mark"));
                network.raw_mark(end);
            }
            _ => {
                network.note(format_args!("peer {end}: the network resets the stream"));
                network.raw_cut(end);
            }
        }
    }

    fn accept(&mut self, network: &mut Network) {
        self.ends.extend(network.take_pairs());
        while let Some(end) = self.listener.and_then(|listener| network.raw_accept(listener)) {
            self.ends.push(end);
        }
    }

    /// The peers accept and read everything. Returns true if there was something.
    pub(super) fn finish(&mut self) -> bool {
        network(|network| {
            let before = self.ends.len();
            self.accept(network);
            let mut moved = self.ends.len() > before;
            for end in &self.ends {
                moved |= network.raw_read(*end, u64::MAX) > 0;
            }
            moved
        })
    }

    pub(super) fn close_all(&mut self) {
        network(|network| {
            self.accept(network);
            for end in &self.ends {
                network.raw_close(*end, false);
            }
        });
    }
}
