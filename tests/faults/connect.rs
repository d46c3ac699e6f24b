//! Tests of a connect for which the process has no descriptor. strace(1) injects the error.
#![cfg(target_os = "linux")]

use std::{error::Error, io, net::TcpListener, time::Instant};

use tidegate::{Address, CloseKind, CloseReason, Options, Reactor};

use crate::support::{
    Actor, Call, Host,
    programs::{has_strace, is_child, run_under_strace},
};

#[test]
fn a_connect_without_a_descriptor_ends_in_on_close() {
    const NAME: &str = "connect::a_connect_without_a_descriptor_ends_in_on_close";
    if !is_child() {
        if has_strace() {
            // The reactor opens its reserve descriptor first, and then the test opens its listener.
            let log = run_under_strace(NAME, "socket", "EMFILE:when=3+");
            assert_eq!(log.matches("(INJECTED)").count(), 2, "one for each address: {log}");
        }
        return;
    }
    let (host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let to = Address::from_list(&[at, ([127, 0, 0, 1], 9).into()]).unwrap();
    let mut actor = Actor::idle();
    let id = reactor.net().connect(&to, ());
    reactor.settle(&mut actor, now);
    assert_eq!(actor.of_id(id), [Call::Close(CloseKind::ConnectFailed)]);
    const EMFILE: i32 = 24;
    let CloseReason::ConnectFailed(error) = &actor.ended[0].why else { panic!("{:?}", actor.ended[0].why) };
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.and_then(io::Error::raw_os_error), Some(EMFILE), "{error:?}");
}
