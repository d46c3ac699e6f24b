//! The parameters that are drawn once for each run: the options, and the frequency of each action of the handler.

use std::time::Duration;

use crate::{
    Options,
    socket::simulated::{Conduct, Random},
};

/// The actions of the handler and of the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    SendAll,
    TrySend,
    SendShared,
    SendOwned,
    Write,
    SendFile,
    Forward,
    Broadcast,
    Close,
    Abort,
    ShutdownWrite,
    CloseWhenIdle,
    Pause,
    Resume,
    PauseWhenFull,
    NotifyWritable,
    Need,
    SetTimeout,
    CancelTimeout,
    IdleTimeout,
    Deadline,
    SetTimer,
    CancelTimer,
    Connect,
    Listen,
    CloseListener,
    PauseListener,
    ResumeListener,
    Stop,
    Drain,
    Detach,
    Attach,
    Adopt,
    MoveListener,
    CallFromElsewhere,
    Bind,
    CloseSocket,
    SendDatagram,
    ConnectSocket,
    Watch,
    Unwatch,
    ReadyAgain,
}

/// Each action with its usual weight.
const ACTIONS: &[(Action, u32)] = &[
    (Action::SendAll, 40),
    (Action::TrySend, 10),
    (Action::SendShared, 8),
    (Action::SendOwned, 8),
    (Action::Write, 6),
    (Action::SendFile, 2),
    (Action::Forward, 6),
    (Action::Broadcast, 1),
    (Action::Close, 4),
    (Action::Abort, 1),
    (Action::ShutdownWrite, 3),
    (Action::CloseWhenIdle, 2),
    (Action::Pause, 6),
    (Action::Resume, 12),
    (Action::PauseWhenFull, 3),
    (Action::NotifyWritable, 4),
    (Action::Need, 5),
    (Action::SetTimeout, 4),
    (Action::CancelTimeout, 2),
    (Action::IdleTimeout, 2),
    (Action::Deadline, 1),
    (Action::SetTimer, 3),
    (Action::CancelTimer, 2),
    (Action::Connect, 5),
    (Action::Listen, 2),
    (Action::CloseListener, 1),
    (Action::PauseListener, 1),
    (Action::ResumeListener, 2),
    (Action::Stop, 1),
    (Action::Drain, 1),
    (Action::Detach, 2),
    (Action::Attach, 4),
    (Action::Adopt, 2),
    (Action::MoveListener, 1),
    (Action::CallFromElsewhere, 3),
    (Action::Bind, 4),
    (Action::CloseSocket, 1),
    (Action::SendDatagram, 20),
    (Action::ConnectSocket, 1),
    (Action::Watch, 1),
    (Action::Unwatch, 1),
    (Action::ReadyAgain, 1),
];

/// The actions of handlers and hosts in a run, and their frequencies.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    weights: Vec<(Action, u32)>,
    total: u32,
    /// The largest send.
    pub(super) largest: usize,
    /// How often in a thousand a client is refused.
    pub(super) refuses: u32,
    /// How often in a thousand a callback does something, and then something more.
    pub(super) acts: u32,
    /// How often in a thousand all input is sent on to another connection.
    pub(super) forwards: u32,
    /// The handler cuts its input into frames of so many bytes and answers each of them with so many bytes, until a send
    /// returns `Full`.
    pub(super) answers: Option<(usize, usize)>,
    /// How often in a thousand `on_data` detaches its connection.
    pub(super) detaches: u32,
    /// The host settles now and then before it has passed on all events of a poll.
    pub(super) splits_batches: bool,
    /// How often in a thousand a callback panics.
    pub(super) panics: u32,
    /// The handler consumes little of a long input, and often sends on what a connection has kept.
    pub(super) hoards: bool,
    /// How often in a thousand the host acts after it has passed on the events of a turn, and before the turn.
    pub(super) host_interferes: u32,
}

impl Workload {
    /// Some actions are left out, so that the others come in long rows.
    pub(super) fn draw(random: &mut Random, conduct: &Conduct, options: &[Options]) -> Self {
        let keeps = random.pick(&[1000, 800, 500]);
        let mut weights: Vec<_> = ACTIONS
            .iter()
            .filter(|(action, _)| random.chance(keeps) || *action == Action::SendAll)
            .copied()
            .collect();
        for (_, weight) in &mut weights {
            *weight *= random.pick(&[1, 1, 2, 5]);
        }
        // A run that moves one byte at a time must not have to move a megabyte.
        let grain =
            |options: &Options| options.read_buffer.min(options.read_budget).min(options.write_budget);
        let grain = options.iter().map(grain).min().unwrap_or(1).min(conduct.capacity);
        Self {
            total: weights.iter().map(|(_, weight)| weight).sum(),
            weights,
            largest: random.pick(&[20, 2000, 20_000, 1 << 20]).min(grain.saturating_mul(100)),
            refuses: random.pick(&[0, 0, 0, 200]),
            acts: random.pick(&[200, 500, 800]),
            forwards: random.pick(&[0, 0, 200, 900]),
            answers: random.chance(400).then(|| (1 + random.below(60), random.size(200))),
            detaches: random.pick(&[0, 0, 30]),
            splits_batches: random.chance(300),
            panics: random.pick(&[0, 0, 0, 10]),
            hoards: false,
            host_interferes: 0,
        }
    }

    pub(super) fn action(&self, random: &mut Random) -> Action {
        if self.hoards && random.chance(200) {
            return Action::Forward;
        }
        let mut at = random.below(self.total as usize) as u32;
        for (action, weight) in &self.weights {
            if at < *weight {
                return *action;
            }
            at -= weight;
        }
        Action::SendAll
    }
}

/// Options from the smallest ones to the defaults.
pub(super) fn draw_options(random: &mut Random) -> Options {
    let milliseconds = Duration::from_millis;
    if random.chance(150) {
        return Options::default().read_buffer(1 << 16);
    }
    let options = Options::default()
        .high_water(random.pick(&[1, 2, 100, 1000, 64 << 10]))
        .low_water(random.pick(&[0, 1, 50, 1000, 32 << 10]))
        .max_outbox(random.pick(&[50, 5000, 100_000, 16 << 20, 16 << 20]))
        .max_inbox(random.pick(&[1, 10, 1000, 20_000, 256 << 10]))
        .memory_budget(random.pick(&[2000, 30_000, 300_000, 1 << 30, 1 << 30, 1 << 30]))
        .read_buffer(random.pick(&[1, 7, 100, 4096, 1 << 16]))
        .read_budget(random.pick(&[1, 100, 256 << 10]))
        .write_budget(random.pick(&[1, 100, 5000, 1 << 20]))
        .turn_budget(random.pick(&[1, 1000, usize::MAX, usize::MAX]))
        .accept_budget(random.pick(&[1, 2, 256]))
        .max_connections(random.pick(&[1, 3, usize::MAX, usize::MAX]))
        .idle_timeout(random.pick(&[None, None, Some(milliseconds(20)), Some(milliseconds(3000))]))
        .linger(milliseconds(random.pick(&[0, 10, 2000])))
        .close_timeout(milliseconds(random.pick(&[10, 1000, 30_000])))
        .drain_quiet(milliseconds(random.pick(&[1, 250])));
    options.checked()
}

/// In some runs, the memory budget is exceeded again and again, and no other limit comes first. These draws have a source of
/// their own, so that all other runs stay as they are.
pub(super) fn lack_memory(options: &mut [Options], seed: u64) {
    let mut random = Random::new(seed ^ 0x3C3C);
    if !random.chance(150) {
        return;
    }
    for options in options {
        let budget = random.pick(&[300, 1000, 4000]);
        *options = options.clone().memory_budget(budget).high_water(64 << 10).max_outbox(16 << 20).checked();
    }
}

/// In some runs, connections keep very little. See [`lack_memory`] for the draws.
pub(super) fn lack_room(options: &mut [Options], seed: u64) {
    let mut random = Random::new(seed ^ 0x3E3E);
    if !random.chance(50) {
        return;
    }
    for options in options {
        let tiny = options.clone().max_outbox(random.pick(&[1, 2, 10, 100]));
        let tiny = if random.chance(300) { tiny.memory_budget(random.pick(&[1, 10, 100])) } else { tiny };
        *options = tiny.checked();
    }
}

/// In some runs, the host acts between the events and the turn, and channels are small. Returns how often the host acts, and
/// the capacity of the channels. See [`lack_memory`] for the draws.
pub(super) fn interfere(seed: u64) -> (u32, usize) {
    let mut random = Random::new(seed ^ 0x3F3F);
    let interferes = if random.chance(100) { random.pick(&[20, 200]) } else { 0 };
    let capacity = if random.chance(100) { 1 + random.below(4) } else { usize::MAX };
    (interferes, capacity)
}

/// In some runs, connections keep much input, and send it on later: see [`Workload::hoards`]. Returns true in such a run.
pub(super) fn hoard(options: &mut [Options], conduct: &mut Conduct, seed: u64) -> bool {
    let mut random = Random::new(seed ^ 0x3D3D);
    let hoards = random.chance(100);
    if hoards {
        conduct.capacity = conduct.capacity.max(70_000);
        for options in options {
            let roomy = options.clone().max_inbox(256 << 10).read_buffer(1 << 16);
            *options = roomy.read_budget(256 << 10).write_budget(1 << 20).checked();
        }
    }
    hoards
}
