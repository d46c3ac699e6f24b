//! Multicast and broadcast on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tidegate::{DatagramOptions, EventLoop, Options, Sent};

use crate::support::{
    datagrams::{Post, bind, turn_until_received},
    skip, turn_until_quiet,
};

/// RFC 2365: an address of the local scope.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 7);

fn multicast() -> DatagramOptions {
    let options = DatagramOptions::default().multicast_loop(Some(true)).multicast_ttl(Some(0));
    options.multicast_interface_v4(Some(Ipv4Addr::LOCALHOST)).reuse_address(true)
}

#[test]
fn a_member_of_a_group_receives_and_after_it_has_left_it_does_not() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut post = Post::silent();
    let (member, at) = bind(event_loop.net(), "0.0.0.0:0", multicast());
    let group = SocketAddr::from((GROUP, at.port()));
    let mut socket = event_loop.net().socket(member).unwrap();
    socket.join_multicast_v4(GROUP, Ipv4Addr::LOCALHOST).unwrap();
    assert!(socket.join_multicast_v4(GROUP, Ipv4Addr::LOCALHOST).is_err(), "a member already");

    let (sender, _) = bind(event_loop.net(), "0.0.0.0:0", multicast());
    let sent = event_loop.net().socket(sender).unwrap().send_to(b"to all", group);
    if let Sent::Failed(error) = sent {
        return skip(&format!("no multicast on loopback: {error}"));
    }
    turn_until_received(&mut event_loop, &mut post, 1);
    assert_eq!(post.of(member), [b"to all"]);
    let expected = cfg!(feature = "packet-info").then_some(IpAddr::V4(GROUP));
    assert_eq!(post.received[0].to, expected);

    event_loop.net().socket(member).unwrap().leave_multicast_v4(GROUP, Ipv4Addr::LOCALHOST).unwrap();
    let _ = event_loop.net().socket(sender).unwrap().send_to(b"too late", group);
    // A datagram behind it shows that the one before was not delivered.
    let direct = SocketAddr::from((Ipv4Addr::LOCALHOST, at.port()));
    let _ = event_loop.net().socket(sender).unwrap().send_to(b"direct", direct);
    turn_until_received(&mut event_loop, &mut post, 2);
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!(post.of(member), [b"to all".to_vec(), b"direct".to_vec()]);
}

/// The group is no address of this machine, so the answer has another source.
#[test]
fn a_request_to_a_group_is_answered() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (member, at) = bind(event_loop.net(), "0.0.0.0:0", multicast());
    event_loop.net().socket(member).unwrap().join_multicast_v4(GROUP, Ipv4Addr::LOCALHOST).unwrap();
    let (asker, _) = bind(event_loop.net(), "127.0.0.1:0", multicast());
    let mut post = Post::new(|socket, datagram| {
        if socket.id() == member {
            assert!(socket.reply(datagram, b"here").is_taken());
        }
    });
    let sent = event_loop.net().socket(asker).unwrap().send_to(b"where?", (GROUP, at.port()).into());
    if let Sent::Failed(error) = sent {
        return skip(&format!("no multicast on loopback: {error}"));
    }
    turn_until_received(&mut event_loop, &mut post, 2);
    assert_eq!(post.of(asker), [b"here"]);
}

#[test]
fn a_group_over_ipv6_can_be_joined_on_loopback() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let options = DatagramOptions::default().multicast_loop(Some(true)).only_v6(Some(true));
    let Ok(member) = event_loop.net().bind("[::]:0", options) else {
        return skip("this machine has no IPv6");
    };
    let group = Ipv6Addr::new(0xff11, 0, 0, 0, 0, 0, 0, 0x77); // RFC 4291: the scope of one interface
    let mut socket = event_loop.net().socket(member).unwrap();
    if let Err(error) = socket.join_multicast_v6(group, 1) {
        return skip(&format!("the first interface takes no group: {error}"));
    }
    socket.leave_multicast_v6(group, 1).unwrap();
    assert!(socket.leave_multicast_v6(group, 1).is_err(), "no member any more");
}

#[test]
#[cfg(target_os = "linux")]
fn a_broadcast_is_sent_only_by_a_socket_that_may_and_is_answered() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (receiver, at) = bind(event_loop.net(), "0.0.0.0:0", DatagramOptions::default());
    let (sender, _) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default().broadcast(true));
    let everyone = SocketAddr::from(([127, 255, 255, 255], at.port())); // the broadcast address of loopback
    let mut post = Post::new(|socket, datagram| {
        if socket.id() == receiver {
            assert!(socket.reply(datagram, b"here").is_taken());
        }
    });
    let forbidden = event_loop.net().socket(receiver).unwrap().send_to(b"may not", everyone);
    assert!(matches!(forbidden, Sent::Failed(_)), "{forbidden:?}");
    assert!(matches!(event_loop.net().socket(sender).unwrap().send_to(b"may", everyone), Sent::Sent));
    turn_until_received(&mut event_loop, &mut post, 2);
    assert_eq!((post.of(receiver), post.of(sender)), (vec![b"may".to_vec()], vec![b"here".to_vec()]));
}
