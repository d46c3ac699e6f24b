//! Tests of whole turns, as the reactor makes them, with an application on one side and a scripted peer on the other.
//!
//! The events of the peer come as the edges of a kernel do: once for each change. So a connection that forgets an event
//! stalls here, and a connection that asks for a turn without having work spins.

mod application;
mod world;

use proptest::prelude::*;

use super::{script::reason_of, *};
use application::{Application, How, Pen};
use world::World;

/// A reactor with one connection.
struct Loop {
    bench: Bench,
    application: Application,
    scratch: Vec<u8>,
    gathered: Vec<u8>,
    turn: u32,
    written_before_turn: usize,
    /// True if the connection is in the queue of connections with work.
    queued: bool,
    /// True if bytes were sent to the connection from outside of its callbacks.
    touched: bool,
    /// True if a write returned ENOBUFS and a timer has to repeat the write.
    timer: bool,
    why: Option<CloseKind>,
    /// True if the socket is closed. The session may have ended long before.
    dropped: bool,
}

impl Loop {
    fn new(script: Script, drains: bool, limits: Options, application: Application) -> Self {
        let mut bench = Bench::new(script, drains, limits);
        let first = bench.connection.stream().arrival(0);
        bench.note(Readiness { writable: true, ..first });
        Self {
            scratch: vec![0; bench.limits.read_buffer],
            bench,
            application,
            gathered: Vec::new(),
            turn: 0,
            written_before_turn: 0,
            queued: true,
            touched: false,
            timer: false,
            why: None,
            dropped: false,
        }
    }

    /// Does what `Reactor::settle` does.
    fn turn(&mut self) {
        self.turn += 1;
        self.written_before_turn = self.bench.written().len();
        if std::mem::take(&mut self.queued) && !self.dropped {
            self.serve();
        }
        self.flush_touched();
        self.check();
    }

    /// Does what `Reactor::flush` does at the end of a turn or between two turns.
    fn flush_touched(&mut self) {
        if std::mem::take(&mut self.touched) && !self.dropped {
            self.bench.connection.begin_turn(self.turn);
            self.bench.flush();
            self.queued |= self.bench.is_due();
        }
    }

    fn serve(&mut self) {
        self.bench.connection.begin_turn(self.turn);
        if !self.bench.connection.has_only_input() {
            self.send();
            if self.bench.connection.is_held() && self.bench.connection.wants_input() {
                self.show(0);
            }
        }
        self.receive();
        if !self.bench.connection.is_quiet() {
            self.conclude();
        }
    }

    fn send(&mut self) {
        self.bench.flush();
        if self.bench.take_writable() {
            self.call(|application, pen| application.on_writable(pen));
        }
    }

    fn receive(&mut self) {
        let mut budget = self.bench.limits.read_budget;
        while budget > 0 && self.bench.connection.can_receive(&self.bench.limits) {
            let connection = &mut self.bench.connection;
            let shown = connection.wants_input();
            let limit = connection.receive_limit(&self.bench.limits).min(self.scratch.len());
            match connection.receive(&mut self.scratch[..limit], &mut self.bench.stats) {
                Received::Data(n) => {
                    budget = budget.saturating_sub(n);
                    if shown {
                        self.show(n);
                    } else if connection.phase() == Phase::Failing {
                        connection.hold(&self.scratch[..n]);
                    }
                }
                Received::Eof => {
                    if connection.phase() == Phase::Open {
                        self.call(|application, pen| application.on_eof(pen));
                    }
                    return;
                }
                Received::WouldBlock | Received::Failed => return,
            }
        }
    }

    /// Shows the inbox with the `received` bytes behind it, as long as the handler consumes bytes and wants input.
    fn show(&mut self, received: usize) {
        let mut inbox = self.bench.connection.take_inbox();
        inbox.push(&self.scratch[..received]);
        let held = loop {
            let mut used = 0;
            self.call(|application, pen| used = application.on_data(pen, inbox.unconsumed()));
            inbox.consume(used);
            if inbox.is_empty() {
                break false;
            }
            if !self.bench.connection.wants_input() {
                break true;
            }
            if used == 0 {
                break false;
            }
        };
        self.bench.connection.put_inbox(inbox, held);
        let (connection, limits) = (&self.bench.connection, &self.bench.limits);
        assert!(
            connection.is_held() || connection.inbox().len() < limits.max_inbox,
            "the inbox has reached its limit"
        );
        self.check();
    }

    fn call(&mut self, callback: impl FnOnce(&mut Application, &mut Pen<'_>)) {
        assert!(self.why.is_none(), "a callback after on_close");
        let Self { bench, application, gathered, .. } = self;
        callback(application, &mut Pen { bench, gathered });
        if !gathered.is_empty() {
            bench.send_gathered(gathered);
            gathered.clear();
        }
    }

    fn conclude(&mut self) {
        let connection = &mut self.bench.connection;
        if connection.take_unseen_error()
            && let Some(error) = connection.stream_mut().take_error()
        {
            connection.fail(error);
        }
        if connection.owes_fin() {
            connection.stream_mut().shutdown_write();
            connection.fin_was_sent();
        }
        self.timer |= connection.take_out_of_buffers();
        if connection.is_over() {
            return self.finish();
        }
        self.queued |= self.bench.is_due();
    }

    fn finish(&mut self) {
        let connection = &mut self.bench.connection;
        let lingers = connection.phase() == Phase::Flushing && !connection.is_eof();
        if self.why.is_none() {
            self.why = Some(connection.take_reason().kind());
            self.check_end();
        }
        let connection = &mut self.bench.connection;
        if lingers {
            connection.linger();
            // Input that an event announced before and that was not read yet gets no second event.
            self.queued |= self.bench.is_due();
        } else {
            self.dropped = true;
        }
    }

    /// Checks that all received input was shown, whatever ended the connection.
    fn check_end(&self) {
        let Self { bench, application, .. } = self;
        let script = bench.connection.stream();
        let broken = matches!(bench.connection.phase(), Phase::Failing | Phase::Dropping);
        if broken && !application.closed {
            assert!(script.given - application.used < application.frame, "received input was not shown");
            assert!(!script.has_news(), "input was not read to its end");
        }
    }

    /// Turns until the connection has no work left without an event.
    fn settle_down(&mut self) {
        let (mut idle, mut before) = (0, self.progress());
        while self.queued || self.touched {
            self.turn();
            let after = self.progress();
            // One turn may only find that both directions would block, and another turn may only call `on_writable`.
            idle = if after == before { idle + 1 } else { 0 };
            assert!(idle <= 2, "turns make no progress");
            before = after;
        }
    }

    fn progress(&self) -> (usize, usize, usize, bool, bool) {
        let given = self.bench.connection.stream().given;
        let eof = self.bench.connection.is_eof();
        (self.bench.written().len(), given, self.application.used, eof, self.why.is_some())
    }

    /// Applies one step of the world outside. Returns false if no such step is left.
    fn happen(&mut self, what: World) -> bool {
        if self.dropped {
            return false;
        }
        match what {
            World::Arrival => {
                let event = self.bench.connection.stream_mut().let_read();
                return self.handle(event);
            }
            World::Room => {
                let event = self.bench.connection.stream_mut().let_write();
                return self.handle(event);
            }
            World::Timer => {
                let timer = std::mem::take(&mut self.timer);
                return self.handle(timer.then_some(WRITABLE));
            }
            World::Resume => return self.resume(),
            World::Turn => self.turn(),
            World::SettleDown => self.settle_down(),
            World::Flush => self.flush_touched(),
            World::Push(len) => self.push(len),
        }
        false
    }

    /// Does what `Reactor::handle` does.
    fn handle(&mut self, event: Option<Readiness>) -> bool {
        // The kernel makes no event for room if no write has returned `WouldBlock` before.
        if let Some(event) = event.filter(|event| event.readable || event.writable) {
            self.bench.note(event);
            self.queued = true;
        }
        event.is_some()
    }

    fn resume(&mut self) -> bool {
        if !self.application.paused || self.bench.connection.phase() > Phase::Flushing {
            return false;
        }
        self.application.paused = false;
        self.bench.connection.resume();
        self.queued = true;
        true
    }

    /// Sends bytes of the host, unless the host has to wait.
    fn push(&mut self, len: usize) {
        let queued = self.bench.connection.queued();
        if self.why.is_some()
            || !self.bench.connection.takes_sends()
            || queued >= self.bench.limits.high_water
        {
            return;
        }
        let bytes = vec![b'!'; len];
        self.bench.connection.begin_turn(self.turn);
        let small = len < application::LARGE && queued + len < self.bench.limits.high_water;
        self.application.sent(&bytes);
        if small {
            self.bench.keep(&bytes)
        } else {
            self.bench.send(&bytes)
        };
        self.touched = true;
    }

    fn check(&self) {
        let Self { bench, application, .. } = self;
        let (limits, queued) = (&bench.limits, bench.connection.queued());
        assert!(application.sent.starts_with(bench.written()), "the bytes are not written in order");
        assert!(bench.connection.inbox().len() <= limits.max_inbox);
        assert!(queued < limits.high_water + application.largest_answer(limits));
        assert!(bench.written().len() - self.written_before_turn <= limits.write_budget);
    }

    /// Applies all steps of the world that are left, one at a time.
    fn run_to_the_end(&mut self) {
        loop {
            self.settle_down();
            let something = [World::Room, World::Timer, World::Resume, World::Arrival];
            if !something.into_iter().any(|what| self.happen(what)) {
                return;
            }
        }
    }

    /// Checks the outcome after all steps of the world.
    fn check_all_came(&self) {
        let Self { bench, application, .. } = self;
        let script = bench.connection.stream();
        let over = self.why.is_some() && script.was_read_to_the_end();
        assert!(self.dropped || !over, "the connection lingers although the peer has ended its side");
        match script.error {
            None => {
                assert!(!script.has_news(), "input was never read");
                assert_eq!(bench.connection.queued(), 0);
                assert_eq!(bench.written().len(), application.sent.len(), "an answer was not delivered");
                if application.closed {
                    assert!(self.why.is_some());
                    return;
                }
                assert!(script.given - application.used < application.frame, "input was never shown");
                assert!(application.unsent.is_empty());
                assert_eq!(self.why, application.eof.then_some(CloseKind::Eof));
                assert_eq!(application.eof, script.was_read_to_the_end());
            }
            Some(error) if !application.closed && !application.eof => {
                assert_eq!(self.why, Some(reason_of(error)));
            }
            Some(_) => assert!(self.why.is_some()),
        }
    }
}

proptest! {
    #![proptest_config(crate::cases::config())]

    #[test]
    fn all_input_is_answered_in_any_order_of_events(
        reads in generate::reads(),
        writes in generate::writes(),
        tcp in any::<bool>(),
        limits in generate::limits(),
        mut application in application::any_kind(),
        world in world::any_course(),
    ) {
        application.frame = application.frame.min(limits.max_inbox);
        let mut a_loop = Loop::new(Script::new(reads, writes).coalescing(tcp), tcp, limits, application);
        for what in world {
            a_loop.happen(what);
        }
        a_loop.run_to_the_end();
        a_loop.check_all_came();
    }
}

/// Makes a loop over a stream that was reported ready. The application answers `answer` bytes for each byte of input.
fn a_loop(
    reads: impl IntoIterator<Item = Step>,
    writes: impl IntoIterator<Item = Step>,
    how: How,
    answer: usize,
) -> Loop {
    let limits = Options::default().high_water(64).low_water(32).max_inbox(128).read_buffer(128);
    Loop::new(Script::new(reads, writes), false, limits, Application::new(how, 1, answer))
}

#[test]
fn a_pipeline_whose_answers_fill_the_outbox_is_answered_whole() {
    let trickle = (0..2000).flat_map(|_| [Step::WouldBlock, Step::Bytes(7)]);
    let mut a_loop = a_loop([Step::Bytes(100), Step::Zero], trickle, How::StopAtFull, 48);
    a_loop.settle_down();
    assert!(a_loop.bench.connection.is_held(), "the first answers fill the outbox");
    // `check` compares the lengths of inbox and outbox with their limits after each turn.
    a_loop.run_to_the_end();
    a_loop.check_all_came();
    assert_eq!((a_loop.bench.written().len(), a_loop.why), (4800, Some(CloseKind::Eof)));
}

#[test]
fn an_echo_to_a_peer_that_never_reads_stops_reading() {
    let flood = (0..1000).flat_map(|_| [Step::Bytes(100), Step::WouldBlock]);
    let mut a_loop = a_loop(flood, [Step::WouldBlock], How::SendAll { frames: 1 }, 1);
    for _ in 0..1000 {
        a_loop.happen(World::Arrival);
        a_loop.settle_down();
    }
    assert!(
        a_loop.bench.connection.stream().given <= 64 + 128,
        "more input was received than the inbox and the outbox hold"
    );
    assert_eq!(a_loop.bench.written(), b"");
    a_loop.run_to_the_end();
    a_loop.check_all_came();
    assert_eq!(a_loop.bench.written(), incoming_bytes(0, 100_000));
}

#[test]
fn a_connection_at_rest_asks_for_no_turn() {
    let mut a_loop = a_loop([Step::Bytes(10)], [], How::SendAll { frames: 10 }, 1);
    a_loop.settle_down();
    assert_eq!(a_loop.bench.written(), incoming_bytes(0, 10));
    assert!(a_loop.turn <= 2, "{} turns for one message", a_loop.turn);
    assert!(!a_loop.bench.is_due());
}
