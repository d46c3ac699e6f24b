//! How the simulated system behaves in a run: drawn anew for each run.

use std::time::Duration;

use super::random::Random;

/// The probabilities are counts in a thousand calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conduct {
    /// The rules of mio's portable selectors: a source that was reported is reported again only after a `WouldBlock`.
    pub(crate) portable: bool,
    /// Microseconds.
    pub(crate) latency: (usize, usize),
    /// The largest buffer of a direction, in bytes.
    pub(crate) capacity: usize,
    /// The greatest time that one look at the clock takes, in microseconds.
    pub(crate) clock_step: usize,
    /// A read or write moves fewer bytes than it could.
    pub(crate) cuts: u32,
    pub(crate) interrupted: u32,
    pub(crate) out_of_buffers: u32,
    pub(crate) zero_writes: u32,
    pub(crate) aborted_clients: u32,
    pub(crate) accept_fails: u32,
    pub(crate) connect_fails: u32,
    pub(crate) shutdown_fails: u32,
    pub(crate) registration_fails: u32,
    /// A reset destroys the bytes that the program has not read.
    pub(crate) reset_destroys: u32,
    /// An event for a source that is not ready.
    pub(crate) spurious_events: u32,
    /// An event stays with the system until a later poll.
    pub(crate) late_events: u32,
    pub(crate) datagram_loss: u32,
    /// Another program takes a free descriptor.
    pub(crate) descriptors_taken: u32,
}

impl Conduct {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let latency = random.pick(&[0, 0, 10, 500, 30_000]);
        let mut rate = |most: usize| if random.chance(600) { 0 } else { random.size(most) as u32 };
        let mut conduct = Self {
            cuts: rate(900),
            interrupted: rate(300),
            out_of_buffers: rate(200),
            zero_writes: rate(10),
            aborted_clients: rate(300),
            accept_fails: rate(200),
            connect_fails: rate(300),
            shutdown_fails: rate(50),
            registration_fails: rate(100),
            reset_destroys: rate(1000),
            spurious_events: rate(500),
            late_events: rate(500),
            datagram_loss: rate(500),
            descriptors_taken: rate(300),
            ..Self::default()
        };
        conduct.portable = random.chance(350);
        conduct.latency = (latency / 2, latency);
        conduct.capacity = random.pick(&[1, 7, 100, 1000, 5000, 70_000, 1 << 18]);
        conduct.clock_step = random.pick(&[0, 1, 100, 2000]);
        conduct
    }

    /// Ends the faults, and keeps the rules.
    pub(crate) fn without_faults(&self) -> Self {
        Self {
            portable: self.portable,
            latency: self.latency,
            capacity: self.capacity,
            cuts: self.cuts,
            ..Self::default()
        }
    }

    pub(crate) fn draw_latency(&self, random: &mut Random) -> Duration {
        Duration::from_micros(random.within(self.latency.0..=self.latency.1) as u64)
    }
}
