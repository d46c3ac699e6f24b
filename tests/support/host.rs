//! A reactor in a poll of the test. The test decides which events the reactor gets, and when.

use std::{
    net::SocketAddr,
    ops::RangeBounds,
    time::{Duration, Instant},
};

use mio::{Events, Poll, event::Event};
use tidegate::{Handler, Net, Options, Reactor};

use super::{PATIENCE, Turns, descriptors::raise_limit, listen, turn_until, turn_until_quiet};

/// A poll of the test.
pub struct Host {
    pub poll: Poll,
    events: Events,
}

impl Host {
    pub fn new() -> Self {
        raise_limit();
        Self { poll: Poll::new().unwrap(), events: Events::with_capacity(64) }
    }

    /// Makes a reactor in this poll, with a listener.
    pub fn listening<S>(
        &self,
        tokens: impl RangeBounds<usize>,
        options: Options,
    ) -> (Reactor<S>, SocketAddr) {
        let mut reactor = Reactor::new(self.poll.registry(), tokens, options).unwrap();
        let at = listen(reactor.net());
        (reactor, at)
    }

    /// Waits until events of `tokens` different tokens came, and hands none of them to a reactor.
    pub fn collect(&mut self, tokens: usize) -> Vec<Event> {
        let (end, mut all) = (Instant::now() + PATIENCE, Vec::<Event>::new());
        loop {
            let mut seen: Vec<_> = all.iter().map(Event::token).collect();
            seen.sort();
            seen.dedup();
            if seen.len() >= tokens {
                return all;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "too few sources have events: {all:?}");
            self.poll.poll(&mut self.events, Some(left)).unwrap();
            all.extend(self.events.iter().cloned());
        }
    }

    /// Polls once without waiting, and hands the events to the reactor without a turn.
    pub fn poll_once<S>(&mut self, reactor: &mut Reactor<S>) {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        self.events.iter().for_each(|event| assert!(reactor.handle(event)));
    }

    /// Turns until `done` returns true, and passes `now` to each turn.
    pub fn turn_until<S, H: Handler<Session = S>>(
        &mut self,
        reactor: &mut Reactor<S>,
        handler: &mut H,
        now: Instant,
        done: impl FnMut(&H, &mut Net<S>) -> bool,
    ) {
        turn_until(&mut AtTime { host: self, reactor, now }, handler, done);
    }

    /// Turns until no event comes and the reactor has nothing left to do.
    pub fn turn_until_quiet<S>(
        &mut self,
        reactor: &mut Reactor<S>,
        handler: &mut impl Handler<Session = S>,
        now: Instant,
    ) {
        turn_until_quiet(&mut AtTime { host: self, reactor, now }, handler);
    }
}

/// A reactor whose time stands still. So no timer fires while the poll sleeps.
pub(super) struct AtTime<'a, S> {
    pub host: &'a mut Host,
    pub reactor: &'a mut Reactor<S>,
    pub now: Instant,
}

impl<S> Turns<S> for AtTime<'_, S> {
    fn net(&mut self) -> &mut Net<S> {
        self.reactor.net()
    }

    fn make_turn<H: Handler<Session = S>>(&mut self, handler: &mut H, wait: Duration) -> bool {
        let is_due = is_due(self.reactor, self.now);
        let Host { poll, events } = self.host;
        poll.poll(events, Some(if is_due { Duration::ZERO } else { wait })).unwrap();
        if events.is_empty() && !is_due {
            return false;
        }
        events.iter().for_each(|event| assert!(self.reactor.handle(event)));
        self.reactor.settle(handler, self.now);
        true
    }
}

/// True if the reactor asks for a turn now.
pub fn is_due<S>(reactor: &Reactor<S>, now: Instant) -> bool {
    reactor.timeout(now).is_some_and(|wait| wait.is_zero())
}
