//! The options of one outgoing connection.

use std::{net::SocketAddr, time::Duration};

use super::{Keepalive, Options};

options! {
    /// How an outgoing connection is made, and its own limits: [`Net::connect_with`](crate::Net::connect_with).
    ///
    /// A limit that is `None` is that of the reactor ([`Options`]).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate::{Address, ConnId, ConnectOptions, Net};
    ///
    /// /// All addresses together have three seconds, and a large answer may wait for a slow backend.
    /// fn dial(net: &mut Net, backend: &Address) -> ConnId {
    ///     let options = ConnectOptions::default().timeout(Some(Duration::from_secs(3))).high_water(Some(1 << 20));
    ///     net.connect_with(backend, (), options)
    /// }
    /// ```
    ConnectOptions {
        /// How long all addresses together may take to answer. Without [`address_timeout`](Self::address_timeout), each
        /// address gets an equal share of the time that is left, and the last address gets the rest, so that an address that
        /// never answers cannot use up the time of the others. The time counts from the turn after the call. Default none:
        /// the system gives up, which takes about two minutes for each address on Linux.
        timeout: Option<Duration> = None,
        /// How long each address may take to answer before the next address is tried, within
        /// [`timeout`](Self::timeout). Default none.
        address_timeout: Option<Duration> = None,
        /// The local address that the socket is bound to before it connects; port 0 lets the system choose the port. An
        /// address of the other family (IPv4 or IPv6) than the local address fails at once, and the next address is tried.
        /// With a fixed port, SO_REUSEADDR is set on Unix, so that the port can be used again at once. Default: the system
        /// chooses.
        local: Option<SocketAddr> = None,
        /// This connection's [`Options::high_water`].
        high_water: Option<usize> = None,
        /// This connection's [`Options::low_water`].
        low_water: Option<usize> = None,
        /// This connection's [`Options::max_outbox`].
        max_outbox: Option<usize> = None,
        /// This connection's [`Options::max_inbox`].
        max_inbox: Option<usize> = None,
        /// This connection's [`Options::keepalive`].
        keepalive: Option<Keepalive> = None,
        /// This connection's [`Options::idle_timeout`], which begins when the connection is open. `Duration::MAX` is as
        /// good as never.
        idle_timeout: Option<Duration> = None,
    }
}

impl ConnectOptions {
    /// The limits of this connection; `None` if it has no limits of its own.
    pub(crate) fn own_limits(self, of_all: &Options) -> Option<Box<OwnLimits>> {
        let sizes = [self.high_water, self.low_water, self.max_outbox, self.max_inbox];
        if sizes == [None; 4] && self.keepalive.is_none() {
            return None;
        }
        let mut own = of_all.clone();
        own.high_water = self.high_water.unwrap_or(own.high_water);
        own.low_water = self.low_water.unwrap_or(own.low_water);
        own.max_outbox = self.max_outbox.unwrap_or(own.max_outbox);
        own.max_inbox = self.max_inbox.unwrap_or(own.max_inbox);
        own.keepalive = self.keepalive.clone().or(own.keepalive);
        Some(Box::new(OwnLimits { wishes: self, options: own.checked() }))
    }
}

/// The limits of one connection.
#[derive(Debug)]
pub(crate) struct OwnLimits {
    /// The options that the connection was made with. They say which of the limits are its own.
    wishes: ConnectOptions,
    /// The options of the reactor with the connection's own limits in their place.
    options: Options,
}

impl OwnLimits {
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The limits in another reactor.
    pub(crate) fn joined_with(self, of_all: &Options) -> Option<Box<Self>> {
        self.wishes.own_limits(of_all)
    }
}
