//! The options of a datagram socket.

use std::net::Ipv4Addr;

options! {
    /// The options of a datagram socket, for [`Net::bind`](crate::Net::bind).
    ///
    /// Fields are read directly and set by chaining. Sizes are bytes. An option that the system refuses fails `bind` with an
    /// error that names the option.
    ///
    /// ```
    /// use tidegate::{DatagramOptions, EventLoop, Options};
    ///
    /// let options = DatagramOptions::default().broadcast(true).queue(16);
    /// let mut server = EventLoop::<()>::new(Options::default())?;
    /// let socket = server.net().bind("127.0.0.1:0", options)?;
    /// println!("bound to {}", server.net().socket_address(socket)?);
    /// # std::io::Result::Ok(())
    /// ```
    DatagramOptions {
        /// The greatest size of a datagram that is delivered. A larger datagram is dropped as a whole and counted in
        /// [`Stats::datagrams_truncated`](crate::Stats::datagrams_truncated). Bytes; default and at most 65,535, which no
        /// datagram over IPv4 or IPv6 exceeds.
        max_size: usize = 65_535,
        /// How many datagrams wait in the queue of the socket while the kernel takes none. A further datagram takes the place of
        /// the oldest one. With 0 nothing is queued. Default 256.
        queue: usize = 256,
        /// How many bytes the datagrams of the queue have together at most. Bytes; default 1 MiB. The queue does not count
        /// for [`memory_budget`](crate::Options::memory_budget), because the program decides how many sockets there are.
        queue_bytes: usize = 1 << 20,
        /// How many datagrams the socket receives in a turn before the other sources have their turns;
        /// [`read_budget`](crate::Options::read_budget) bounds their bytes. The last system call may pass both budgets where it
        /// receives several datagrams. Default 256, at least 1.
        receive_budget: usize = 256,
        /// How many datagrams the kernel is handed in a turn; [`write_budget`](crate::Options::write_budget) bounds their
        /// bytes. Further datagrams wait in the queue for the next turn. Default 1024, at least 1.
        send_budget: usize = 1024,
        /// The size of the kernel's receive buffer, SO_RCVBUF. The system may round it or cut it to its own limit (Linux:
        /// `net.core.rmem_max`) without an error. Bytes; default: as the system has it.
        receive_buffer: Option<usize> = None,
        /// The size of the kernel's send buffer, SO_SNDBUF. The system may round it or cut it to its own limit (Linux:
        /// `net.core.wmem_max`) without an error. Bytes; default: as the system has it.
        send_buffer: Option<usize> = None,
        /// Allows datagrams to broadcast addresses, SO_BROADCAST. Default false.
        broadcast: bool = false,
        /// The limit of hops for datagrams to one receiver, IP_TTL and IPV6_UNICAST_HOPS. Default: as the system has it.
        ttl: Option<u32> = None,
        /// Delivers multicast datagrams of this socket to receivers on this machine too, IP_MULTICAST_LOOP and
        /// IPV6_MULTICAST_LOOP. Default: as the system has it (Linux: true).
        multicast_loop: Option<bool> = None,
        /// The limit of hops for multicast datagrams, IP_MULTICAST_TTL and IPV6_MULTICAST_HOPS. Default: as the system has it
        /// (1, the local network).
        multicast_ttl: Option<u32> = None,
        /// The address of the interface through which multicast datagrams over IPv4 leave, IP_MULTICAST_IF. Default: the
        /// system's choice.
        multicast_interface_v4: Option<Ipv4Addr> = None,
        /// The index of the interface through which multicast datagrams over IPv6 leave, IPV6_MULTICAST_IF. Default: the
        /// system's choice.
        multicast_interface_v6: Option<u32> = None,
        /// Lets several sockets be bound to one address, SO_REUSEADDR: several programs can then receive the datagrams of one
        /// multicast group. With other datagrams, one of the sockets gets all, so a second program could take the address
        /// over. Default false.
        reuse_address: bool = false,
        /// Lets several sockets be bound to one address, SO_REUSEPORT; on Linux the kernel spreads the senders over them.
        /// Unix only; on other platforms `bind` fails. Default false.
        reuse_port: bool = false,
        /// Whether a socket for IPv6 leaves IPv4 alone, IPV6_V6ONLY. Default: false for `":port"`, which receives both, and as
        /// the system has it for other addresses. Does not concern a socket for IPv4.
        only_v6: Option<bool> = None,
    }
}

impl DatagramOptions {
    /// Corrects values that cannot be meant.
    pub(crate) fn checked(mut self) -> Self {
        self.max_size = self.max_size.min(65_535);
        self.receive_budget = self.receive_budget.max(1);
        self.send_budget = self.send_budget.max(1);
        self
    }
}
