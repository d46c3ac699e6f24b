//! What can be done with a connection.

use proptest::{collection::vec, prelude::*};

use super::super::Readiness;

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// An event, due or not.
    Note(Readiness),
    LetRead,
    LetWrite,
    NewTurn,
    /// What a callback gathered, and a large send behind it.
    Send(usize, usize),
    /// What a callback gathered.
    SendGathered(usize),
    Keep(usize),
    TrySend(usize),
    Flush,
    TakeWritable,
    NotifyWritable,
    PauseWhenFull(bool),
    /// A read into so many bytes, after which the handler uses so many of what the inbox holds.
    Receive(usize, usize),
    /// Held input, if there is any, is shown to a handler that uses so many bytes of it.
    ShowHeld(usize),
    Pause,
    Resume,
    ShutdownWrite,
    SendFin,
    Close,
    Abort,
}

pub(super) fn any_sequence() -> impl Strategy<Value = Vec<Op>> {
    let note = any::<[bool; 4]>().prop_map(|[readable, writable, short_reads_unreliable, error]| {
        Op::Note(Readiness { readable, writable, short_reads_unreliable, error })
    });
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
        10 => (1..40_usize, 0..60_usize).prop_map(|(room, used)| Op::Receive(room, used)),
        3 => (0..60_usize).prop_map(Op::ShowHeld),
        1 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => Just(Op::SendFin),
    ];
    // Ends are rare, so that most sequences come to something; what follows an end is tried as well.
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
