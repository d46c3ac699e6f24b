//! Recipe: a message for all connections, when some of them read slowly.
//!
//! [`Net::for_each`](crate::Net::for_each) reaches every connection, the connection of the present callback included. A
//! member that does not read must not hold up the others, and must not fill the memory. So the sender looks at
//! [`queued`](crate::Conn::queued), the number of bytes that the kernel has not taken yet, before it sends to a member. A
//! member that is too far behind is ended with a reset.
//!
//! ```
//! use tidegate::{
//!     Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net, Options, framing, testing::Rehearsal,
//! };
//!
//! /// A member may be this many bytes behind. The limit is far below `Options::max_outbox`.
//! const MOST_BEHIND: usize = 256 << 10;
//!
//! /// Sends each line that a member writes to all members.
//! struct Chat;
//!
//! fn broadcast(net: &mut Net, message: &[u8]) {
//!     net.for_each(|member| {
//!         if member.queued() + message.len() > MOST_BEHIND {
//!             member.abort(); // the member learns by a reset that messages are missing
//!         } else {
//!             member.send_all(message);
//!         }
//!     });
//! }
//!
//! impl Handler for Chat {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 1000);
//!         for line in &mut lines {
//!             match line {
//!                 Ok(line) => broadcast(conn.net(), &[line, b"\n"].concat()),
//!                 Err(_) => conn.abort(),
//!             }
//!         }
//!         lines.used()
//!     }
//!
//!     fn on_close(&mut self, _net: &mut Net, id: ConnId, _session: (), why: CloseReason) {
//!         if !why.is_clean() {
//!             println!("{id:?} was dropped: {why:?}");
//!         }
//!     }
//! }
//!
//! let mut rehearsal = Rehearsal::new(Options::default());
//! let [speaker, listener, sleeper] = [(); 3].map(|()| rehearsal.accept(&mut Chat).unwrap());
//! rehearsal.capacity(sleeper, 0); // this member reads nothing
//! let line = [&[b'.'; 999][..], b"\n"].concat();
//! for _ in 0..MOST_BEHIND / 1000 {
//!     rehearsal.receive(&mut Chat, speaker, &line);
//! }
//! assert_eq!(rehearsal.net().conn(sleeper).unwrap().queued(), 262_000);
//! rehearsal.receive(&mut Chat, speaker, &line); // this line is too much for the member
//! assert_eq!(rehearsal.why(sleeper), Some(CloseKind::Aborted));
//! assert_eq!(rehearsal.sent(listener).len(), 263_000); // the other members have every line
//! ```
//!
//! * **The limit** is a decision of the protocol. Without a limit of its own, a member may be
//!   [`max_outbox`](crate::Options::max_outbox) (16 MiB) behind: a send that would pass this number ends the connection.
//! * **A member that may miss messages**, for instance in a game in which only the newest state counts, is not ended: the
//!   sender leaves a member out while `queued()` is not 0. The page [`embedding`](crate::embedding#frames-and-ticks) has
//!   such a program.
//! * **A member that does not read is not read either**, while its outbox is above high water
//!   ([`pause_when_full`](crate::Conn::pause_when_full)).
//! * **The result of a send to a member** tells about that member alone, so the speaker goes on after `Full`. A speaker that
//!   has to wait for slow members pauses its own reading, as a [`proxy`](super::proxy) does.
//! * **A part of the members** is reached by their ids: a room is a list of [`ConnId`](crate::ConnId)s, and
//!   [`Net::conn`](crate::Net::conn) returns `None` for members that have gone.
