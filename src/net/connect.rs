//! Outgoing connections.

use crate::{address::ToAddress, engine::Opening, id::ConnId, options::ConnectOptions};

use super::Net;

/// Outgoing connections.
impl<S> Net<S> {
    /// `connect()`: begins to connect and cannot fail on the spot.
    ///
    /// The addresses are tried in order. Bytes that are sent meanwhile wait in the outbox. `on_open` comes when the
    /// connection is established; every failure comes later, in `on_close`, with the session back: as
    /// [`ConnectFailed`](crate::CloseReason::ConnectFailed), also if all tokens or descriptors are taken, or if a text is no
    /// address. [`was_open`](Self::was_open) tells in `on_close` whether the connection was established. A connection that the
    /// peer has accepted and reset meanwhile was established: `on_open` comes, then the bytes before the reset, and then
    /// `on_close` with [`Reset`](crate::CloseReason::Reset).
    ///
    /// Nothing is looked up, so a text that has a name is such a failure: [`Address::resolve`](crate::Address::resolve) looks
    /// names up, before the loop runs or on another thread.
    ///
    /// Reading does not pause by itself above high water: see [`Conn::pause_when_full`](crate::Conn::pause_when_full).
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use tidegate::{Address, Net};
    ///
    /// fn dial(net: &mut Net, resolved_before: &Address) {
    ///     net.connect(resolved_before, ());
    ///     net.connect("127.0.0.1:7007", ());
    ///     net.connect((Ipv4Addr::LOCALHOST, 7007), ());
    /// }
    /// ```
    pub fn connect(&mut self, to: impl ToAddress, session: S) -> ConnId {
        self.connect_with(to, session, ConnectOptions::default())
    }

    /// [`connect`](Self::connect) with timeouts, a local address, and limits of the connection's own.
    ///
    /// When the time is over, the reason in `on_close` is [`ConnectFailed`](crate::CloseReason::ConnectFailed) with an error
    /// of the kind [`TimedOut`](std::io::ErrorKind::TimedOut).
    pub fn connect_with(&mut self, to: impl ToAddress, session: S, options: ConnectOptions) -> ConnId {
        let Some(slot) = self.engine.reserve_slot() else {
            let id = self.engine.id_without_slot();
            self.unplaced.push_back((id, session));
            return id;
        };
        let opening = match to.to_address_without_lookup() {
            Ok(address) => Opening::connecting(address, &options),
            Err(error) => Opening::NoAddress(error),
        };
        let id = self.engine.place_connecting(slot, opening, options);
        self.put_session(slot, session);
        id
    }
}
