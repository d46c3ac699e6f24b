//! The model of one reactor: all that the simulation knows of the reactor.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    ConnId, DatagramOptions, ListenerId, Net, Options, SocketId, SourceId, TimerId,
    socket::simulated::SimulatedSource,
};

use super::session::{Sessions, Timer};

/// How many ids of a reactor are remembered. Among them are stale ones.
const REMEMBERED: usize = 24;

#[derive(Debug)]
pub(super) struct ReactorModel {
    pub(super) options: Options,
    /// The token of the reactor's first slot.
    pub(super) first_token: usize,
    pub(super) connections: Vec<ConnId>,
    pub(super) listeners: Vec<KnownListener>,
    pub(super) timers: Vec<Timer>,
    pub(super) sockets: Vec<KnownSocket>,
    /// How often a datagram was to be sent, and how many were shown.
    pub(super) datagrams_offered: u64,
    pub(super) datagrams_shown: u64,
    pub(super) sources: Vec<KnownSource>,
    /// Ids of sources that are not watched any more. Other sources may have their slots.
    pub(super) stale_sources: Vec<SourceId>,
    /// Ends of connections that have ended cleanly, with their linger time, and the time by which the close must be over.
    pub(super) lingering: Vec<(usize, Duration, Instant)>,
    pub(super) next_tag: u64,
    /// How many drains have begun.
    pub(super) drains: u64,
    /// The counts of the callbacks, to compare with [`crate::Stats`].
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) closed: u64,
    pub(super) detached: u64,
    /// `stop` was called, and no turn has said so.
    pub(super) stop_asked: bool,
    /// Connections that came with bytes of another reactor, whose limits may have been larger.
    pub(super) exempt: Vec<ConnId>,
    /// A drain was under way after the last turn.
    pub(super) was_draining: bool,
    /// A second drain was asked for in the turn with this number, or before it, while these connections were there.
    pub(super) cut_off: Option<(u64, Vec<ConnId>)>,
    /// How many connections ended with undelivered bytes.
    pub(super) undelivered: u64,
    /// A timer that has fired.
    pub(super) fired: Option<TimerId>,
    /// How many sessions the reactor holds.
    pub(super) sessions: usize,
    /// How many turns there were.
    pub(super) turns: u64,
}

#[derive(Debug)]
pub(super) struct KnownListener {
    pub(super) id: ListenerId,
    pub(super) paused: bool,
    pub(super) closed: bool,
    /// The turn in which the listener has accepted last, and how many clients it has accepted in this turn.
    pub(super) accepted_in: u64,
    pub(super) accepted: usize,
}

impl KnownListener {
    pub(super) fn new(id: ListenerId) -> Self {
        Self { id, paused: false, closed: false, accepted_in: u64::MAX, accepted: 0 }
    }

    /// Counts a client. Returns how many there were in this turn.
    pub(super) fn count(&mut self, turn: u64) -> usize {
        if std::mem::replace(&mut self.accepted_in, turn) != turn {
            self.accepted = 0;
        }
        self.accepted += 1;
        self.accepted
    }
}

#[derive(Debug)]
pub(super) struct KnownSocket {
    pub(super) id: SocketId,
    pub(super) at: SocketAddr,
    pub(super) options: DatagramOptions,
    /// The turn in which a datagram was shown last, and how many there were in this turn.
    pub(super) shown_in: u64,
    pub(super) shown: usize,
}

#[derive(Debug)]
pub(super) struct KnownSource {
    pub(super) id: SourceId,
    pub(super) source: SimulatedSource,
}

impl ReactorModel {
    pub(super) fn new(options: Options, first_token: usize) -> Self {
        Self {
            options,
            first_token,
            connections: Vec::new(),
            listeners: Vec::new(),
            timers: Vec::new(),
            sockets: Vec::new(),
            datagrams_offered: 0,
            datagrams_shown: 0,
            sources: Vec::new(),
            stale_sources: Vec::new(),
            lingering: Vec::new(),
            next_tag: 0,
            drains: 0,
            accepted: 0,
            refused: 0,
            closed: 0,
            detached: 0,
            stop_asked: false,
            exempt: Vec::new(),
            was_draining: false,
            cut_off: None,
            undelivered: 0,
            fired: None,
            sessions: 0,
            turns: 0,
        }
    }

    /// The slots of the connections that may be above their limits.
    pub(super) fn exempt_slots(&mut self, net: &Net<Sessions>) -> Vec<u32> {
        self.exempt.retain(|id| net.sessions().any(|(other, _)| other == *id));
        self.exempt.iter().map(|id| id.slot()).collect()
    }

    pub(super) fn remember(&mut self, id: ConnId) {
        if self.connections.len() == REMEMBERED {
            self.connections.remove(0);
        }
        self.connections.push(id);
    }

    /// The source is not watched any more.
    pub(super) fn forget_source(&mut self, id: SourceId) {
        if self.stale_sources.len() == REMEMBERED {
            self.stale_sources.remove(0);
        }
        self.stale_sources.push(id);
    }

    pub(super) fn new_tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }
}
