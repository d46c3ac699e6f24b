//! An application as a user would write it: it cuts its input into frames and answers each frame.

use proptest::prelude::*;

use crate::{Flow, Options, connection::Phase};

use super::super::{Bench, script::incoming};

/// The number of bytes from which a send is not gathered.
pub(super) const LARGE: usize = 8;

/// The largest number of bytes that the host sends at a time.
pub(super) const LARGEST_PUSH: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// The application answers at most this number of frames in one call, and ignores the results of its sends.
    SendAll { frames: usize },
    /// The application answers frames until a send returns `Full`.
    StopAtFull,
    /// The application keeps its answers until `try_send` takes them.
    TrySend,
}

#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) how: How,
    /// The length of a frame. Input that is shorter than a frame is declined until more bytes come.
    pub(super) frame: usize,
    /// The number of times that each byte of a frame stands in the answer.
    pub(super) answer: usize,
    /// The number of calls that consumed bytes after which the application pauses reading.
    pub(super) pause_every: Option<usize>,
    /// The number of consumed bytes after which the application closes the connection.
    pub(super) close_after: Option<usize>,
    /// If true, the application says that it needs a whole frame.
    pub(super) needs_whole_frames: bool,
    /// If true, the application answers the end of file of the peer with `shutdown_write`, and otherwise with `close`.
    pub(super) shuts_down: bool,

    /// The number of bytes of input that were consumed.
    pub(super) used: usize,
    /// The bytes that were handed over for sending.
    pub(super) sent: Vec<u8>,
    /// The bytes that `try_send` has not taken yet.
    pub(super) unsent: Vec<u8>,
    pub(super) paused: bool,
    pub(super) eof: bool,
    /// True if the application closed the connection before the end of file of the peer.
    pub(super) closed: bool,
    calls: usize,
    /// The number of bytes that the application said it needs.
    need: usize,
}

impl Application {
    pub(super) fn new(how: How, frame: usize, answer: usize) -> Self {
        Self {
            how,
            frame,
            answer,
            pause_every: None,
            close_after: None,
            needs_whole_frames: false,
            shuts_down: false,
            used: 0,
            sent: Vec::new(),
            unsent: Vec::new(),
            paused: false,
            eof: false,
            closed: false,
            calls: 0,
            need: 0,
        }
    }

    pub(super) fn on_data(&mut self, pen: &mut Pen<'_>, input: &[u8]) -> usize {
        assert!(
            !self.paused && !self.eof && !self.closed,
            "on_data was called while paused, after the end of file, or after close()"
        );
        assert!(input.len() >= std::mem::take(&mut self.need), "fewer bytes were shown than are needed");
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
        if self.needs_whole_frames {
            self.need = self.frame;
            pen.bench.connection.need(self.need);
        }
        if self.close_after.is_some_and(|after| self.used >= after) {
            pen.bench.connection.close(false);
            self.closed = true;
        }
        // Calls that consume nothing do not count: a pause after each call with half a frame would be followed by a resume
        // and a pause for ever.
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

    /// Records that `bytes` were handed over for sending. The connection may lose these bytes only when it ends.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }

    /// Returns the largest number of bytes by which one callback, or one send of the host, can pass the high water mark.
    pub(super) fn largest_answer(&self, limits: &Options) -> usize {
        let used = match self.how {
            How::SendAll { frames } => (frames * self.frame).min(limits.inbox_limit()),
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
    (how, 1..60_usize, 1..6_usize, rarely(1, 6), rarely(0, 200), any::<[bool; 2]>()).prop_map(
        |(how, frame, answer, pause_every, close_after, [needs_whole_frames, shuts_down])| Application {
            pause_every,
            close_after,
            needs_whole_frames,
            shuts_down,
            ..Application::new(how, frame, answer)
        },
    )
}

/// The part of a `Conn` that sends: it gathers small sends as the reactor does.
pub(super) struct Pen<'a> {
    pub(super) bench: &'a mut Bench,
    pub(super) gathered: &'a mut Vec<u8>,
}

impl Pen<'_> {
    fn send_all(&mut self, bytes: &[u8]) -> Flow {
        let Bench { connection, limits, .. } = &self.bench;
        if !connection.takes_sends() {
            assert_ne!(connection.phase(), Phase::Lingering, "the session has ended");
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
