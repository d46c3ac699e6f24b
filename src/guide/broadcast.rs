//! Recipe: a message for all connections, when some of them read slowly.
//!
//! [`Net::for_each`](crate::Net::for_each) reaches every connection, the connection of the present callback included. A
//! member that does not read must not hold up the others, and must not fill the memory. So the sender looks at
//! [`queued`](crate::Conn::queued), the number of bytes that the kernel has not taken yet, before it sends to a member. A
//! member that is too far behind is ended with a reset.
//!
//! [`send_shared`](crate::Conn::send_shared) stores the message once: every outbox holds the block itself, and the last
//! outbox that has sent it frees it.
//!
//! ```
//! use std::sync::Arc;
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
//! fn broadcast(net: &mut Net, message: &Arc<[u8]>) {
//!     net.for_each(|member| {
//!         if member.queued() + message.len() > MOST_BEHIND {
//!             member.abort(); // the member learns by a reset that messages are missing
//!         } else {
//!             member.send_shared(message);
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
//!                 Ok(line) => broadcast(conn.net(), &[line, b"\n"].concat().into()),
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
//! assert_eq!(rehearsal.net().stats().shared, 262_000); // two members of this kind would share these blocks
//! rehearsal.receive(&mut Chat, speaker, &line); // this line is too much for the member
//! assert_eq!(rehearsal.why(sleeper), Some(CloseKind::Aborted));
//! assert_eq!(rehearsal.sent(listener).len(), 263_000); // the other members have every line
//! ```
//!
//! # What a broadcast costs
//!
//! The sends of one turn to a member wait in its outbox until the end of the turn, and then leave with one system call, up
//! to 64 messages at a time. So 16 messages of 1 KiB that arrive together cost each member one call of `sendmsg`, and no
//! copy of the messages. Messages of fewer than 256 bytes are copied, because a copy costs less than the bookkeeping of a
//! shared block. A message of 8 KiB or more is handed to the kernel at once.
//!
//! A block that waits for 200 slow members is in memory once. [`Options::memory_budget`](crate::Options::memory_budget)
//! counts it once as well, if it was sent to the members in a row; [`Stats::shared`](crate::Stats::shared) is the sum.
//! Besides, each member's outbox knows each waiting message by 32 bytes.
//!
//! # Notes
//!
//! * **`for_each` includes the connection of the present callback**, here the speaker, who gets each line back. A speaker is
//!   left out by its id: `if member.id() != speaker`.
//! * **A member that only listens** may have ended its sending direction. The default
//!   [`on_eof`](crate::Handler::on_eof) closes such a member. A hub for such members has an empty `on_eof`; a member that has
//!   gone is then noticed by a send that fails, or by a timeout.
//! * **`Flow::Full` does not say that a member is slow.** It has two causes, see [`Flow::Full`](crate::Flow::Full): the
//!   member has [`high_water`](crate::Options::high_water) or more unsent bytes, or the
//!   [`write_budget`](crate::Options::write_budget) of this turn is spent for it. `queued()` against a limit of the program's
//!   own is the test for a slow member: what one turn sends is handed to the kernel as soon as it reaches high water, so
//!   only bytes that the kernel did not take count beyond that.
//! * **The limit** is a decision of the protocol. Without a limit of its own, a member may be
//!   [`max_outbox`](crate::Options::max_outbox) (16 MiB) behind: a send that would pass this number ends the connection.
//! * **A member that may miss messages**, for instance in a game in which only the newest state counts, is not ended: the
//!   sender leaves a member out while `queued()` is not 0. The page [`embedding`](crate::embedding#frames-and-ticks) has
//!   such a program.
//! * **A member that does not read is not read either**, while its outbox is above high water
//!   ([`pause_when_full`](crate::Conn::pause_when_full)).
//! * **The result of a send to a member** concerns that member alone, so the speaker goes on after `Full`. A speaker that
//!   has to wait for slow members pauses its own reading, as a [`proxy`](super::proxy) does.
//! * **A part of the members** is reached by their ids: a room is a list of [`ConnId`](crate::ConnId)s, and
//!   [`Net::conn`](crate::Net::conn) returns `None` for members that have gone.
