//! The two servers with this crate. The server `tidegate` sends a message to a subscriber with `send_shared`, and the
//! server `tidegate-copy` with `send_all`.

use std::io;
use std::sync::Arc;

use tidegate::{Accepted, Conn, Handler, Net};

use super::MOST_BEHIND;
use crate::protocol::{MESSAGE, PUBLISH, SUBSCRIBE};

/// Serves with `send_shared`, or with `send_all` if `copies` is true.
pub fn serve(copies: bool) -> io::Result<()> {
    super::super::run_tidegate(&mut Broadcast { copies })
}

struct Broadcast {
    copies: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Unknown,
    Subscriber,
    Publisher,
}

impl Handler for Broadcast {
    type Session = Role;

    fn on_accept(&mut self, _net: &mut Net<Role>, _from: &Accepted) -> Option<Role> {
        Some(Role::Unknown)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Role>, input: &[u8]) -> usize {
        match (*conn.session(), input[0]) {
            (Role::Publisher, _) => {
                let messages = input.chunks_exact(MESSAGE);
                let used = input.len() - messages.remainder().len();
                messages.for_each(|message| self.publish(conn.net(), message));
                return used;
            }
            (Role::Unknown, PUBLISH) => *conn.session() = Role::Publisher,
            (Role::Unknown, SUBSCRIBE) => {
                *conn.session() = Role::Subscriber;
                conn.send_all(&[SUBSCRIBE]);
            }
            _ => conn.abort(),
        }
        1
    }
}

impl Broadcast {
    fn publish(&self, net: &mut Net<Role>, message: &[u8]) {
        if self.copies {
            to_subscribers(net, |subscriber| {
                subscriber.send_all(message);
            });
        } else {
            let message: Arc<[u8]> = message.into();
            to_subscribers(net, |subscriber| {
                subscriber.send_shared(&message);
            });
        }
    }
}

/// Calls `send` for each subscriber, and ends the subscribers that are too far behind.
fn to_subscribers(net: &mut Net<Role>, send: impl Fn(&mut Conn<'_, Role>)) {
    net.for_each(|member| {
        if *member.session() != Role::Subscriber {
            return;
        }
        if member.queued() + MESSAGE > MOST_BEHIND {
            member.abort();
        } else {
            send(member);
        }
    });
}
