//! Tests of the typed channels from other threads into a loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SendError, TryRecvError, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use mio::{Token, Waker};
use tidegate::{EventLoop, Options, Receiver, Sender};

use crate::support::{Actor, Call, Guest, PATIENCE, next, within};

fn event_loop() -> EventLoop {
    EventLoop::new(Options::default()).unwrap()
}

fn turn(event_loop: &mut EventLoop, actor: &mut Actor<'_>) -> bool {
    event_loop.turn(actor, Some(Duration::ZERO)).unwrap().more
}

/// Blocks in `send` on a full channel, and returns the result of the send.
fn blocked(sender: &Sender<u32>) -> mpsc::Receiver<Result<(), SendError<u32>>> {
    let sender = sender.clone();
    let is_running = Arc::new(AtomicBool::new(false));
    let runs = Arc::clone(&is_running);
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        runs.store(true, Ordering::Release);
        done.send(sender.send(7))
    });
    while !is_running.load(Ordering::Acquire) {
        thread::yield_now();
    }
    result
}

#[test]
fn messages_of_several_threads_arrive_once_and_each_threads_in_order() {
    const THREADS: u32 = 6;
    const MESSAGES: u32 = 5000;
    for capacity in [None, Some(1), Some(7)] {
        let mut event_loop = event_loop();
        let (sender, receiver) = match capacity {
            None => event_loop.channel(),
            Some(capacity) => event_loop.bounded_channel(capacity),
        };
        for thread in 0..THREADS {
            let sender = sender.clone();
            thread::spawn(move || {
                for message in 0..MESSAGES {
                    sender.send((thread, message)).unwrap();
                    if message % (3 + thread) == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        drop(sender);
        let mut received = [0; THREADS as usize];
        let running = within(move || {
            let mut actor = Actor::idle().with_net(|net, _| {
                for (thread, message) in receiver.try_iter() {
                    assert_eq!(message, received[thread as usize], "{capacity:?}, thread {thread}");
                    received[thread as usize] += 1;
                }
                if receiver.is_disconnected() {
                    net.stop();
                }
            });
            event_loop.run(&mut actor).unwrap();
            drop(actor);
            received
        });
        assert_eq!(running, [MESSAGES; THREADS as usize], "{capacity:?}");
    }
}

/// Each sender waits for an answer before its next message, so one lost wake would stop it for ever.
#[test]
fn no_wake_is_lost_whatever_the_moment_of_a_send() {
    const ROUNDS: u64 = 10_000;
    let mut event_loop = event_loop();
    let (sender, receiver) = event_loop.channel::<mpsc::Sender<()>>();
    let remote = event_loop.remote();
    let threads = [0, 1, 2].map(|which| {
        let (sender, remote) = (sender.clone(), remote.clone());
        thread::spawn(move || {
            for round in 0..ROUNDS {
                let (answer, answered) = mpsc::channel();
                sender.send(answer).unwrap();
                if (round + which) % 5 == 0 {
                    remote.wake(); // from the same thread, or beside the send of another thread
                }
                next(&answered);
                (0..round % 40).for_each(|_| std::hint::spin_loop()); // changes the moment of the next send
            }
        })
    });
    drop(sender);
    let mut actor = Actor::idle().with_net(|net, _| {
        receiver.try_iter().for_each(|answer| answer.send(()).unwrap());
        if receiver.is_disconnected() {
            net.stop();
        }
    });
    event_loop.run(&mut actor).unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn many_messages_make_one_call_and_no_further_turn() {
    let mut event_loop = event_loop();
    let (sender, receiver) = event_loop.channel();
    let mut sum = 0;
    let mut actor = Actor::idle().with_net(|_, _| sum += receiver.try_iter().sum::<u32>());
    (1..=1000).for_each(|message| sender.send(message).unwrap());
    assert!(!turn(&mut event_loop, &mut actor));
    assert_eq!(actor.take_calls(), [Call::Wake]);
    assert_eq!(event_loop.next_deadline(), None);
    assert!(!turn(&mut event_loop, &mut actor));
    assert_eq!(actor.take_calls(), []);
    drop(actor);
    assert_eq!(sum, 500_500);
}

#[test]
fn an_iterator_that_stops_early_makes_a_further_call_and_loses_nothing() {
    let mut event_loop = event_loop();
    let (sender, receiver) = event_loop.channel();
    let mut received = Vec::new();
    let mut actor = Actor::idle().with_net(|_, _| received.extend(receiver.try_iter().take(10)));
    (0..25).for_each(|message| sender.send(message).unwrap());
    let mut turns = 1;
    while turn(&mut event_loop, &mut actor) {
        turns += 1;
    }
    drop(actor);
    assert_eq!((received, turns), ((0..25).collect(), 3));
}

#[test]
fn the_receiver_learns_that_all_senders_are_gone_after_the_last_message() {
    let mut event_loop = event_loop();
    let (sender, receiver) = event_loop.channel();
    let mut actor = Actor::idle();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let second = sender.clone();
    drop(sender);
    assert!(!receiver.is_disconnected());
    turn(&mut event_loop, &mut actor);
    assert_eq!(actor.take_calls(), [], "one sender is left");
    second.send(1).unwrap();
    drop(second);
    turn(&mut event_loop, &mut actor);
    assert_eq!(actor.take_calls(), [Call::Wake]);
    assert!(!receiver.is_disconnected(), "a message is left");
    assert_eq!(receiver.try_recv(), Ok(1));
    assert!(receiver.is_disconnected());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));

    let (sender, _receiver) = event_loop.channel::<()>();
    thread::spawn(move || drop(sender)).join().unwrap();
    event_loop.turn(&mut actor, Some(PATIENCE)).unwrap();
    assert_eq!(actor.take_calls(), [Call::Wake], "the end of the last sender wakes the loop");
}

#[test]
fn a_full_channel_gives_the_message_back_and_a_blocking_send_waits_for_room() {
    for capacity in [1, 3] {
        let event_loop = event_loop();
        let (sender, receiver) = event_loop.bounded_channel(capacity);
        (0..capacity as u32).for_each(|message| sender.try_send(message).unwrap());
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
        let result = blocked(&sender);
        assert_eq!(receiver.try_recv(), Ok(0));
        assert_eq!(next(&result), Ok(()));
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
        let rest: Vec<u32> = receiver.try_iter().collect();
        assert_eq!(rest, (1..capacity as u32).chain([7]).collect::<Vec<_>>());
    }
    let (sender, _receiver) = event_loop().bounded_channel(0);
    assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(1)), "the loop is gone");
    let event_loop = event_loop();
    let (sender, _receiver) = event_loop.bounded_channel(0);
    assert_eq!(sender.try_send(1), Ok(()), "0 counts as 1");
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
}

#[test]
fn a_dropped_receiver_returns_messages_also_of_a_send_that_blocks() {
    let event_loop = event_loop();
    let (sender, receiver) = event_loop.bounded_channel(1);
    sender.send(1).unwrap();
    let results = [(); 3].map(|()| blocked(&sender));
    drop(receiver);
    results.iter().for_each(|result| assert_eq!(next(result), Err(SendError(7))));
    assert_eq!(sender.send(2), Err(SendError(2)));
    assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
}

#[test]
fn a_dropped_loop_returns_messages_also_of_a_send_that_blocks() {
    let event_loop = event_loop();
    let (sender, receiver) = event_loop.bounded_channel(1);
    sender.send(1).unwrap();
    let results = [(); 3].map(|()| blocked(&sender));
    drop(event_loop);
    results.iter().for_each(|result| assert_eq!(next(result), Err(SendError(7))));
    assert_eq!(sender.send(2), Err(SendError(2)));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1], "messages that were sent before stay");
}

#[test]
fn messages_that_nobody_takes_are_dropped_with_the_receiver() {
    /// A message that can own a sender of its own channel.
    struct Message {
        _held: Arc<()>,
        sender: Option<Sender<Message>>,
    }

    let event_loop = event_loop();
    let (sender, receiver) = event_loop.channel();
    let held = Arc::new(());
    assert!(sender.send(Message { _held: Arc::clone(&held), sender: Some(sender.clone()) }).is_ok());
    drop(receiver);
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(sender.send(Message { _held: held, sender: None }).is_err_and(|back| back.0.sender.is_none()));
}

#[test]
fn a_guest_has_channels_with_the_waker_of_its_host() {
    let mut guest = Guest::in_poll(1..100, Options::default(), Actor::idle());
    let waker = Arc::new(Waker::new(guest.host.poll.registry(), Token(0)).unwrap());
    let (sender, receiver): (Sender<u32>, Receiver<u32>) = guest.reactor.channel(Arc::clone(&waker));
    let (bounded, _room) = guest.reactor.bounded_channel::<u32>(waker, 1);
    let sending = thread::spawn(move || {
        sender.send(5).unwrap();
        bounded.send(6).unwrap();
        bounded.try_send(7)
    });
    guest.host.collect(1); // the event of the waker, which is the host's
    assert_eq!(sending.join().unwrap(), Err(TrySendError::Full(7)));
    guest.settle();
    assert!(guest.handler.has_heard(&Call::Wake));
    assert_eq!(receiver.try_recv(), Ok(5));
}

#[test]
fn a_message_is_not_lost_by_a_panic_in_on_wake() {
    use crate::support::panicky::{panic_silently, panics};

    let mut event_loop = event_loop();
    let (sender, receiver) = event_loop.channel();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    let mut received = Vec::new();
    let mut actor = Actor::idle().with_net(|_, _| {
        for message in receiver.try_iter() {
            if message == 1 {
                panic_silently();
            }
            received.push(message);
        }
    });
    assert!(panics(|| _ = turn(&mut event_loop, &mut actor)));
    assert!(event_loop.next_deadline().is_some_and(|due| due <= Instant::now()), "a turn is due");
    turn(&mut event_loop, &mut actor);
    drop(actor);
    assert_eq!(received, [2]);
}

#[test]
fn messages_that_wait_while_on_wake_panics_are_taken_in_the_next_turn() {
    use crate::support::panicky::{panic_silently, panics};

    let mut event_loop = event_loop();
    let (sender, receiver) = event_loop.bounded_channel(1);
    sender.send(1).unwrap();
    let blocked = blocked(&sender);
    let (mut received, mut has_panicked) = (Vec::new(), false);
    let mut actor = Actor::idle().with_net(|_, _| {
        if !std::mem::replace(&mut has_panicked, true) {
            panic_silently(); // no message is taken, so the sender has no room
        }
        received.extend(receiver.try_recv().ok());
    });
    assert!(panics(|| _ = turn(&mut event_loop, &mut actor)));
    assert!(event_loop.next_deadline().is_some_and(|due| due <= Instant::now()), "a turn is due");
    turn(&mut event_loop, &mut actor);
    drop(actor);
    assert_eq!(received, [1]);
    assert_eq!(next(&blocked), Ok(()));
}
