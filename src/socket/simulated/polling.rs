//! Registration, and the events of a poll: the edges of epoll, or the rules of mio's portable selectors.

use std::{
    fmt,
    io::{self, ErrorKind},
    ops::Range,
};

use crate::socket::readiness::EventParts;

use super::{
    end::{Armed, Stage},
    network::Network,
    parts::Registration,
};

/// An event, with the parts that mio would report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SimulatedEvent {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) error: bool,
    pub(crate) read_closed: bool,
    pub(crate) write_closed: bool,
    pub(crate) priority: bool,
}

impl EventParts for SimulatedEvent {
    fn token(&self) -> mio::Token {
        mio::Token(self.token)
    }

    fn is_readable(&self) -> bool {
        self.readable
    }

    fn is_writable(&self) -> bool {
        self.writable
    }

    fn is_error(&self) -> bool {
        self.error
    }

    fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    fn is_write_closed(&self) -> bool {
        self.write_closed
    }

    fn is_priority(&self) -> bool {
        self.priority
    }

    fn is_aio(&self) -> bool {
        false
    }

    fn is_lio(&self) -> bool {
        false
    }
}

/// For the trace: the parts that are set.
impl fmt::Display for SimulatedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}:", self.token)?;
        let parts = [
            (self.readable, "readable"),
            (self.writable, "writable"),
            (self.error, "error"),
            (self.read_closed, "read closed"),
            (self.write_closed, "write closed"),
            (self.priority, "priority"),
        ];
        parts.iter().filter(|(is_set, _)| *is_set).try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

impl SimulatedEvent {
    /// The flags of epoll(7), as mio reads them.
    fn of_flags(token: usize, flags: Flags) -> Self {
        let Flags { input, output, error, hang_up, read_hang_up, priority } = flags;
        Self {
            token,
            readable: input || priority,
            writable: output,
            error,
            read_closed: hang_up || (input && read_hang_up),
            write_closed: hang_up || (output && error) || (error && !(input || read_hang_up || priority)),
            priority,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self { token: self.token, ..Self::default() }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    input: bool,
    output: bool,
    error: bool,
    hang_up: bool,
    read_hang_up: bool,
    priority: bool,
}

impl Network {
    /// The events of the registrations under these tokens.
    pub(crate) fn poll(&mut self, tokens: Range<usize>) -> Vec<SimulatedEvent> {
        let candidates: Vec<usize> = if self.conduct.portable {
            self.registered.range(tokens.clone()).map(|(token, _)| *token).collect()
        } else {
            self.edges.range(tokens.clone()).copied().collect()
        };
        let mut events = Vec::new();
        for token in candidates {
            if self.random.chance(self.conduct.late_events) {
                continue;
            }
            self.edges.remove(&token);
            let event = self.event_of(token);
            if !event.is_empty() {
                self.was_reported(token, &event);
                events.push(event);
            }
        }
        if self.random.chance(self.conduct.spurious_events) {
            events.push(self.spurious_event(tokens));
        }
        for index in (1..events.len()).rev() {
            let other = self.random.below(index + 1);
            events.swap(index, other);
        }
        events
    }

    /// True if a poll would report an event.
    pub(crate) fn has_events(&mut self, tokens: Range<usize>) -> bool {
        let Self { registered, edges, conduct, .. } = self;
        let candidates: Vec<usize> = if conduct.portable {
            registered.range(tokens).map(|(token, _)| *token).collect()
        } else {
            edges.range(tokens).copied().collect()
        };
        candidates.into_iter().any(|token| !self.event_of(token).is_empty())
    }

    pub(super) fn event_of(&mut self, token: usize) -> SimulatedEvent {
        let flags = match self.registered.get(&token) {
            Some(Registration::End(end)) => self.flags_of_end(*end),
            Some(Registration::Listener(listener)) => {
                let listener = &self.listeners[*listener];
                let armed = !self.conduct.portable || listener.armed;
                Flags { input: armed && !listener.backlog.is_empty(), ..Flags::default() }
            }
            Some(Registration::Socket(socket)) => {
                let socket = &self.sockets[*socket];
                let armed = if self.conduct.portable { socket.armed } else { Armed::BOTH };
                Flags {
                    input: armed.reads && (!socket.arrived.is_empty() || socket.refused),
                    output: armed.writes && socket.wants_room && socket.has_room(),
                    error: socket.refused,
                    ..Flags::default()
                }
            }
            Some(Registration::Watched(source)) => {
                let source = &self.watched[*source];
                let armed = !self.conduct.portable || source.armed.reads;
                Flags { input: armed && source.unread > 0, error: source.has_error, ..Flags::default() }
            }
            None => Flags::default(),
        };
        SimulatedEvent::of_flags(token, flags)
    }

    /// The rules are those of tcp_poll() in Linux.
    fn flags_of_end(&mut self, end: usize) -> Flags {
        let (unread, has_room) = (self.unread(end), self.has_much_room(end));
        let portable = self.conduct.portable;
        let this = &mut self.ends[end];
        if this.stage == Stage::Connecting {
            return Flags::default();
        }
        let armed = if portable { this.armed } else { Armed::BOTH };
        if !has_room {
            this.awaits_room = true;
        }
        let is_dead = this.was_reset || this.stage == Stage::Failed;
        let reading_ended = this.fin_arrived || is_dead;
        Flags {
            input: armed.reads && (unread > 0 || reading_ended),
            output: armed.writes && (has_room || this.fin_sent || is_dead),
            error: this.error.is_some(),
            hang_up: is_dead || (this.fin_arrived && this.fin_sent),
            read_hang_up: armed.reads && reading_ended,
            priority: !portable && this.mark.is_some(),
        }
    }

    /// The selectors other than epoll disarm what they have reported. mio's selector on poll(2) drops a source with an error or a
    /// hang-up.
    fn was_reported(&mut self, token: usize, event: &SimulatedEvent) {
        if !self.conduct.portable {
            return;
        }
        match self.registered.get(&token) {
            Some(Registration::End(end)) => {
                let armed = &mut self.ends[*end].armed;
                armed.reads &= !event.readable;
                armed.writes &= !event.writable;
            }
            Some(Registration::Listener(listener)) => self.listeners[*listener].armed = false,
            Some(Registration::Socket(socket)) => {
                let armed = &mut self.sockets[*socket].armed;
                armed.reads &= !event.readable;
                armed.writes &= !event.writable;
            }
            // The error of a watched source is no hang-up: it stays registered.
            Some(Registration::Watched(source)) => {
                let source = &mut self.watched[*source];
                (source.armed.reads, source.has_error) = (false, false);
                return;
            }
            None => {}
        }
        if event.error || event.write_closed {
            self.registered.remove(&token);
        }
    }

    /// An event that says nothing true, for a source, or for a slot without a source.
    fn spurious_event(&mut self, tokens: Range<usize>) -> SimulatedEvent {
        let known: Vec<usize> = self.registered.range(tokens.clone()).map(|(token, _)| *token).collect();
        let slot = self.random.below(8);
        let token = if known.is_empty() || self.random.chance(200) {
            tokens.start + slot.min(tokens.len() - 1)
        } else {
            self.random.pick(&known)
        };
        let readable = self.random.chance(500);
        SimulatedEvent {
            token,
            readable,
            writable: !readable || self.random.chance(500),
            ..SimulatedEvent::default()
        }
    }

    /// Something has changed at an end, and a poll is to tell.
    pub(super) fn edge(&mut self, end: usize) {
        if let Some(token) = self.ends[end].token {
            self.edges.insert(token);
        }
    }

    pub(super) fn register_end(&mut self, end: usize, token: usize) -> io::Result<()> {
        self.register(token, Registration::End(end))?;
        let key = self.keys.get(&token).copied();
        let this = &mut self.ends[end];
        if this.token.is_some() {
            self.violate(format_args!("end {end} was registered twice"));
            return Ok(());
        }
        (this.token, this.armed) = (Some(token), Armed::BOTH);
        this.key = this.key.or(key);
        this.eof_read = false; // another reactor reads the end of file again
        self.edges.insert(token);
        Ok(())
    }

    pub(super) fn register(&mut self, token: usize, what: Registration) -> io::Result<()> {
        if self.random.chance(self.conduct.registration_fails) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        self.note(format_args!("{what:?} is registered as {token}"));
        if self.registered.contains_key(&token) {
            self.violate(format_args!("the token {token} was registered for two sources"));
        }
        self.registered.insert(token, what);
        Ok(())
    }

    pub(super) fn deregister_end(&mut self, end: usize) -> io::Result<()> {
        match self.ends[end].token.take() {
            Some(token) => self.deregister(token),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn deregister(&mut self, token: usize) -> io::Result<()> {
        self.edges.remove(&token);
        match self.registered.remove(&token) {
            Some(_) => Ok(()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}
