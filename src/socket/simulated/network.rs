//! The state of the simulated system: its time, what is on its way, and what the programs are known to have sent.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    conduct::Conduct,
    content::Content,
    end::End,
    parts::{DatagramEnd, Listening, Registration, Sending, WatchedEnd},
    random::Random,
};

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) now: Instant,
    /// The draws of the system alone, so that they do not change the draws of handlers.
    pub(crate) random: Random,
    pub(crate) conduct: Conduct,
    pub(super) ends: Vec<End>,
    pub(super) listeners: Vec<Listening>,
    pub(super) sockets: Vec<DatagramEnd>,
    pub(super) datagrams: Vec<Sending>,
    pub(super) watched: Vec<WatchedEnd>,
    on_the_way: BTreeMap<(Instant, u64), Delivery>,
    sequence: u64,
    /// The time at which the present turn, or the last one, has begun.
    pub(super) turn_time: Instant,
    /// The number of the present budgets.
    pub(super) budgets: u64,
    /// Ends of which a direction has ended lately.
    pub(super) ended: Vec<usize>,
    pub(super) pairs: Vec<usize>,
    /// By token.
    pub(super) registered: BTreeMap<usize, Registration>,
    /// Tokens of registrations with an edge that no poll has reported.
    pub(super) edges: BTreeSet<usize>,
    /// The keys of the sessions that the tokens belong to.
    pub(super) keys: BTreeMap<usize, u32>,
    /// By key: what the sending direction of a session carries.
    pub(super) senders: Vec<Sender>,
    /// True while every new descriptor is refused, but for those in `spare`.
    pub(super) exhausted: bool,
    spare: usize,
    /// How many calls of programs there were.
    pub(crate) calls: u64,
    /// How many bytes programs have read.
    pub(crate) bytes_read: u64,
    violation: Option<String>,
    trace: Option<VecDeque<String>>,
}

/// The sending direction of a session.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) content: Content,
    /// How many bytes the reactor has taken from the handler.
    pub(super) handed: u64,
    /// How many of them the system has taken.
    pub(super) written: u64,
}

/// Something that arrives at its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delivery {
    /// Bytes that the program at the end `from` has written.
    Bytes {
        from: usize,
        len: u64,
    },
    Fin {
        from: usize,
    },
    Reset {
        to: usize,
    },
    /// A client asks to be connected.
    Syn {
        client: usize,
    },
    Connected {
        client: usize,
    },
    Refused {
        client: usize,
    },
    Datagram {
        number: usize,
        socket: usize,
        to: SocketAddr,
    },
    /// A datagram has left the buffer of its sender.
    Left {
        socket: usize,
    },
}

/// The smallest buffer of a stream once the faults have ended.
const LEAST_AT_THE_END: u64 = 1000;

/// How many lines of a trace are kept.
const TRACE: usize = 3000;

impl Network {
    pub(crate) fn new(now: Instant, conduct: Conduct, traced: bool) -> Self {
        Self {
            now,
            random: Random::new(0),
            conduct,
            ends: Vec::new(),
            listeners: Vec::new(),
            sockets: Vec::new(),
            datagrams: Vec::new(),
            watched: Vec::new(),
            on_the_way: BTreeMap::new(),
            sequence: 0,
            turn_time: now,
            budgets: 0,
            ended: Vec::new(),
            pairs: Vec::new(),
            registered: BTreeMap::new(),
            edges: BTreeSet::new(),
            keys: BTreeMap::new(),
            senders: Vec::new(),
            exhausted: false,
            spare: 0,
            calls: 0,
            bytes_read: 0,
            violation: None,
            trace: traced.then(VecDeque::new),
        }
    }

    /// Makes a key for the sending direction of a session.
    pub(crate) fn new_key(&mut self) -> u32 {
        let key = self.senders.len() as u32;
        self.senders.push(Sender { content: Content::new(key), handed: 0, written: 0 });
        key
    }

    /// The source of this token belongs to the session with this key, now or once there is one.
    pub(crate) fn name(&mut self, token: usize, key: u32) {
        self.keys.insert(token, key);
        if let Some(Registration::End(end)) = self.registered.get(&token) {
            self.ends[*end].key = Some(key);
        }
    }

    /// The reactor has taken `len` bytes from the handler.
    pub(crate) fn hand(&mut self, key: u32, len: u64) {
        self.senders[key as usize].handed += len;
    }

    pub(crate) fn handed(&self, key: u32) -> u64 {
        self.senders[key as usize].handed
    }

    pub(crate) fn written(&self, key: u32) -> u64 {
        self.senders[key as usize].written
    }

    pub(crate) fn content(&self, key: u32) -> &Content {
        &self.senders[key as usize].content
    }

    /// The bytes that the session `key` sends next are `len` bytes of the session `source`, from the position `from` on.
    pub(crate) fn forward(&mut self, key: u32, source: u32, from: u64, len: u64) {
        let pieces = self.senders[source as usize].content.cut(from, len);
        let sender = &mut self.senders[key as usize];
        sender.content.forward(sender.handed, pieces);
    }

    pub(crate) fn read_clock(&mut self) -> Instant {
        let step = self.random.below(self.conduct.clock_step + 1);
        self.now += Duration::from_micros(step as u64);
        self.now
    }

    /// When the next thing arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    /// Lets the time pass, and delivers what arrives meanwhile.
    pub(crate) fn advance_to(&mut self, end: Instant) {
        while let Some((&(at, sequence), delivery)) = self.on_the_way.first_key_value()
            && at <= end
        {
            let delivery = *delivery;
            self.on_the_way.remove(&(at, sequence));
            self.now = self.now.max(at);
            self.deliver(delivery);
        }
        self.now = self.now.max(end);
    }

    pub(super) fn send_on_the_way(&mut self, at: Instant, delivery: Delivery) {
        self.sequence += 1;
        self.on_the_way.insert((at, self.sequence), delivery);
        if at <= self.now {
            self.advance_to(self.now);
        }
    }

    pub(super) fn latency(&mut self) -> Duration {
        let Self { conduct, random, .. } = self;
        conduct.draw_latency(random)
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.note(format_args!("arrives: {delivery:?}"));
        match delivery {
            Delivery::Bytes { from, len } => self.bytes_arrive(from, len),
            Delivery::Fin { from } => self.fin_arrives(from),
            Delivery::Reset { to } => self.reset_arrives(to),
            Delivery::Syn { client } => self.syn_arrives(client),
            Delivery::Connected { client } => self.client_is_connected(client),
            Delivery::Refused { client } => self.client_is_refused(client),
            Delivery::Datagram { number, socket, to } => self.datagram_arrives(number, socket, to),
            Delivery::Left { socket } => self.datagram_has_left(socket),
        }
    }

    /// One call of a program. Returns true if the call is to fail with `Interrupted`.
    pub(super) fn begin_call(&mut self) -> bool {
        self.calls += 1;
        self.random.chance(self.conduct.interrupted)
    }
}

/// Descriptors.
impl Network {
    /// True if there is a descriptor for a new socket.
    pub(crate) fn takes_descriptor(&mut self) -> bool {
        if !self.exhausted {
            return true;
        }
        let has_one = self.spare > 0;
        self.spare -= usize::from(has_one);
        has_one
    }

    /// All descriptors are taken from now on, or no longer.
    pub(crate) fn change_exhaustion(&mut self) {
        (self.exhausted, self.spare) = (!self.exhausted, 0);
        let exhausted = self.exhausted;
        self.note(format_args!("descriptors are exhausted: {exhausted}"));
    }

    /// Ends the faults, and keeps the rules.
    pub(crate) fn end_faults(&mut self) {
        self.conduct = self.conduct.without_faults();
        self.exhausted = false;
        // A megabyte through a buffer of three bytes would take too many turns.
        for end in 0..self.ends.len() {
            self.ends[end].capacity = self.ends[end].capacity.max(LEAST_AT_THE_END);
            if std::mem::take(&mut self.ends[end].awaits_room) {
                self.edge(end);
            }
        }
    }

    pub(crate) fn gives_descriptor(&mut self) {
        if self.exhausted && !self.random.chance(self.conduct.descriptors_taken) {
            self.spare += 1;
        }
    }
}

/// The results of the checks, and the trace.
impl Network {
    /// A rule is broken. The first violation counts.
    pub(crate) fn violate(&mut self, text: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION: {text}"));
        if self.violation.is_none() {
            self.violation = Some(text.to_string());
        }
    }

    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    pub(crate) fn note(&mut self, text: fmt::Arguments<'_>) {
        if self.violation.is_some() {
            return; // what follows is of no use
        }
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE {
                trace.pop_front();
            }
            trace.push_back(text.to_string());
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default().into()
    }
}
