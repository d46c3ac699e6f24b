//! The parts of the engine that all sources use.

use std::time::{Duration, Instant};

use mio::{Registry, Token};

use crate::{buffer::SharedBlocks, id::TimerId, options::Options, stats::Stats};

use super::{
    callback::Callback,
    clock::{Clock, later},
    drain::Drain,
    memory::MemoryBudget,
    queue::Queue,
    reserve::Reserve,
    source::SlotMeta,
    timer_kind::TimerKind,
    timers::Timers,
};

/// At most so many bytes are gathered while a callback runs.
const GATHER: usize = 64 << 10;

/// The parts that all sources use. Each part keeps its fields private.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) options: Options,
    pub(super) stats: Stats,
    pub(super) clock: Clock,
    pub(super) drain: Drain,
    pub(super) reserve: Reserve,
    pub(super) timers: Timers<TimerKind>,
    /// Timers that were set between turns, with the time after which they fire. They count from the next turn, and until then
    /// they are due.
    waiting: Vec<(TimerId, Duration)>,
    /// The number of turns when the host had the `Net` last.
    host_was_here: u64,
    pub(super) queue: Queue,
    pub(super) callback: Callback,
    pub(super) memory: MemoryBudget,
    pub(super) blocks: SharedBlocks,
    /// True if the system may send files by itself; `None` until the first file.
    pub(super) sends_files: Option<bool>,
    pub(super) registry: Registry,
    first_token: usize,
}

impl Common {
    pub(super) fn new(registry: Registry, first_token: usize, options: Options, base: Instant) -> Self {
        let options = options.checked();
        let mut reserve = Reserve::default();
        reserve.refill();
        Self {
            // Less than high water: the handler has to be told when the outbox reaches it.
            callback: Callback::new(GATHER.min(options.high_water) - 1),
            memory: MemoryBudget::new(options.memory_budget),
            blocks: SharedBlocks::default(),
            sends_files: None,
            options,
            stats: Stats::default(),
            timers: Timers::new(base),
            waiting: Vec::new(),
            host_was_here: u64::MAX,
            clock: Clock::new(base),
            queue: Queue::default(),
            drain: Drain::new(),
            reserve,
            registry,
            first_token,
        }
    }

    /// The slot of a token. A token before the range wraps to a slot far behind all others.
    #[inline]
    pub(super) fn slot_of(&self, token: Token) -> usize {
        token.0.wrapping_sub(self.first_token)
    }

    /// The token under which the source of a slot is registered.
    pub(super) fn token(&self, slot: u32) -> Token {
        Token(self.first_token + slot as usize)
    }

    /// Appends a source to the ready queue unless it is queued already.
    #[inline]
    pub(super) fn queue(&mut self, meta: &mut SlotMeta) {
        self.queue.push(meta);
    }

    pub(super) fn set_timer(&mut self, at: Instant, kind: TimerKind) -> TimerId {
        self.timers.insert(at, kind)
    }

    /// Sets a timer that counts from the present turn, or between turns from the next one.
    pub(super) fn set_timer_after(&mut self, time: Duration, kind: TimerKind) -> TimerId {
        let between_turns = self.host_was_here == self.stats.turns;
        match self.clock.now().filter(|_| !between_turns) {
            Some(now) => self.set_timer(later(now, time), kind),
            None => {
                let Self { timers, waiting, .. } = self;
                if waiting.len() > 64 + 2 * timers.len() {
                    waiting.retain(|(timer, _)| timers.get_mut(*timer).is_some()); // the others were cancelled
                }
                let timer = self.timers.insert(self.clock.base(), kind); // in the past, so that a turn is due
                self.waiting.push((timer, time));
                timer
            }
        }
    }

    /// The host has the `Net`, between turns. It keeps the `Net` until the next turn at most.
    pub(super) fn host_is_here(&mut self) {
        self.host_was_here = self.stats.turns;
    }

    /// The timers that were set between turns count from now.
    pub(super) fn begin_waiting_timers(&mut self, now: Instant) {
        for (timer, time) in self.waiting.drain(..) {
            self.timers.move_to(timer, later(now, time)); // nothing if it was cancelled
        }
    }

    /// Cancels a timer. Returns its kind unless it has fired or was cancelled before.
    pub(super) fn cancel_timer(&mut self, timer: TimerId) -> Option<TimerKind> {
        self.timers.cancel(timer)
    }

    /// A send was not taken, because the connection is closing or gone.
    pub(super) fn count_discarded_send(&mut self) {
        self.stats.sends_discarded += 1;
    }

    /// True while a drain goes on.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_under_way()
    }

    /// The tick of the present turn.
    #[inline]
    pub(super) fn tick(&self) -> u32 {
        self.clock.tick()
    }

    #[inline]
    pub(super) fn exceeds_memory_budget(&self) -> bool {
        self.memory.is_exceeded(self.stats.buffered + self.blocks.held())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_that_are_cancelled_between_turns_own_no_storage() {
        let poll = mio::Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut common = Common::new(registry, 0, Options::default(), Instant::now());
        for tag in 0..10_000 {
            common.host_is_here();
            let timer = common.set_timer_after(Duration::from_secs(1), TimerKind::Handler(tag));
            common.cancel_timer(timer);
        }
        assert!(common.waiting.len() < 1000, "{} timers wait for the next turn", common.waiting.len());
    }
}
