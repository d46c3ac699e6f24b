//! What a user would write: it cuts its input into frames and answers each.

use proptest::prelude::*;

use crate::{Flow, Options, connection::Phase};

use super::super::{Bench, script::incoming};

/// From so many bytes on a send is not gathered.
pub(super) const LARGE: usize = 8;

/// What the host sends of its own at a time, at the most.
pub(super) const LARGEST_PUSH: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// It answers up to so many frames in one call and does not look at what its sends say.
    SendAll { frames: usize },
    /// It goes on until a send says `Full`.
    StopAtFull,
    /// It keeps its answers until `try_send` takes them.
    TrySend,
}

#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) how: How,
    /// How long a frame is; what is shorter is declined until more comes.
    pub(super) frame: usize,
    /// How often each byte stands in the answer.
    pub(super) answer: usize,
    /// Reading is paused after every so many calls that used something.
    pub(super) pause_every: Option<usize>,
    /// The connection is closed once so many bytes are used.
    pub(super) close_after: Option<usize>,
    /// What follows the peer's end of file: the end of one direction, or of the connection.
    pub(super) shuts_down: bool,

    /// How many bytes of input were used.
    pub(super) used: usize,
    /// What was handed over for sending.
    pub(super) sent: Vec<u8>,
    /// What `try_send` has not taken yet.
    pub(super) unsent: Vec<u8>,
    pub(super) paused: bool,
    pub(super) eof: bool,
    /// It closed the connection before the peer's end.
    pub(super) closed: bool,
    calls: usize,
}

impl Application {
    pub(super) fn new(how: How, frame: usize, answer: usize) -> Self {
        Self {
            how,
            frame,
            answer,
            pause_every: None,
            close_after: None,
            shuts_down: false,
            used: 0,
            sent: Vec::new(),
            unsent: Vec::new(),
            paused: false,
            eof: false,
            closed: false,
            calls: 0,
        }
    }

    pub(super) fn on_data(&mut self, pen: &mut Pen<'_>, input: &[u8]) -> usize {
        assert!(!self.paused && !self.eof && !self.closed, "input that nobody wants");
        self.check_order(input);
        let mut frames = input.chunks_exact(self.frame);
        let limit = if let How::SendAll { frames } = self.how { frames } else { usize::MAX };
        let mut used = 0;
        for frame in frames.by_ref().take(limit) {
            used += self.frame;
            if self.reply(pen, frame) == Flow::Full && self.how == How::StopAtFull {
                break;
            }
        }
        self.used += used;
        if self.close_after.is_some_and(|after| self.used >= after) {
            pen.bench.connection.close(false);
            self.closed = true;
        }
        // A pause at every look at half a frame would be resumed and paused for ever.
        self.calls += usize::from(used > 0);
        if used > 0 && self.pause_every.is_some_and(|every| self.calls.is_multiple_of(every)) {
            pen.bench.connection.pause();
            self.paused = true;
        }
        used
    }

    pub(super) fn on_eof(&mut self, pen: &mut Pen<'_>) {
        assert!(!self.eof && !self.paused && !self.closed);
        self.eof = true;
        let left = pen.bench.connection.inbox().unconsumed().to_vec();
        assert!(left.len() < self.frame, "whole frames were never shown");
        self.check_order(&left);
        self.used += left.len();
        self.reply(pen, &left);
        self.end_if_done(pen);
    }

    pub(super) fn on_writable(&mut self, pen: &mut Pen<'_>) {
        assert!(!self.closed, "a callback after close()");
        assert!(pen.bench.connection.queued() < pen.bench.limits.low_water);
        self.pump(pen);
        self.end_if_done(pen);
    }

    /// `bytes` were handed over; they are lost only with the connection.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }

    /// By how much one callback, or one send of the host, can pass the high water mark at the most.
    pub(super) fn largest_answer(&self, limits: &Options) -> usize {
        let used = match self.how {
            How::SendAll { frames } => (frames * self.frame).min(limits.max_inbox),
            How::StopAtFull => self.frame,
            How::TrySend => 0,
        };
        LARGEST_PUSH.max(used * self.answer)
    }

    fn check_order(&self, input: &[u8]) {
        let expected = (self.used..).map(incoming);
        assert!(input.iter().copied().zip(expected).all(|(a, b)| a == b), "input is not in order");
    }

    fn reply(&mut self, pen: &mut Pen<'_>, frame: &[u8]) -> Flow {
        let answer: Vec<u8> = frame.iter().flat_map(|byte| vec![*byte; self.answer]).collect();
        if self.how == How::TrySend {
            self.unsent.extend(answer);
            self.pump(pen);
            return Flow::Open;
        }
        if pen.bench.connection.takes_sends() {
            self.sent(&answer);
        }
        pen.send_all(&answer)
    }

    fn pump(&mut self, pen: &mut Pen<'_>) {
        while !self.unsent.is_empty() && pen.bench.connection.takes_sends() {
            match pen.bench.try_send(&self.unsent) {
                Ok(n) => self.sent.extend(self.unsent.drain(..n)),
                Err(_) => return,
            }
        }
    }

    fn end_if_done(&mut self, pen: &mut Pen<'_>) {
        if !self.eof || !self.unsent.is_empty() {
            return;
        }
        if self.shuts_down {
            pen.bench.connection.shutdown_write();
        } else {
            pen.bench.connection.close(false);
        }
    }
}

pub(super) fn any_kind() -> impl Strategy<Value = Application> {
    let how = prop_oneof![
        2 => (1..9_usize).prop_map(|frames| How::SendAll { frames }),
        2 => Just(How::StopAtFull),
        1 => Just(How::TrySend),
    ];
    let rarely = |from: usize, to: usize| prop::option::weighted(0.25, from..to);
    (how, 1..30_usize, 1..6_usize, rarely(1, 6), rarely(0, 200), any::<bool>()).prop_map(
        |(how, frame, answer, pause_every, close_after, shuts_down)| Application {
            pause_every,
            close_after,
            shuts_down,
            ..Application::new(how, frame, answer)
        },
    )
}

/// What a callback sends with: `Shared::send` and what belongs to it.
pub(super) struct Pen<'a> {
    pub(super) bench: &'a mut Bench,
    pub(super) gathered: &'a mut Vec<u8>,
}

impl Pen<'_> {
    fn send_all(&mut self, bytes: &[u8]) -> Flow {
        let Bench { connection, limits, .. } = &self.bench;
        if !connection.takes_sends() {
            assert_ne!(connection.phase(), Phase::Lingering, "there is no session any more");
            return Flow::Gone;
        }
        let small = bytes.len() < LARGE && self.gathered.len() + bytes.len() < limits.high_water;
        if small && connection.queued() == 0 && connection.has_budget(limits) {
            self.gathered.extend_from_slice(bytes);
            return Flow::Open;
        }
        let flow = self.bench.send_behind(self.gathered, bytes);
        self.gathered.clear();
        flow
    }
}
