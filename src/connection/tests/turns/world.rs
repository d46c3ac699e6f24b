//! The steps of the peer, the kernel and the host.

use proptest::{collection::vec, prelude::*};

use super::application::LARGEST_PUSH;

/// A step of the world outside of the loop.
#[derive(Clone, Copy, Debug)]
pub(super) enum World {
    Arrival,
    Room,
    Timer,
    Resume,
    Turn,
    SettleDown,
    Flush,
    Push(usize),
}

pub(super) fn any_course() -> impl Strategy<Value = Vec<World>> {
    let what = prop_oneof![
        4 => Just(World::Arrival),
        4 => Just(World::Room),
        2 => Just(World::Timer),
        2 => Just(World::Resume),
        6 => Just(World::Turn),
        2 => Just(World::SettleDown),
        1 => Just(World::Flush),
        2 => (1..=LARGEST_PUSH).prop_map(World::Push),
    ];
    vec(what, 0..60)
}
