//! How a connection that this side has brought about becomes open.

use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    address::{Address, Endpoint},
    id::TimerId,
    options::ConnectOptions,
    socket::readiness::Readiness,
};

use super::clock::later;

#[derive(Debug)]
pub(crate) enum Opening {
    Connecting(Connecting),
    /// The address cannot be used: the connection ends with this error.
    NoAddress(io::Error),
    /// The stream was connected when `adopt_stream` got it: only `on_open` is still to be called.
    Adopted,
    /// The stream comes from another reactor and is configured: only `on_open` is still to be called.
    Attached,
}

/// A connect, which tries the addresses in order.
#[derive(Debug)]
pub(crate) struct Connecting {
    to: Address,
    local: Option<SocketAddr>,
    /// The index of the address to try after the present one.
    next: usize,
    pub(super) under_way: bool,
    /// The time of the present address, or of all addresses, is over.
    pub(super) timed_out: bool,
    /// Fires at the end of the time that the present address has.
    pub(super) timer: Option<TimerId>,
    /// The end of the time that the present address has.
    pub(super) give_up: Option<Instant>,
    /// The input that events have told of. The ready bits of the connection get this field when the connection opens.
    pub(super) input: Readiness,
    timeout: Option<Duration>,
    address_timeout: Option<Duration>,
    /// The end of `timeout`, from the first attempt on.
    end: Option<Instant>,
}

impl Opening {
    pub(crate) fn connecting(to: Address, options: &ConnectOptions) -> Self {
        Self::Connecting(Connecting {
            to,
            local: options.local,
            next: 0,
            under_way: false,
            timed_out: false,
            timer: None,
            give_up: None,
            input: Readiness::default(),
            timeout: options.timeout,
            address_timeout: options.address_timeout,
            end: None,
        })
    }

    pub(super) fn timer(&mut self) -> Option<&mut Option<TimerId>> {
        match self {
            Self::Connecting(connecting) => Some(&mut connecting.timer),
            Self::NoAddress(_) | Self::Adopted | Self::Attached => None,
        }
    }
}

impl Connecting {
    /// Goes on to the next address. Returns the address, and the time at which it is given up; `None` if no address is left,
    /// or no time.
    pub(super) fn next_address(&mut self, now: Instant) -> Option<(Endpoint, Option<Instant>)> {
        if self.end.is_none() {
            self.end = self.timeout.map(|timeout| later(now, timeout));
        }
        self.timed_out = self.end.is_some_and(|end| now >= end);
        let endpoint = self.to.endpoint(self.next).filter(|_| !self.timed_out)?;
        // A Unix address is one endpoint, and has no socket addresses.
        let left = self.to.socket_addrs().len().max(1) - self.next;
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let share = self.end.map(|end| match self.address_timeout {
            Some(_) => end,
            None => now + end.saturating_duration_since(now) / left,
        });
        let own = self.address_timeout.map(|timeout| later(now, timeout));
        self.next += 1;
        Some((endpoint, [share, own].into_iter().flatten().min()))
    }

    /// The error of the present address, with the address in its text.
    pub(super) fn failed(&self, cause: io::Error) -> io::Error {
        let address = match self.to.socket_addrs().get(self.next.saturating_sub(1)) {
            Some(address) => Address::from(*address),
            None => self.to.clone(),
        };
        let error = io::Error::new(cause.kind(), AddressFailed { address, cause });
        log::debug!("{error}");
        error
    }

    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.local
    }
}

/// Why an address could not be connected to. The source is the error of the system, with its number.
#[derive(Debug)]
struct AddressFailed {
    address: Address,
    cause: io::Error,
}

impl fmt::Display for AddressFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.address, self.cause)
    }
}

impl Error for AddressFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connecting(addresses: u16, options: &ConnectOptions) -> Connecting {
        let list: Vec<_> = (1..=addresses).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        match Opening::connecting(Address::from_list(&list).unwrap(), options) {
            Opening::Connecting(connecting) => connecting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_address_gets_an_equal_share_of_the_time_that_is_left() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut connecting = connecting(3, &ConnectOptions::default().timeout(Some(6 * second)));
        let mut ends = |at| connecting.next_address(now + at).map(|(_, end)| end.unwrap() - now);
        assert_eq!(ends(Duration::ZERO), Some(2 * second));
        assert_eq!(ends(Duration::ZERO), Some(3 * second), "the first address failed at once");
        assert_eq!(ends(3 * second), Some(6 * second), "the last address gets the rest");
    }

    #[test]
    fn a_timeout_for_each_address_is_cut_by_the_timeout_for_all() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let options = ConnectOptions::default().timeout(Some(5 * second)).address_timeout(Some(3 * second));
        let mut connecting = connecting(3, &options);
        let mut ends = |at| connecting.next_address(now + at).map(|(_, end)| end.unwrap() - now);
        assert_eq!(ends(Duration::ZERO), Some(3 * second));
        assert_eq!(ends(3 * second), Some(5 * second));
        assert_eq!(ends(5 * second), None, "no time is left");
        assert!(connecting.timed_out);
    }

    #[test]
    fn without_a_timeout_no_address_is_given_up() {
        let mut connecting = connecting(1, &ConnectOptions::default());
        assert!(matches!(connecting.next_address(Instant::now()), Some((_, None))));
        assert!(connecting.next_address(Instant::now()).is_none() && !connecting.timed_out);
    }
}
