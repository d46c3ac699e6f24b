//! The rules that hold for the whole engine between turns. The simulation checks the rules after each turn, each flush
//! and each act of the host.

use crate::{
    connection::{Connection, Phase},
    id::{ConnId, NO_SLOT, TimerId},
    socket::stream::Stream,
};

use super::{
    common::Common,
    drain::DrainState,
    lifetime::Lifetime,
    opening::Opening,
    source::{ConnectionRecord, Slot, SlotMeta, Source},
    state::Engine,
    timer_kind::TimerKind,
};

type Checked = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}

/// The counts of what an engine still holds, for the check that all of them are zero at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Remains {
    pub(crate) slots: usize,
    /// Without those of `Net::set_timer`, which belong to the program.
    pub(crate) timers: usize,
    pub(crate) timers_of_program: usize,
    pub(crate) buffered: usize,
    pub(crate) shared: usize,
}

impl Engine {
    pub(crate) fn remains(&self) -> Remains {
        let Common { timers, stats, blocks, .. } = &self.common;
        let of_program = timers.all().filter(|(_, kind)| matches!(kind, TimerKind::Handler(_))).count();
        Remains {
            slots: self.table.all().count(),
            timers: timers.len() - of_program,
            timers_of_program: of_program,
            buffered: stats.buffered,
            shared: blocks.held(),
        }
    }

    /// True if something will look at the source in a slot without an event.
    pub(crate) fn is_scheduled(&self, slot: u32) -> bool {
        self.table.all().any(|(other, place)| other == slot && place.meta.is_scheduled())
    }

    /// How many sources all passes have taken from the ready queue.
    pub(crate) fn served(&self) -> usize {
        let Common { queue, .. } = &self.common;
        queue.served()
    }

    /// True if a timer will repeat a send of this connection that found no buffer space.
    pub(crate) fn retries_send(&self, id: ConnId) -> bool {
        let Common { timers, .. } = &self.common;
        timers.all().any(|(_, kind)| matches!(kind, TimerKind::SendRetry(other) if *other == id))
    }

    /// The sources with work to do, in order.
    pub(crate) fn ready_queue(&self) -> Vec<u32> {
        let Common { queue, .. } = &self.common;
        queue.ready().to_vec()
    }

    /// `after_turn`: a turn has just ended, and the host has not had the `Net` since. `exempt`: slots whose buffers may be above
    /// the limits, because they came from a reactor with larger limits.
    pub(crate) fn check_invariants(&self, after_turn: bool, exempt: &[u32]) -> Checked {
        self.check_queue()?;
        self.check_sums(after_turn)?;
        self.check_timers()?;
        for (slot, place) in self.table.all() {
            match &place.source {
                Source::Reserved => return Err(format!("slot {slot} is still reserved")),
                Source::Vacated => {
                    ensure!(self.table.vacated().contains(&slot), "the vacated slot {slot} is never freed");
                    ensure!(!after_turn || place.meta.queued, "the vacated slot {slot} was not freed");
                }
                Source::Connection(record) => {
                    self.check_connection(&place.meta, record, after_turn, exempt)?
                }
                Source::Listener(listener) => self.check_listener(slot, &place.meta, listener, after_turn)?,
                Source::Watched(record) => {
                    ensure!(
                        !record.has_news() || place.meta.queued,
                        "the watched source {slot} is not queued"
                    );
                }
                Source::Datagram(record) => {
                    ensure!(
                        record.is_counted(),
                        "the bytes in the queue of socket {slot} are counted wrongly"
                    );
                    ensure!(!record.waits_for_ever(), "the datagram socket {slot} waits for ever");
                    let sends = record.can_send() && record.retry.is_none();
                    let is_due = sends || record.can_receive();
                    ensure!(
                        !is_due || place.meta.queued,
                        "the datagram socket {slot} has work and is not queued"
                    );
                }
            }
        }
        Ok(())
    }

    fn check_queue(&self) -> Checked {
        let Common { queue, .. } = &self.common;
        for (list, name) in [(queue.ready(), "ready queue"), (queue.marked(), "flush list")] {
            for (index, slot) in list.iter().enumerate() {
                ensure!(!list[..index].contains(slot), "slot {slot} stands twice in the {name}");
            }
        }
        for (slot, Slot { meta, source }) in self.table.all() {
            let (is_ready, is_marked) = (queue.ready().contains(&slot), queue.marked().contains(&slot));
            ensure!(
                is_ready == meta.queued,
                "slot {slot}: queued is {} but in the queue: {is_ready}",
                meta.queued
            );
            // Nothing reads the mark of a slot whose source is gone.
            let is_gone = matches!(source, Source::Vacated);
            ensure!(is_gone || is_marked == meta.to_flush, "slot {slot}: the mark for the flush is wrong");
        }
        Ok(())
    }

    fn check_sums(&self, after_turn: bool) -> Checked {
        let Common { stats, blocks, options, .. } = &self.common;
        // The rule is computed here once more, because the question of the engine may be wrong itself.
        let (held, most) = (stats.buffered + blocks.held(), options.memory_budget);
        ensure!(!after_turn || held <= most, "{held} bytes are held, and the memory budget is {most}");
        let connections: Vec<_> = self
            .table
            .all()
            .filter_map(|(slot, place)| match &place.source {
                Source::Connection(record) => Some((slot, &place.meta, record)),
                _ => None,
            })
            .collect();
        let counted: usize = connections.iter().map(|(.., record)| record.connection.counted()).sum();
        ensure!(stats.buffered == counted, "buffered is {} and the sum is {counted}", stats.buffered);
        ensure!(
            stats.open == connections.len(),
            "open is {} of {} connections",
            stats.open,
            connections.len()
        );
        // Blocks that an end between turns has freed are counted in the next turn.
        ensure!(
            !after_turn || stats.shared == blocks.held(),
            "shared is {} and held are {}",
            stats.shared,
            blocks.held()
        );
        for (slot, meta, _) in &connections {
            let listed = self.table.connections().get(meta.position as usize);
            ensure!(listed == Some(slot), "connection {slot} is not at its place in the list");
        }
        for slot in self.table.listeners() {
            let open = connections.iter().filter(|(_, meta, _)| meta.listener == *slot).count();
            let Some(Slot { source: Source::Listener(listener), .. }) =
                self.table.all().find(|(other, _)| other == slot).map(|(_, place)| place)
            else {
                return Err(format!("slot {slot} is listed as a listener"));
            };
            ensure!(
                listener.open() == open,
                "listener {slot} counts {} of {open} connections",
                listener.open()
            );
        }
        Ok(())
    }

    fn check_connection(
        &self,
        meta: &SlotMeta,
        record: &ConnectionRecord,
        after_turn: bool,
        exempt: &[u32],
    ) -> Checked {
        let (slot, ConnectionRecord { connection, lifetime }) = (meta.slot(), record);
        let limits = lifetime.limits(&self.common.options);
        let (inbox, outbox) = (connection.inbox().len(), connection.queued_in_memory());
        ensure!(connection.is_outbox_summed_up(), "the sums of the outbox of {slot} are wrong");
        let is_exempt = exempt.contains(&slot);
        ensure!(is_exempt || inbox <= limits.inbox_limit(), "the inbox of {slot} has {inbox} bytes");
        ensure!(is_exempt || outbox <= limits.max_outbox, "the outbox of {slot} has {outbox} bytes");
        let is_due = if lifetime.is_opening() {
            connection.is_over() || !is_waiting(lifetime)
        } else {
            connection.is_due(limits)
        };
        ensure!(
            !is_due || meta.is_scheduled(),
            "connection {slot} has work and is not queued (phase {:?})",
            connection.phase()
        );
        ensure!(!meta.arm_timers || meta.is_scheduled(), "the timers of {slot} are never armed");
        // Freed storage is counted when the connection has its turn.
        let (counted, owned) = (connection.counted(), connection.owned());
        ensure!(!after_turn || owned <= counted, "{slot} owns {owned} bytes and counts {counted}");
        ensure!(
            meta.is_scheduled() || owned == counted,
            "{slot} owns {owned} bytes and counts {counted} for ever"
        );
        self.check_timers_of(meta, connection, lifetime)
    }

    fn check_timers_of(
        &self,
        meta: &SlotMeta,
        connection: &Connection<Stream>,
        lifetime: &Lifetime,
    ) -> Checked {
        let slot = meta.slot();
        let rare = lifetime.rare.as_deref();
        let lingers = connection.phase() == Phase::Lingering;
        if lifetime.idle.after > 0 && !lifetime.is_opening() && connection.phase() < Phase::Flushing {
            ensure!(lifetime.idle.timer.is_some() || meta.arm_timers, "the idle timer of {slot} is not set");
        }
        let closing = rare.and_then(|rare| rare.closing.as_ref());
        if connection.phase() >= Phase::Flushing && !lifetime.is_opening() && !meta.is_scheduled() {
            ensure!(closing.is_some(), "the close of {slot} has no bound");
        }
        if lingers {
            let has_own = lifetime.idle.timer.is_some()
                || rare.is_some_and(|rare| rare.deadline.is_some() || !rare.timeouts.is_empty());
            ensure!(!has_own, "the lingering connection {slot} has timers of its session");
        }
        let Common { timers, .. } = &self.common;
        // The timer of a close that has fired is forgotten in the last turn of the connection.
        let is_last_turn = matches!(connection.phase(), Phase::Dropping | Phase::Resetting) && meta.queued;
        for timer in owned_timers(lifetime).filter(|_| !is_last_turn) {
            ensure!(timers.all().any(|(id, _)| id == timer), "a timer of {slot} is lost");
        }
        Ok(())
    }

    fn check_listener(
        &self,
        slot: u32,
        meta: &SlotMeta,
        listener: &super::listener::ListenerRecord,
        after_turn: bool,
    ) -> Checked {
        let Common { reserve, timers, stats, options, .. } = &self.common;
        if listener.is_ready() {
            // A listener that waits for a close waits because there is no place, or has a timer as well.
            let has_no_place =
                stats.open >= options.max_connections || self.table.is_full() || listener.is_full();
            let waits_for_place = reserve.waits(slot) && (has_no_place || !after_turn);
            let waits = meta.queued || waits_for_place || listener.retry.is_some();
            ensure!(waits, "listener {slot} is ready and forgotten");
        }
        if let Some(retry) = listener.retry {
            ensure!(timers.all().any(|(id, _)| id == retry), "the retry of listener {slot} is lost");
        }
        ensure!(meta.listener == NO_SLOT, "a listener was accepted by another one");
        Ok(())
    }

    /// Each timer belongs to something that exists.
    fn check_timers(&self) -> Checked {
        let Common { timers, drain, .. } = &self.common;
        for (id, kind) in timers.all() {
            let has_owner = match *kind {
                TimerKind::Handler(_) | TimerKind::SendRetry(_) => true,
                TimerKind::Timeout { slot, index } => self.lifetime(slot).is_some_and(|lifetime| {
                    let timeouts = lifetime.rare.as_ref().map_or(&[][..], |rare| &rare.timeouts);
                    timeouts.get(index as usize).is_some_and(|(timer, _)| *timer == id)
                }),
                TimerKind::Idle(slot)
                | TimerKind::QuietClose(slot)
                | TimerKind::Deadline(slot)
                | TimerKind::Connect(slot)
                | TimerKind::Closing(slot) => {
                    self.lifetime(slot).is_some_and(|lifetime| owned_timers(lifetime).any(|timer| timer == id))
                }
                TimerKind::AcceptRetry(slot) => self.table.all().any(|(other, place)| {
                    matches!(&place.source, Source::Listener(listener) if other == slot && listener.retry == Some(id))
                }),
                TimerKind::DatagramRetry(slot) => {
                    self.table.datagram(slot).is_some_and(|record| record.retry == Some(id))
                }
                TimerKind::DrainEnd => drain.state() == DrainState::Draining(id),
            };
            ensure!(has_owner, "the timer {kind:?} belongs to nothing");
        }
        Ok(())
    }

    /// The memory budget resets the connection in this slot: no other connection holds more.
    pub(super) fn check_largest(&self, slot: u32) {
        let memory_of = |slot: u32| self.table.connection(slot).map_or(0, |connection| connection.memory());
        let most = self.table.connections().iter().map(|slot| memory_of(*slot)).max().unwrap_or(0);
        let memory = memory_of(slot);
        assert!(memory == most, "connection {slot} with {memory} bytes is reset, and another one has {most}");
    }

    fn lifetime(&self, slot: u32) -> Option<&Lifetime> {
        self.table.all().find(|(other, _)| *other == slot).and_then(|(_, place)| match &place.source {
            Source::Connection(record) => Some(&record.lifetime),
            _ => None,
        })
    }
}

/// True if a connection that is not open yet waits for the answer of an address.
fn is_waiting(lifetime: &Lifetime) -> bool {
    match lifetime.rare.as_ref().and_then(|rare| rare.opening.as_ref()) {
        Some(Opening::Connecting(connecting)) => connecting.under_way,
        _ => false,
    }
}

fn owned_timers(lifetime: &Lifetime) -> impl Iterator<Item = TimerId> {
    let rare = lifetime.rare.as_deref();
    let connecting = match rare.and_then(|rare| rare.opening.as_ref()) {
        Some(Opening::Connecting(connecting)) => connecting.timer,
        _ => None,
    };
    let others = rare.map(|rare| {
        let quiet = rare.quiet.as_ref().and_then(|quiet| quiet.timer);
        let closing = rare.closing.as_ref().map(|closing| closing.timer);
        let timeouts = rare.timeouts.iter().map(|(timer, _)| Some(*timer));
        timeouts.chain([quiet, closing, rare.deadline])
    });
    lifetime.idle.timer.into_iter().chain(connecting).chain(others.into_iter().flatten().flatten())
}
