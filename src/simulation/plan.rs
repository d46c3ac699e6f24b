//! The plan of a run: the steps and the peers, so that the shrinker can leave out parts of the run.

use crate::socket::simulated::Random;

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// The seed of each step.
    pub(super) steps: Vec<u64>,
    /// Peers without a reactor open up to ten streams for each of these. Zero: there are no such peers.
    pub(super) peers: usize,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0F0F_F0F0);
        let count = random.pick(&[20, 60, 150, 400]);
        let peers = random.pick(&[0, 1, 2, 4]);
        Self { seed, steps: (0..count).map(|_| random.next()).collect(), peers }
    }
}
