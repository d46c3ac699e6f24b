//! The forms of ids for logs and maps: a text, and a number.

use std::{fmt, num::NonZeroU32};

use super::{ConnId, ListenerId, NO_SLOT, SocketId, SourceId, TimerId};

/// Gives an id of a slot and a generation its number and its text.
macro_rules! forms {
    ($($id:ident, $what:literal;)*) => {
        $(
            impl $id {
                #[doc = concat!("The id as a number, for logs, maps and interfaces of other languages. Two ", $what)]
                #[doc = "of one reactor never have the same number, and the number of an id never changes."]
                pub fn as_u64(self) -> u64 {
                    number(self.slot, self.generation.into())
                }
            }

            #[doc = concat!("The slot and the generation, as `3.17`. Two ", $what, " of one reactor never have the same text.")]
            impl fmt::Display for $id {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}.{}", self.slot, self.generation)
                }
            }
        )*
    };
}

forms! {
    ConnId, "connections";
    ListenerId, "listeners";
    SocketId, "datagram sockets";
    SourceId, "watched sources";
    TimerId, "timers";
}

/// Makes an id of a number.
macro_rules! from_number {
    ($($id:ident, $what:literal;)*) => {
        $(
            impl $id {
                #[doc = "The inverse of [`as_u64`](Self::as_u64). A number that"]
                #[doc = concat!("no ", $what, " has had makes an id that names nothing.")]
                pub fn from_u64(number: u64) -> Self {
                    let (slot, generation) = parts(number);
                    Self { slot, generation }
                }
            }
        )*
    };
}

from_number! {
    ConnId, "connection";
    ListenerId, "listener";
    SocketId, "datagram socket";
    SourceId, "watched source";
}

impl TimerId {
    /// No timer has this id.
    pub(crate) const NONE: Self = Self { slot: NO_SLOT, generation: NonZeroU32::MAX };

    /// The inverse of [`as_u64`](Self::as_u64). A number that no timer has had makes an id that names nothing.
    pub fn from_u64(number: u64) -> Self {
        let (slot, generation) = parts(number);
        NonZeroU32::new(generation).map_or(Self::NONE, |generation| Self { slot, generation })
    }
}

fn number(slot: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(slot)
}

fn parts(number: u64) -> (u32, u32) {
    (number as u32, (number >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_number() {
        for (slot, generation) in [(0, 1), (3, 17), (u32::MAX - 1, u32::MAX), (u32::MAX, 1)] {
            let conn = ConnId { slot, generation };
            assert_eq!(
                (ConnId::from_u64(conn.as_u64()), conn.to_string()),
                (conn, format!("{slot}.{generation}"))
            );
            let listener = ListenerId { slot, generation };
            assert_eq!(ListenerId::from_u64(listener.as_u64()), listener);
            let (socket, source) = (SocketId { slot, generation }, SourceId { slot, generation });
            assert_eq!(SocketId::from_u64(socket.as_u64()), socket);
            assert_eq!(SourceId::from_u64(source.as_u64()), source);
            let timer = TimerId::new(slot, NonZeroU32::new(generation).unwrap());
            assert_eq!(TimerId::from_u64(timer.as_u64()), timer);
        }
        assert_eq!(TimerId::from_u64(5), TimerId::NONE, "no timer has the generation 0");
    }
}
