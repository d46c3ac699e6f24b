//! The operations on a connection.

use proptest::{collection::vec, prelude::*};

use super::super::Readiness;

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Reports an event, whether or not the script expects one.
    Note(Readiness),
    LetRead,
    LetWrite,
    NewTurn,
    /// Sends bytes that a callback gathered, and a large send behind them.
    Send(usize, usize),
    /// Sends bytes that a callback gathered.
    SendGathered(usize),
    Keep(usize),
    TrySend(usize),
    Flush,
    TakeWritable,
    NotifyWritable,
    PauseWhenFull(bool),
    /// Receives into a buffer of the length `room`. The handler then consumes at most `used` bytes of the inbox, and needs
    /// `need` bytes before it is shown input again.
    Receive {
        room: usize,
        used: usize,
        need: usize,
    },
    /// The handler needs this number of bytes. It says so while it is not shown input.
    Need(usize),
    /// Shows held input, if there is any, to a handler that consumes at most this number of bytes.
    ShowHeld(usize),
    Pause,
    Resume,
    ShutdownWrite,
    SendFin,
    Close,
    Abort,
}

pub(super) fn any_sequence() -> impl Strategy<Value = Vec<Op>> {
    let note =
        any::<[bool; 5]>().prop_map(|[readable, writable, short_reads_unreliable, error, peer_closed]| {
            Op::Note(Readiness { readable, writable, short_reads_unreliable, error, peer_closed })
        });
    let need = prop_oneof![3 => Just(0), 2 => 1..80_usize];
    let op = prop_oneof![
        6 => note,
        4 => Just(Op::LetRead),
        6 => Just(Op::LetWrite),
        6 => Just(Op::NewTurn),
        8 => (0..30_usize, 0..40_usize).prop_map(|(gathered, bytes)| Op::Send(gathered, bytes)),
        6 => (1..40_usize).prop_map(Op::SendGathered),
        5 => (0..20_usize).prop_map(Op::Keep),
        6 => (0..40_usize).prop_map(Op::TrySend),
        6 => Just(Op::Flush),
        6 => Just(Op::TakeWritable),
        1 => Just(Op::NotifyWritable),
        1 => any::<bool>().prop_map(Op::PauseWhenFull),
        10 => (1..40_usize, 0..60_usize, need.clone())
            .prop_map(|(room, used, need)| Op::Receive { room, used, need }),
        1 => need.prop_map(Op::Need),
        3 => (0..60_usize).prop_map(Op::ShowHeld),
        1 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => Just(Op::SendFin),
    ];
    // Few operations end the connection, so that most sequences get far. Some operations follow an end, to test that too.
    let end = prop_oneof![
        3 => Just(vec![]),
        2 => Just(vec![Op::Close]),
        1 => Just(vec![Op::ShutdownWrite]),
        1 => Just(vec![Op::Abort]),
        1 => Just(vec![Op::ShutdownWrite, Op::Close, Op::Abort]),
    ];
    (vec(op.clone(), 0..60), end, vec(op, 0..12)).prop_map(|(mut ops, end, more)| {
        ops.extend(end);
        ops.extend(more);
        ops
    })
}
