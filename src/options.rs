//! The options, each with its unit and its default.

use std::time::Duration;

/// Declares an options struct with public fields to read, and for each field a chained setter of the same name.
///
/// The docs of a field are also the docs of its setter. The setter gets the example behind `=>` as well. Every line of an
/// example begins with a space, as after `///`, because rustdoc removes that indent from all lines.
macro_rules! options {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr $(=> { $(#[$line:meta])* })?,)*
    }) => {
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
                $(
                    #[doc = ""]
                    #[doc = " ```"]
                    #[doc = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/options/example.md"))]
                    $(#[$line])*
                    #[doc = " ```"]
                )?
                #[must_use]
                pub fn $field(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

mod connect;
mod datagram;
mod keepalive;
mod listen;

pub use connect::ConnectOptions;
pub(crate) use connect::OwnLimits;
pub use datagram::DatagramOptions;
pub use keepalive::Keepalive;
pub use listen::{ListenOptions, WhenFull};

options! {
    /// The limits of a [`Reactor`](crate::Reactor) and of each connection in it.
    ///
    /// Fields are read directly and set by chaining. Sizes are bytes.
    ///
    /// ```
    /// let options = tidegate::Options::default().high_water(1 << 20).low_water(256 << 10);
    /// assert_eq!(options.high_water, 1_048_576);
    /// ```
    ///
    /// The example of each setter shows what the limit does. In the examples, `echo` is a handler that sends whole lines
    /// back and counts the calls of `on_writable`, and `run_until` makes turns until the [`Stats`](crate::Stats) are as
    /// asked.
    Options {
        /// From this many unsent bytes on, a connection's sends return [`Flow::Full`](crate::Flow::Full) and its reading
        /// pauses by itself; the latter is off by default for outgoing connections, see
        /// [`pause_when_full`](crate::Conn::pause_when_full). Bytes; default 64 KiB, at least 1; never above
        /// [`max_outbox`](Self::max_outbox).
        high_water: usize = 64 << 10 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().high_water(1000));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.capacity(client, 0); // the client does not read
            /// assert_eq!(rehearsal.net().send_all(client, &[0; 999]), Flow::Open);
            /// assert_eq!(rehearsal.net().send_all(client, &[0; 1]), Flow::Full);
            /// rehearsal.receive(&mut echo, client, b"hello\n");
            /// assert_eq!(rehearsal.net().stats().bytes_received, 0);
        },
        /// Below this many unsent bytes, reading goes on and `on_writable` is called. Bytes; default 32 KiB; never above
        /// [`high_water`](Self::high_water). 0 counts as 1: nothing may be unsent.
        low_water: usize = 32 << 10 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().high_water(1000).low_water(400));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.capacity(client, 0);
            /// rehearsal.receive(&mut echo, client, &[b'\n'; 1000]); // the answer is `Flow::Full`
            /// for (reads, writable) in [(600, 0), (1, 1)] { // 400 bytes stay unsent, then 399
            ///     rehearsal.capacity(client, reads);
            ///     rehearsal.settle(&mut echo);
            ///     assert_eq!(echo.writable, writable);
            /// }
        },
        /// A send that would leave more than this many bytes unsent ends the connection with
        /// [`CloseReason::OutboxLimit`](crate::CloseReason::OutboxLimit) and a reset, and returns
        /// [`Flow::Gone`](crate::Flow::Gone). Shared bytes count for each connection, and files of
        /// [`send_file`](crate::Conn::send_file) do not count. Bytes; default 16 MiB, at most 1 GiB.
        max_outbox: usize = 16 << 20 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().max_outbox(1000));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.capacity(client, 0); // the client does not read
            /// assert_ne!(rehearsal.net().send_all(client, &[0; 1000]), Flow::Gone);
            /// assert_eq!(rehearsal.net().send_all(client, &[0; 1]), Flow::Gone);
            /// rehearsal.settle(&mut echo);
            /// assert_eq!(rehearsal.why(client), Some(CloseKind::OutboxLimit));
        },
        /// The greatest length of a message. A handler can find a message only when all of it is there, so this is how many
        /// received bytes a connection keeps for its handler, and 16 bytes more: these are room for the line end or the
        /// length that belongs to a message of the greatest length. So a protocol passes the same number to
        /// [`framing`](crate::framing).
        ///
        /// If [`on_data`](crate::Handler::on_data) is shown `max_inbox + 16` bytes and consumes none of them, or if it
        /// [needs](crate::Conn::need) more than these, the connection ends with
        /// [`CloseReason::InboxLimit`](crate::CloseReason::InboxLimit) and a reset. Bytes that a pause or high water keeps back
        /// do not end the connection: it is not read any further. Bytes; default 256 KiB, at least 1, at most 1 GiB.
        max_inbox: usize = 256 << 10 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().max_inbox(10));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.receive(&mut echo, client, &[b'.'; 25]);
            /// assert!(rehearsal.is_open(client), "one more byte fits");
            /// rehearsal.receive(&mut echo, client, b".");
            /// assert_eq!(rehearsal.why(client), Some(CloseKind::InboxLimit));
        },
        /// How much storage all outboxes and inboxes may own together. A block of
        /// [`send_shared`](crate::Conn::send_shared) counts once for all connections that were sent it in a row, and once more
        /// if it is sent again after another block, so the sum is never too small. Files of
        /// [`send_file`](crate::Conn::send_file) do not count. Beyond the budget, the connection that holds the most is reset
        /// with [`CloseReason::MemoryLimit`](crate::CloseReason::MemoryLimit), and then the next, until the budget
        /// is kept. Bytes; default 1 GiB.
        memory_budget: usize = 1 << 30 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().memory_budget(1000));
            /// let [small, large] = [(); 2].map(|()| rehearsal.accept(&mut echo).unwrap());
            /// for (client, bytes) in [(large, 600), (small, 500)] {
            ///     rehearsal.capacity(client, 0); // the client does not read
            ///     rehearsal.net().send_all(client, &vec![0; bytes]);
            ///     rehearsal.settle(&mut echo);
            /// }
            /// assert_eq!(rehearsal.why(large), Some(CloseKind::MemoryLimit));
            /// assert!(rehearsal.is_open(small));
        },
        /// The size of the buffer that every `recv` goes into; all connections share this buffer. Bytes; default 256 KiB,
        /// at least 1; a larger value than [`max_inbox`](Self::max_inbox) is reduced to it. After a pause or high water has
        /// kept back more than 16 KiB, a `recv` asks for 16 KiB, until the handler takes what that brings without a pause.
        read_buffer: usize = 256 << 10 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().read_buffer(1000));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.receive(&mut echo, client, &[b'\n'; 2500]);
            /// assert_eq!(rehearsal.net().stats().receives, 3); // 1000, 1000 and 500 bytes
        },
        /// How much one connection may read in a turn before the other connections have their turns. The last `recv` may
        /// pass the budget. Bytes; default 256 KiB, one read buffer; at least 1.
        read_budget: usize = 256 << 10 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().read_buffer(500).read_budget(1000));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// let before = rehearsal.net().stats().turns;
            /// rehearsal.receive(&mut echo, client, &[b'\n'; 2300]);
            /// assert_eq!(rehearsal.net().stats().receives, 5);
            /// assert_eq!(rehearsal.net().stats().turns - before, 3); // 1000, 1000 and 300 bytes
        },
        /// How much the kernel is handed for one connection in a turn. A send that meets the end of this budget returns
        /// [`Flow::Full`](crate::Flow::Full), and the rest leaves in the next turns. Bytes; default 1 MiB, at least 1, at
        /// most 1 GiB.
        write_budget: usize = 1 << 20 => {
            /// let mut rehearsal = Rehearsal::new(Options::default().write_budget(1000));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// let before = rehearsal.net().stats().turns;
            /// rehearsal.receive(&mut echo, client, &[b'\n'; 2500]);
            /// assert_eq!(rehearsal.sent(client).len(), 2500);
            /// assert_eq!(rehearsal.net().stats().turns - before, 3); // 1000, 1000 and 500 bytes
        },
        /// How much all connections together may receive and send in a turn; connections that were not served are served
        /// in the next turn. The budget is compared after each connection that was served, and after each connection that
        /// was sent to from elsewhere, so the last of them may pass the budget by its own budgets. Timers, wakes and the
        /// beginning of a drain are not limited by it. Bytes; default `usize::MAX`, no limit; at least 1.
        turn_budget: usize = usize::MAX => {
            /// let mut rehearsal = Rehearsal::new(Options::default().turn_budget(1000));
            /// let clients = [(); 3].map(|()| rehearsal.accept(&mut echo).unwrap());
            /// clients.map(|client| rehearsal.net().conn(client).unwrap().pause_reading());
            /// clients.map(|client| rehearsal.receive(&mut echo, client, &[b'\n'; 600]));
            /// clients.map(|client| rehearsal.net().resume_reading(client));
            /// let before = rehearsal.net().stats().turns;
            /// rehearsal.settle(&mut echo);
            /// assert_eq!(rehearsal.net().stats().turns - before, 3); // 600 bytes in and 600 out, each
        },
        /// How many events [`EventLoop`](crate::EventLoop) takes from the system at a time. The loop polls again, without
        /// waiting, until fewer events come. The loop owns the room for this many events as long as it lives. Default
        /// 1024, at least 1.
        ///
        /// mio's `poll(2)` selector ignores this option: it returns all events at once.
        event_capacity: usize = 1024 => {
            /// let mut server = EventLoop::new(Options::default().event_capacity(1))?;
            /// let listeners = [(); 2].map(|()| server.net().listen("127.0.0.1:0").unwrap());
            /// let at = listeners.map(|listener| server.net().local_address(listener).unwrap().to_string());
            /// let _clients = at.map(|at| TcpStream::connect(at).unwrap());
            /// assert_eq!(server.turn(&mut echo, Some(Duration::ZERO))?.events, 2);
            /// # std::io::Result::Ok(())
        },
        /// A turn may poll several times. When [`EventLoop`](crate::EventLoop) has received this many events in a turn, it
        /// polls no more, and the other events wait for the next turn. Default 16,384, at least 1.
        event_budget: usize = 16 << 10 => {
            /// let mut server = EventLoop::new(Options::default().event_capacity(1).event_budget(1))?;
            /// let listeners = [(); 2].map(|()| server.net().listen("127.0.0.1:0").unwrap());
            /// let at = listeners.map(|listener| server.net().local_address(listener).unwrap().to_string());
            /// let _clients = at.map(|at| TcpStream::connect(at).unwrap());
            /// let turn = server.turn(&mut echo, Some(Duration::ZERO))?;
            /// # if cfg!(not(mio_unsupported_force_poll_poll)) { // that selector returns all events at once
            /// assert_eq!((turn.events, turn.more), (1, true));
            /// # }
            /// # std::io::Result::Ok(())
        },
        /// How many connections one listener accepts in a turn. Default 256, at least 1.
        accept_budget: usize = 256 => {
            /// let mut server = EventLoop::new(Options::default().accept_budget(2))?;
            /// let listener = server.net().listen("127.0.0.1:0")?;
            /// let at = server.net().local_address(listener)?.to_string();
            /// let _clients = [(); 3].map(|()| TcpStream::connect(&at).unwrap());
            /// server.turn(&mut echo, Some(Duration::ZERO))?;
            /// assert!(server.net().stats().accepted <= 2);
            /// run_until(&mut server, |stats| stats.accepted == 3);
            /// # std::io::Result::Ok(())
        },
        /// How many connections may be open at once, lingering connections included. [`ListenOptions::when_full`] says
        /// whether further clients wait in the backlog until a connection ends, or are turned away. Connections of
        /// [`Net::connect`](crate::Net::connect) and [`Net::adopt_stream`](crate::Net::adopt_stream) are not limited, but
        /// they count. Default: as many as there are tokens.
        max_connections: usize = usize::MAX => {
            /// let mut server = EventLoop::new(Options::default().max_connections(1))?;
            /// let listener = server.net().listen("127.0.0.1:0")?;
            /// let at = server.net().local_address(listener)?.to_string();
            /// let (first, _second) = (TcpStream::connect(&at)?, TcpStream::connect(&at)?);
            /// run_until(&mut server, |stats| stats.accepted > 0 && stats.turns >= 1000);
            /// assert_eq!(server.net().stats().accepted, 1);
            /// drop(first);
            /// run_until(&mut server, |stats| stats.accepted == 2);
            /// # std::io::Result::Ok(())
        },
        /// A connection on which no byte has moved for this time ends with
        /// [`CloseReason::IdleTimeout`](crate::CloseReason::IdleTimeout): with a reset if bytes were unsent, otherwise with a
        /// close that waits for nothing; see [`Conn::set_idle_timeout`](crate::Conn::set_idle_timeout). The time is rounded
        /// up to whole milliseconds, at least 1; a time of more than 49 days counts as none. Default none.
        ///
        /// With nothing unsent, the peer reads an end of file, also in the middle of an answer that the handler has not
        /// handed to a send yet. A protocol whose end is the end of file, as in a proxy, therefore needs a timeout of its
        /// own: [`Conn::set_timeout`](crate::Conn::set_timeout), and [`Conn::abort`](crate::Conn::abort) in `on_timeout`.
        idle_timeout: Option<Duration> = None => {
            /// let minute = Duration::from_secs(60);
            /// let mut rehearsal = Rehearsal::new(Options::default().idle_timeout(Some(minute)));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.advance(&mut echo, minute - Duration::from_millis(1));
            /// assert!(rehearsal.is_open(client));
            /// rehearsal.advance(&mut echo, Duration::from_millis(1));
            /// assert_eq!(rehearsal.why(client), Some(CloseKind::IdleTimeout));
            /// assert!(!rehearsal.is_reset(client), "nothing was unsent");
        },
        /// Keepalive for TCP, which finds out that a peer has vanished without the help of a protocol. Default off.
        keepalive: Option<Keepalive> = None => {
            /// let options = Options::default().keepalive(Some(Keepalive::default()));
            /// let mut server = EventLoop::<()>::new(options)?;
            /// server.net().listen("127.0.0.1:0")?; // the connections are probed after a minute of silence
            /// # std::io::Result::Ok(())
        },
        /// How long a closed connection waits without input for the peer's end of file, so that a reset does not destroy
        /// the bytes that were sent last. Default 2 s; with zero, the connection does not wait.
        linger: Duration = Duration::from_secs(2) => {
            /// let mut rehearsal = Rehearsal::new(Options::default().linger(Duration::from_secs(5)));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.net().close(client); // the client does not end its side
            /// rehearsal.advance(&mut echo, Duration::from_secs(4));
            /// assert_eq!(rehearsal.why(client), Some(CloseKind::Closed)); // `on_close` has come
            /// assert_eq!(rehearsal.net().stats().open, 1); // but the socket is still there
            /// rehearsal.advance(&mut echo, Duration::from_secs(1));
            /// assert_eq!(rehearsal.net().stats().open, 0);
        },
        /// How long `close()` may take in all, flushing and lingering together, before the connection is reset. If bytes
        /// are unsent then, the reason is [`CloseReason::CloseTimeout`](crate::CloseReason::CloseTimeout). Default 30 s.
        close_timeout: Duration = Duration::from_secs(30) => {
            /// let mut rehearsal = Rehearsal::new(Options::default().close_timeout(Duration::from_secs(5)));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.capacity(client, 0); // the client does not read
            /// rehearsal.receive(&mut echo, client, b"hello\n");
            /// rehearsal.net().close(client);
            /// rehearsal.advance(&mut echo, Duration::from_secs(5));
            /// assert_eq!(rehearsal.why(client), Some(CloseKind::CloseTimeout));
            /// assert!(rehearsal.is_reset(client), "the answer was not delivered");
        },
        /// How long a connection must be idle in a drain before the default [`on_drain`](crate::Handler::on_drain) closes
        /// the connection; see [`Conn::close_when_idle`](crate::Conn::close_when_idle). Default 250 ms, at least 1 ms.
        drain_quiet: Duration = Duration::from_millis(250) => {
            /// let mut rehearsal = Rehearsal::new(Options::default().drain_quiet(Duration::from_secs(1)));
            /// let client = rehearsal.accept(&mut echo).unwrap();
            /// rehearsal.net().drain(Duration::from_secs(60));
            /// rehearsal.advance(&mut echo, Duration::from_millis(900));
            /// rehearsal.receive(&mut echo, client, b"one more\n"); // the echo is sent, and the second begins again
            /// rehearsal.advance(&mut echo, Duration::from_millis(900));
            /// assert!(rehearsal.is_open(client));
            /// rehearsal.advance(&mut echo, Duration::from_millis(100));
            /// assert_eq!(rehearsal.why(client), Some(CloseKind::Drained));
        },
    }
}

/// An inbox takes so many bytes beyond `max_inbox`: the line end or the length of a message that has `max_inbox` bytes
/// itself. So a protocol can have `max_inbox` as its greatest length of a message.
pub(crate) const MESSAGE_OVERHEAD: usize = 16;

impl Options {
    /// How many bytes an inbox takes.
    pub(crate) fn inbox_limit(&self) -> usize {
        self.max_inbox + MESSAGE_OVERHEAD
    }

    /// Corrects values that cannot be meant, so that the rest of the crate does not have to check them.
    pub(crate) fn checked(mut self) -> Self {
        for at_least_one in [
            &mut self.high_water,
            &mut self.max_inbox,
            &mut self.read_buffer,
            &mut self.read_budget,
            &mut self.write_budget,
            &mut self.accept_budget,
            &mut self.turn_budget,
            &mut self.event_capacity,
            &mut self.event_budget,
        ] {
            *at_least_one = (*at_least_one).max(1);
        }
        // A connection counts these bytes in 32 bits, to be small. The storage of an outbox may be some times its limit.
        const GIB: usize = 1 << 30;
        for at_most_a_gib in [&mut self.max_outbox, &mut self.max_inbox, &mut self.write_budget] {
            *at_most_a_gib = (*at_most_a_gib).min(GIB);
        }
        // A `recv` never asks for more than an empty inbox could take.
        self.read_buffer = self.read_buffer.min(self.max_inbox);
        // A handler has to be told `Full` before `max_outbox` ends the connection.
        self.high_water = self.high_water.min(self.max_outbox).max(1);
        // An outbox must be able to come below low water: an empty outbox is below 1.
        self.low_water = self.low_water.clamp(1, self.high_water);
        // The system takes whole seconds and refuses zero; the connection would then have no keepalive.
        if let Some(keepalive) = &mut self.keepalive {
            const SECOND: Duration = Duration::from_secs(1);
            keepalive.after = keepalive.after.max(SECOND);
            keepalive.interval = keepalive.interval.max(SECOND);
            keepalive.retries = keepalive.retries.max(1);
        }
        self
    }
}
