//! A host may leave SIGPIPE at its default action, which ends the process. So no send may raise that signal, whichever
//! system call makes the send.
#![cfg(target_os = "linux")]

use std::{
    io::{ErrorKind, IoSlice, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{consts::SIGPIPE, flag};
use tidegate::{EventLoop, Options};

use crate::support::{
    Actor, Call,
    pair::connected,
    programs::{is_child, run_alone},
    turn_until,
};

/// Rust's runtime ignores SIGPIPE, and restoring the default action needs unsafe code. So the test installs a signal
/// handler: the kernel delivers SIGPIPE to the sending thread before the system call returns to the thread.
#[test]
fn no_send_raises_sigpipe() {
    // A signal handler belongs to the whole process, and other tests may write to a pipe without a reader.
    if !is_child() {
        return run_alone("sigpipe::no_send_raises_sigpipe");
    }
    let raised = Arc::new(AtomicBool::new(false));
    flag::register(SIGPIPE, raised.clone()).unwrap();
    // A small send is gathered and leaves when the callback returns. A large send leaves at once, and takes gathered
    // bytes along in one vectored call.
    let cases = [&[10][..], &[20_000], &[10, 20_000]];
    for (sends, over_unix) in cases.iter().flat_map(|sends| [(sends, false), (sends, true)]) {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let (_client, stream) = if over_unix {
            let (client, end) = UnixStream::pair().unwrap();
            (OwnedFd::from(client).into(), OwnedFd::from(end).into())
        } else {
            connected()
        };
        let twin = stream.try_clone().unwrap();
        twin.shutdown(Shutdown::Write).unwrap(); // Each send now fails with EPIPE.
        let id = if over_unix {
            event_loop.net().adopt_unix_stream(OwnedFd::from(stream).into(), ()).unwrap()
        } else {
            event_loop.net().adopt_stream(stream, ()).unwrap()
        };
        let mut actor = Actor::with_conn(|conn, cue| {
            if *cue == Call::Open {
                sends.iter().for_each(|len| _ = conn.send_all(&vec![7; *len]));
            }
        });
        turn_until(&mut event_loop, &mut actor, |_, net| net.conn(id).is_none());
        assert_eq!(event_loop.net().stats().undelivered, 1, "the sends of {sends:?} bytes did not fail");
        assert!(!raised.load(Ordering::Relaxed), "sends of {sends:?} bytes raise SIGPIPE");

        // The vectored send of the standard library is writev(2), which has no flags. This send raises SIGPIPE and so shows
        // that the check works.
        let error = (&twin).write_vectored(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert!(raised.swap(false, Ordering::Relaxed), "a send without MSG_NOSIGNAL raises SIGPIPE");
    }
}
