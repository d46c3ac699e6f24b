//! Sources of the program: each of them is a counter that can be read.

use std::io::{self, ErrorKind};

use mio::{Interest, Registry, Token, event::Source};

use super::{
    call,
    end::Armed,
    network::Network,
    parts::{Registration, WatchedEnd},
    with,
};

/// A source that the program watches.
#[derive(Debug)]
pub(crate) struct SimulatedSource(usize);

impl SimulatedSource {
    pub(crate) fn new() -> Option<Self> {
        with(|network| {
            network.watched.push(WatchedEnd::default());
            Self(network.watched.len() - 1)
        })
    }

    pub(crate) fn feed(&self, count: usize, error: bool) {
        with(|network| network.feed(self.0, count, error));
    }

    pub(crate) fn unread(&self) -> usize {
        with(|network| network.watched[self.0].unread).unwrap_or(0)
    }

    pub(crate) fn is_registered(&self) -> bool {
        with(|network| network.watched[self.0].token.is_some()).unwrap_or(false)
    }

    /// Reads at most `most`. `None`: the read would block.
    pub(crate) fn read(&self, most: usize) -> Option<usize> {
        with(|network| network.read_watched(self.0, most)).flatten()
    }
}

impl Source for SimulatedSource {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        call(|network| {
            network.register(token.0, Registration::Watched(self.0))?;
            let this = &mut network.watched[self.0];
            (this.token, this.armed) = (Some(token.0), Armed::BOTH);
            network.edges.insert(token.0);
            Ok(())
        })
    }

    fn reregister(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        call(|network| {
            if network.watched[self.0].token != Some(token.0) {
                return Err(ErrorKind::NotFound.into());
            }
            network.watched[self.0].armed = Armed::BOTH;
            network.edges.insert(token.0);
            Ok(())
        })
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        call(|network| match network.watched[self.0].token.take() {
            Some(token) => network.deregister(token),
            None => Err(ErrorKind::NotFound.into()),
        })
    }
}

impl Network {
    fn feed(&mut self, source: usize, count: usize, error: bool) {
        let this = &mut self.watched[source];
        this.unread += count;
        this.has_error |= error;
        self.edges.extend(this.token);
    }

    fn read_watched(&mut self, source: usize, most: usize) -> Option<usize> {
        let this = &mut self.watched[source];
        this.has_error = false;
        let read = most.min(this.unread);
        this.unread -= read;
        if read == 0 {
            this.armed = Armed::BOTH;
        }
        (read > 0).then_some(read)
    }
}
