//! Tests of what a program may ask about a connection, with a `Conn`, and with an `Output` where there is no `Conn`.

use std::net::TcpListener;

use tidegate::{Address, Conn, ConnId, EventLoop, ListenerId, Options, TimerId};

use crate::support::{Actor, Call, connect, listen, turn_until};

/// Runs `ask` in the first `on_data`.
fn in_on_data(at: &str, mut ask: impl FnMut(&mut Conn<'_>)) {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let listener = event_loop.net().listen(at).unwrap();
    let port = event_loop.net().local_address(listener).unwrap().port().unwrap();
    let mut client = connect(([127, 0, 0, 1], port).into());
    std::io::Write::write_all(&mut client, b"hello").unwrap();
    let mut actor = Actor::with_conn(|conn, call| {
        if matches!(call, Call::Data(_)) {
            let seen_by_client: Address = client.local_addr().unwrap().into();
            assert_eq!(conn.peer().unwrap(), seen_by_client);
            assert_eq!(conn.local().unwrap(), Address::from(client.peer_addr().unwrap()));
            assert_eq!(conn.listener(), Some(listener));
            ask(conn);
        }
    });
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.count(&Call::Data(vec![])) == 1);
}

#[test]
fn a_connection_knows_its_addresses_and_its_listener() {
    in_on_data("127.0.0.1:0", |_| {});
}

#[test]
fn an_ipv4_client_of_every_interface_has_an_ipv4_address() {
    in_on_data(":0", |conn| {
        let (peer, local) = (conn.peer().unwrap(), conn.local().unwrap());
        assert!(peer.ip().unwrap().is_ipv4() && peer.to_string().starts_with("127.0.0.1:"), "{peer}");
        assert!(local.to_string().starts_with("127.0.0.1:"), "{local}");
    });
}

#[test]
fn an_output_answers_as_its_conn_does() {
    in_on_data("127.0.0.1:0", |conn| {
        conn.send_all(b"gathered");
        let of_conn = (conn.id(), conn.peer().unwrap(), conn.local().unwrap(), conn.now(), conn.queued());
        let listener = conn.listener();
        let (_, mut out) = conn.split();
        assert_eq!((out.id(), out.peer().unwrap(), out.local().unwrap(), out.now(), out.queued()), of_conn);
        assert_eq!((out.listener(), out.unconsumed()), (listener, &b""[..]));
        assert!(!out.is_closing() && !out.is_connecting());
        assert_eq!(
            out.socket().unwrap().local_addr().unwrap().as_socket(),
            Some(of_conn.2.socket_addrs()[0])
        );
        out.close();
        assert!(out.is_closing() && conn.is_closing());
    });
}

#[test]
fn an_output_has_the_verbs_of_its_conn() {
    in_on_data("127.0.0.1:0", |conn| {
        let (_, mut out) = conn.split();
        out.pause_reading();
        out.resume_reading();
        out.pause_when_full(false);
        out.notify_writable();
        out.set_idle_timeout(std::time::Duration::from_secs(60));
        out.set_idle_timeout(None);
        out.set_deadline(out.now() + std::time::Duration::from_secs(60));
        out.set_deadline(None);
        let timer = out.set_timeout(out.now(), 1);
        let later = out.after(std::time::Duration::from_secs(60), 2);
        assert!(conn.net().cancel_timer(timer) && conn.net().cancel_timer(later));
        let (_, mut out) = conn.split();
        out.close_when_idle(std::time::Duration::from_secs(60));
        out.shutdown_write();
        out.abort();
        assert!(out.is_closing());
    });
}

#[test]
fn a_socket_option_can_be_read_and_set() {
    in_on_data("127.0.0.1:0", |conn| {
        let socket = conn.socket().unwrap();
        assert!(socket.tcp_nodelay().unwrap());
        socket.set_tcp_nodelay(false).unwrap();
        assert!(!conn.socket().unwrap().tcp_nodelay().unwrap());
    });
}

#[test]
fn a_connection_of_this_side_has_no_listener_and_no_socket_at_first() {
    let (mut event_loop, mut actor) = (EventLoop::new(Options::default()).unwrap(), Actor::idle());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let id = event_loop.net().connect(at, ());
    let conn = event_loop.net().conn(id).unwrap();
    assert!(conn.is_connecting() && !conn.is_closing());
    assert!(conn.socket().is_err() && conn.local().is_err() && conn.peer().is_err());
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    let conn = event_loop.net().conn(id).unwrap();
    assert!(!conn.is_connecting() && conn.listener().is_none());
    assert_eq!(conn.local().unwrap(), Address::from(listener.accept().unwrap().1));
}

#[test]
fn the_connections_of_a_closed_listener_have_no_listener() {
    let (mut event_loop, mut actor) = (EventLoop::new(Options::default()).unwrap(), Actor::idle());
    let listener = event_loop.net().listen("127.0.0.1:0").unwrap();
    let at = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
    let _client = connect(at);
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    let id = actor.notes[0].id.unwrap();
    assert_eq!(event_loop.net().conn(id).unwrap().listener(), Some(listener));
    event_loop.net().close_listener(listener);
    assert_eq!(event_loop.net().conn(id).unwrap().listener(), None);
    listen(event_loop.net());
    assert_eq!(event_loop.net().conn(id).unwrap().listener(), None, "another listener has taken the place");
}

#[test]
fn ids_have_a_number_and_a_text_for_logs_and_maps() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let listener = event_loop.net().listen("127.0.0.1:0").unwrap();
    let at = event_loop.net().local_address(listener).unwrap();
    let ids = [(); 3].map(|()| event_loop.net().connect(&at, ()));
    let found = ids.map(|id| ConnId::from_u64(id.as_u64()));
    assert_eq!(found, ids);
    assert!(event_loop.net().conn(found[1]).is_some());
    assert_ne!(ids[0].to_string(), ids[1].to_string());
    assert_eq!(ListenerId::from_u64(listener.as_u64()), listener);
    let timer = event_loop.net().after(std::time::Duration::from_secs(1), 0);
    assert!(event_loop.net().cancel_timer(TimerId::from_u64(timer.as_u64())));
    for number in [0, 1, u64::MAX] {
        assert!(event_loop.net().conn(ConnId::from_u64(number)).is_none());
        assert!(!event_loop.net().cancel_timer(TimerId::from_u64(number)));
    }
}
