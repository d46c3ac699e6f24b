//! All state of a reactor that does not depend on the type of its sessions.
//!
//! The engine is two halves that can be borrowed side by side: the [`Table`] of sources, and the [`Common`] parts that the
//! sources use. An [`Entry`] is one connection of the table together with the common parts.

mod budget;
mod callback;
mod clock;
mod common;
mod connecting;
mod dispatch;
mod drain;
mod entry;
mod lifetime;
mod listener;
mod memory;
mod placing;
mod queue;
mod reserve;
mod source;
mod table;

use std::time::Instant;

use mio::Registry;

use crate::{close::CloseReason, connection::Phase, options::Options};

pub(crate) use self::{
    budget::{Reminders, TurnBudget},
    clock::later,
    common::Common,
    dispatch::Ready,
    drain::DrainState,
    entry::Entry,
    lifetime::TimerKind,
    source::Opening,
};
use self::{source::Source, table::Table};

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) table: Table,
    pub(crate) common: Common,
    /// The generation of slots when the present turn began: slots with a higher one were created in this turn.
    generation_of_turn: u32,
}

impl Engine {
    /// `base` is the time from which all others count.
    pub(crate) fn new(
        registry: Registry,
        first_token: usize,
        capacity: usize,
        options: Options,
        base: Instant,
    ) -> Self {
        let common = Common::new(registry, first_token, options, base);
        Self { table: Table::new(capacity), common, generation_of_turn: 0 }
    }

    /// Begins a turn. A connection whose callback panicked in the last turn is aborted: bytes that the callback was shown,
    /// and bytes that it had sent, may be missing.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        let Common { clock, timers, stats, callback, .. } = &mut self.common;
        clock.begin_turn(now, !timers.is_empty());
        stats.turns += 1;
        self.generation_of_turn = self.table.generation();
        if callback.has_panicked() {
            self.abort_panicked();
        }
    }

    #[cold]
    fn abort_panicked(&mut self) {
        let Common { callback, .. } = &mut self.common;
        let (panicked, had_gathered) = callback.take_panicked();
        log::warn!(target: "tidegate", "a callback panicked in the last turn: its connection is aborted");
        match self.table.get_mut(panicked).map(|place| &place.source) {
            None | Some(Source::Listener(_)) => {}
            Some(Source::Reserved) => self.vacate(panicked), // the callback was `on_accept`
            Some(Source::Connection(_)) => {
                if let Some(mut entry) = self.entry(panicked) {
                    if had_gathered {
                        entry.connection.lose_bytes();
                    }
                    entry.connection.end(CloseReason::Aborted, Phase::Resetting);
                    entry.queue();
                }
            }
        }
    }

    /// Between turns: true if the next turn has something to do that no event will announce.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        let Common { queue, drain, reserve, callback, .. } = &self.common;
        !queue.is_empty()
            || drain.has_work()
            || callback.has_panicked()
            || (self.table.has_vacated() && reserve.has_waiting())
    }
}

/// A host's poll may live longer than the reactor: it must not keep sources that are gone.
impl Drop for Engine {
    fn drop(&mut self) {
        let registry = &self.common.registry;
        for slot in self.table.sources_mut() {
            // An error means that the poll is gone, and the registration with it.
            let _ = match &mut slot.source {
                Source::Reserved => Ok(()),
                Source::Listener(listener) => listener.socket.deregister(registry),
                Source::Connection(record) => record.connection.stream_mut().deregister(registry),
            };
        }
    }
}
