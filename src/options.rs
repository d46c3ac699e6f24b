//! The knobs, each with its unit and its default.

use std::time::Duration;

/// Declares an options struct once: public fields to read, a chained setter of the same name to write.
macro_rules! options {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $name { $($(#[$doc])* pub $field: $kind,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

options! {
    /// The limits of a [`Reactor`](crate::Reactor) and of each connection in it.
    ///
    /// Fields are read directly and set by chaining. Sizes are bytes.
    ///
    /// ```
    /// let options = tidegate::Options::default().high_water(1 << 20).low_water(256 << 10);
    /// assert_eq!(options.high_water, 1_048_576);
    /// ```
    Options {
        /// Above this many unsent bytes a connection's sends return [`Flow::Full`](crate::Flow::Full) and its
        /// reading pauses by itself. Bytes; default 64 KiB, at least 1.
        high_water: usize = 64 << 10,
        /// Below this many unsent bytes reading goes on and `on_writable` comes. Bytes; default 32 KiB; never
        /// above the high water mark, and 0 means "once nothing is left".
        low_water: usize = 32 << 10,
        /// A send that would leave more than this many bytes unsent ends the connection with
        /// [`CloseReason::OutboxLimit`](crate::CloseReason::OutboxLimit). Bytes; default 16 MiB, at most 1 GiB.
        max_outbox: usize = 16 << 20,
        /// A message that is not whole within this many bytes ends the connection with
        /// [`CloseReason::InboxLimit`](crate::CloseReason::InboxLimit). Bytes; default 256 KiB, at least 1, at most 1 GiB.
        max_inbox: usize = 256 << 10,
        /// How much all outboxes and inboxes may hold together, counted by their capacity. Beyond it the connection
        /// that holds the most is reset with [`CloseReason::MemoryLimit`](crate::CloseReason::MemoryLimit), until it
        /// is kept. Bytes; default 1 GiB.
        memory_budget: usize = 1 << 30,
        /// The size of the one buffer that every `recv` goes into; all connections share it. Bytes; default
        /// 256 KiB, at least 1.
        read_buffer: usize = 256 << 10,
        /// How much one connection may read in a turn before the others have theirs; the last `recv` may
        /// pass it. Bytes; default 256 KiB, one read buffer.
        read_budget: usize = 256 << 10,
        /// How much the kernel is handed for one connection in a turn. Bytes; default 1 MiB, at least 1, at most 1 GiB.
        write_budget: usize = 1 << 20,
        /// How many connections one listener accepts in a turn. Default 256, at least 1.
        accept_budget: usize = 256,
        /// How many connections may be open at once, those that linger included. Further ones wait in the
        /// backlog until one ends. Default: as many as there are tokens.
        max_connections: usize = usize::MAX,
        /// A connection on which no byte has moved for so long is ended with
        /// [`CloseReason::IdleTimeout`](crate::CloseReason::IdleTimeout); see
        /// [`Conn::set_idle_timeout`](crate::Conn::set_idle_timeout). Milliseconds count, up to 49 days; default none.
        idle_timeout: Option<Duration> = None,
        /// Keepalive for TCP, so that a peer that has vanished is found out without the help of a protocol. Default off.
        keepalive: Option<Keepalive> = None,
        /// How long a closed connection waits, without hearing anything, for the peer's end of file, so that
        /// what was sent last is not destroyed by a reset. Default 2 s.
        linger: Duration = Duration::from_secs(2),
        /// How long `close()` may take in all, flushing and lingering together, before the connection is
        /// reset. Default 30 s.
        close_timeout: Duration = Duration::from_secs(30),
    }
}

/// What happens to a client for whom there is no place: [`ListenOptions::when_full`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits in the backlog until a connection ends; beyond the backlog, the system lets it wait or refuses it.
    Wait,
    /// It is accepted and closed at once, so that it knows and can go elsewhere.
    Close,
}

options! {
    /// When and how often TCP asks a silent peer whether it is still there, tcp(7). What was not answered `retries`
    /// times in a row ends the connection with an error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate::{Keepalive, Options};
    ///
    /// let twice_a_minute = Keepalive::default().after(Duration::from_secs(30)).retries(3);
    /// let options = Options::default().keepalive(Some(twice_a_minute));
    /// # assert_eq!(options.keepalive.unwrap().retries, 3);
    /// ```
    Keepalive {
        /// How long nothing was heard before it first asks; whole seconds. Default 60 s.
        after: Duration = Duration::from_secs(60),
        /// How long it waits for an answer before it asks again; whole seconds. Default 10 s.
        interval: Duration = Duration::from_secs(10),
        /// How often it asks before it gives up. Default 6.
        retries: u32 = 6,
    }
}

options! {
    /// How a listener is made: [`Net::listen_with`](crate::Net::listen_with).
    ///
    /// ```
    /// let options = tidegate::ListenOptions::default().backlog(128);
    /// assert_eq!(options.backlog, 128);
    /// ```
    ListenOptions {
        /// How many connections the kernel keeps until they are accepted, see listen(2); Linux silently caps
        /// it at `net.core.somaxconn`. Default 1024.
        backlog: u32 = 1024,
        /// How many connections that came in here may be open at once, those that linger included. Default: only
        /// [`Options::max_connections`] counts.
        max_connections: usize = usize::MAX,
        /// What happens to further clients while there are as many as there may be. Default [`WhenFull::Wait`].
        when_full: WhenFull = WhenFull::Wait,
        /// Sets SO_REUSEPORT, so that several reactors can each have a listener on one address and the kernel
        /// spreads the connections. Unix only; elsewhere listening fails. Default false.
        reuse_port: bool = false,
    }
}

impl Options {
    /// The same with values that cannot be meant put right, so that the rest of the crate need not look.
    pub(crate) fn checked(mut self) -> Self {
        for at_least_one in [
            &mut self.high_water,
            &mut self.max_inbox,
            &mut self.read_buffer,
            &mut self.read_budget,
            &mut self.write_budget,
            &mut self.accept_budget,
        ] {
            *at_least_one = (*at_least_one).max(1);
        }
        // A connection counts these in 32 bits: there may be very many connections. An outbox may own some times its limit.
        const GIB: usize = 1 << 30;
        for at_most_a_gib in [&mut self.max_outbox, &mut self.max_inbox, &mut self.write_budget] {
            *at_most_a_gib = (*at_most_a_gib).min(GIB);
        }
        // `Full` has to come before the end.
        self.high_water = self.high_water.min(self.max_outbox).max(1);
        // "Below low water" has to be reachable: an empty outbox is below 1.
        self.low_water = self.low_water.clamp(1, self.high_water);
        self
    }
}
