//! What all sources of one reactor share, whatever the type of their sessions.

use std::{
    io,
    time::{Duration, Instant},
};

use mio::{Registry, Token};
use socket2::{Domain, Socket, Type};

use crate::{
    buffer::Staging,
    conn::ConnId,
    flow::Flow,
    options::Options,
    source::connection::Connection,
    stats::Stats,
    stream::Stream,
    timers::{TimerId, Timers},
};

/// A single send of this many bytes is handed to the kernel as it stands: copying it would cost more than the
/// system call that gathering it could save.
const LARGE_SEND: usize = 8 << 10;

/// How much is gathered at the most while a callback runs.
const GATHER: usize = 64 << 10;

/// Which slot it is, whose it is now, and what is planned for it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// The slot of the listener it came in by; [`NO_SLOT`] if none.
    pub(crate) listener: u32,
    queued: bool,
    touched: bool,
    /// The idle timeout was set and its timer was not, yet: a time asked for between turns counts from the next one.
    pub(crate) arm_idle: bool,
}

/// No slot has this number: one less is the most there can be. An `Option` would cost each connection four bytes.
pub(crate) const NO_SLOT: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) stats: Stats,
    pub(crate) registry: Registry,
    pub(crate) first_token: usize,
    /// How many slots the tokens allow.
    pub(crate) capacity: usize,
    pub(crate) timers: Timers<Alarm>,
    /// The time of the present turn, or of the last one; `None` before the first.
    pub(crate) now: Option<Instant>,
    pub(crate) turn: u32,
    /// The generation when the turn began: what is younger came in it.
    pub(crate) turn_began: u32,
    /// `now` in milliseconds since `base`, for what happens too often to note an `Instant`; it wraps.
    pub(crate) tick: u32,
    base: Instant,
    pub(crate) ending: Ending,
    /// The generation when the present drain began: what is younger has not been told of it.
    pub(crate) draining_since: u32,
    /// `run` is to return, and everything stays.
    pub(crate) stop: bool,
    /// Whether one of the two has anything to say: looked at in every turn, so it has to be cheap.
    pub(crate) is_ending: bool,
    /// The slot of the connection whose callback runs, or [`NO_SLOT`]: what it sends is gathered.
    pub(crate) current: u32,
    /// A descriptor to give up when there is no other. A socket, since a duplicate of something would have a descriptor
    /// but no open file of its own, and at ENFILE it is files that are missing.
    pub(crate) reserve: Option<Socket>,
    warned: Option<Instant>,
    /// Listeners that are ready and found every place taken.
    pub(crate) listeners_waiting: Vec<u32>,
    /// Slots whose source is gone; they are reused only after the pass.
    pub(crate) vacated: Vec<u32>,
    gathered: Staging,
    /// What has work to do, in the order in which it was learned.
    pub(crate) queue: Vec<u32>,
    /// Connections that were sent to, other than from their own callback.
    touched: Vec<u32>,
    generation: u32,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alarm {
    /// The handler's, of `Net::set_timer`.
    Timer(u64),
    /// The handler's, of `Conn::set_timeout`. Timers of a connection are cancelled with it, so a slot is enough.
    Timeout {
        slot: u32,
        tag: u64,
    },
    Idle(u32),
    Deadline(u32),
    /// Linger or close timeout of a connection.
    Closing(u32),
    /// ENOBUFS: try again.
    Send(ConnId),
    /// Accepting was exhausted: try again.
    Accept(u32),
    /// The grace of a drain is over.
    Drain,
}

/// How far the end of the reactor has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    No,
    /// `drain` was called; the turn has still to begin it.
    Asked(Duration),
    /// The timer is the end of the grace.
    Draining(TimerId),
    /// The grace is over, or nobody wants to wait for it.
    CutOff,
}

impl Shared {
    /// `base`: the time from which all others count.
    pub(crate) fn new(
        registry: Registry,
        first_token: usize,
        capacity: usize,
        options: Options,
        base: Instant,
    ) -> Self {
        let options = options.checked();
        Self {
            // Less than high water: a handler has to be told when it gets there.
            gathered: Staging::new(GATHER.min(options.high_water).min(options.max_outbox).saturating_sub(1)),
            options,
            stats: Stats::default(),
            registry,
            first_token,
            capacity,
            timers: Timers::new(base),
            now: None,
            turn: 0,
            turn_began: 0,
            tick: 0,
            base,
            ending: Ending::No,
            draining_since: 0,
            stop: false,
            is_ending: false,
            current: NO_SLOT,
            reserve: None,
            warned: None,
            listeners_waiting: Vec::new(),
            vacated: Vec::new(),
            queue: Vec::new(),
            touched: Vec::new(),
            generation: 0,
        }
    }

    /// What a callback that panicked has left behind must not reach another connection.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.now = Some(now);
        if !self.timers.is_empty() {
            self.set_tick(now);
        }
        self.turn = self.turn.wrapping_add(1);
        self.turn_began = self.generation;
        self.stats.turns += 1;
        self.current = NO_SLOT;
        self.gathered.clear();
    }

    /// Only idle timeouts look at the tick, so it stands still until there is one.
    pub(crate) fn set_tick(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.base);
        self.tick = (since.as_secs() as u32).wrapping_mul(1000).wrapping_add(since.subsec_millis());
    }

    pub(crate) fn new_head(&mut self, slot: usize) -> Head {
        self.generation = self.generation.wrapping_add(1);
        let slot = u32::try_from(slot).expect("the capacity fits a u32");
        Head {
            slot,
            generation: self.generation,
            listener: NO_SLOT,
            queued: false,
            touched: false,
            arm_idle: false,
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn token(&self, slot: u32) -> Token {
        Token(self.first_token + slot as usize)
    }

    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.ending, Ending::Draining(_) | Ending::CutOff)
    }

    /// Takes the reserve, if it was given up and can be had again.
    pub(crate) fn keep_reserve(&mut self) {
        if self.reserve.is_none() {
            self.reserve = Socket::new(Domain::IPV4, Type::DGRAM, None).ok();
        }
    }

    /// The time of the turn, for what happens only in one.
    pub(crate) fn turn_time(&self) -> Instant {
        self.now.expect("a turn begins with its time")
    }

    /// Warns at most once a second: what a crowd of clients brings about must not fill the disk as well.
    pub(crate) fn warn_rarely(&mut self, text: std::fmt::Arguments<'_>) {
        const PAUSE: Duration = Duration::from_secs(1);
        let is_due = |last: Instant| self.now.is_none_or(|now| now.saturating_duration_since(last) >= PAUSE);
        if self.warned.is_none_or(is_due) {
            self.warned = self.now;
            log::warn!(target: "tidegate", "{text}");
        }
    }

    /// Puts a source into the queue, once.
    pub(crate) fn queue(&mut self, head: &mut Head) {
        if !head.queued {
            head.queued = true;
            self.queue.push(head.slot);
        }
    }

    /// The same for what a handler asked for: the connection whose callback runs is being served as it is.
    pub(crate) fn plan(&mut self, head: &mut Head) {
        if self.current != head.slot {
            self.queue(head);
        }
    }

    /// Notes that a connection has something to send when the pass is over.
    pub(crate) fn touch(&mut self, head: &mut Head) {
        if !head.touched {
            head.touched = true;
            self.touched.push(head.slot);
        }
    }

    pub(crate) fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    pub(crate) fn take_touched(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.touched)
    }

    /// Gives the emptied list back, so that its storage serves again.
    pub(crate) fn put_touched(&mut self, list: Vec<u32>) {
        debug_assert!(list.is_empty() && self.touched.is_empty(), "no callback is made meanwhile");
        self.touched = list;
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty()
            || !self.touched.is_empty()
            || (self.is_ending && self.has_to_end())
            || (!self.vacated.is_empty() && !self.listeners_waiting.is_empty())
    }

    fn has_to_end(&self) -> bool {
        self.stop || !matches!(self.ending, Ending::No | Ending::Draining(_))
    }

    /// Takes the ending a step further.
    pub(crate) fn set_ending(&mut self, ending: Ending) {
        self.ending = ending;
        self.is_ending = true;
    }

    pub(crate) fn set_stop(&mut self) {
        self.stop = true;
        self.is_ending = true;
    }

    /// Takes what the present callback's own connection is sent, to go out when the callback has returned. `false`:
    /// that is not what this is, or something stands against it.
    #[inline]
    pub(crate) fn gather(&mut self, connection: &Connection<Stream>, head: &Head, bytes: &[u8]) -> bool {
        self.current == head.slot
            && bytes.len() < LARGE_SEND
            && connection.takes_sends()
            && connection.queued() == 0
            && connection.has_budget(&self.options)
            && self.gathered.push(bytes)
    }

    /// Sends what is not gathered.
    pub(crate) fn send(
        &mut self,
        connection: &mut Connection<Stream>,
        head: &mut Head,
        bytes: &[u8],
    ) -> Flow {
        if !connection.takes_sends() {
            self.stats.sends_discarded += 1;
            return Flow::Gone;
        }
        if self.current != head.slot {
            return self.send_to_other(connection, head, bytes);
        }
        let flow = connection.send(self.gathered.bytes(), bytes, &self.options, &mut self.stats);
        self.gathered.clear();
        flow
    }

    /// A send from outside the connection's own callback: small ones wait for the end of the pass.
    fn send_to_other(&mut self, connection: &mut Connection<Stream>, head: &mut Head, bytes: &[u8]) -> Flow {
        self.touch(head);
        connection.enter_turn(self.turn);
        let small = bytes.len() < LARGE_SEND && connection.queued() + bytes.len() < self.options.high_water;
        if small {
            connection.keep(bytes, &self.options, &mut self.stats)
        } else {
            connection.send(&[], bytes, &self.options, &mut self.stats)
        }
    }

    /// `send(2)` to a connection, behind whatever it has gathered.
    pub(crate) fn try_send(
        &mut self,
        connection: &mut Connection<Stream>,
        head: &mut Head,
        bytes: &[u8],
    ) -> io::Result<usize> {
        if !connection.takes_sends() {
            self.stats.sends_discarded += 1;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        connection.enter_turn(self.turn);
        if self.current == head.slot {
            self.send_gathered(connection);
        } else {
            self.touch(head);
        }
        connection.try_send(bytes, &self.options, &mut self.stats)
    }

    /// What the present connection gathered goes out: its callback has returned, or something must follow it.
    #[inline(always)]
    pub(crate) fn send_gathered(&mut self, connection: &mut Connection<Stream>) {
        if !self.gathered.is_empty() {
            connection.send_gathered(self.gathered.bytes(), &self.options, &mut self.stats);
            self.gathered.clear();
        }
    }

    /// Brings the books up to date after the buffers of a connection may have changed; `true` if all of them together
    /// are now too much.
    pub(crate) fn count_memory(&mut self, connection: &mut Connection<Stream>) -> bool {
        connection.count_memory(&mut self.stats.buffered);
        self.stats.buffered > self.options.memory_budget
    }

    /// How many bytes the connection in a slot has gathered.
    pub(crate) fn gathered(&self, slot: u32) -> usize {
        if self.current == slot { self.gathered.len() } else { 0 }
    }
}

impl Head {
    pub(crate) fn id(&self) -> ConnId {
        ConnId { slot: self.slot, generation: self.generation }
    }

    /// Whether it was made between two readings of [`Shared::generation`], which may have wrapped.
    pub(crate) fn is_between(&self, before: u32, after: u32) -> bool {
        let age = self.generation.wrapping_sub(before);
        age > 0 && age <= after.wrapping_sub(before)
    }

    pub(crate) fn is_queued(&self) -> bool {
        self.queued
    }

    pub(crate) fn left_queue(&mut self) {
        self.queued = false;
    }

    /// Whether it has something to send when the pass is over.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }

    pub(crate) fn left_touched(&mut self) {
        self.touched = false;
    }
}
