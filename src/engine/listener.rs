//! A listener with the bookkeeping around it.

use std::io;

use socket2::SockRef;

use crate::{
    address::Address,
    id::TimerId,
    options::{ListenOptions, Options, WhenFull},
    socket::{
        listener::{Accept, ListenSocket, Listener},
        options::Wishes,
    },
};

#[derive(Debug)]
pub(crate) struct ListenerRecord {
    pub(super) socket: Listener,
    options: ListenOptions,
    /// An event said that clients wait, and no `accept` has met the end of the backlog since.
    readable: bool,
    /// The host wants no more clients.
    paused: bool,
    /// How many connections that this listener accepted are open.
    open: usize,
    /// Accepting has paused because a resource is used up; this timer ends the pause.
    pub(super) retry: Option<TimerId>,
}

impl ListenerRecord {
    pub(super) fn new(socket: Listener, options: ListenOptions) -> Self {
        Self { socket, options, readable: false, paused: false, open: 0, retry: None }
    }

    pub(super) fn set_readable(&mut self) {
        self.readable = true;
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// True if clients may wait and are wanted.
    pub(super) fn is_ready(&self) -> bool {
        self.readable && !self.paused
    }

    pub(super) fn is_full(&self) -> bool {
        self.open >= self.options.max_connections
    }

    /// How many of its connections are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn when_full(&self) -> WhenFull {
        self.options.when_full
    }

    pub(super) fn backlog(&self) -> usize {
        self.options.backlog as usize
    }

    pub(super) fn accept(&mut self, options: &Options) -> Accept {
        let accept = self.socket.accept(wishes(&self.options, options));
        if let Accept::WouldBlock = accept {
            self.readable = false;
        }
        accept
    }

    /// Sets the options of a listener that the host made.
    pub(super) fn configure_adopted(&mut self, options: &Options) {
        self.socket.configure_adopted(wishes(&self.options, options));
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.socket.is_tcp()
    }

    pub(super) fn into_socket(self) -> ListenSocket {
        self.socket.into()
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        self.socket.socket()
    }

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        self.socket.local_address()
    }

    pub(super) fn count_opened(&mut self) {
        self.open += 1;
    }

    pub(super) fn count_closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

/// The options of the listener's connections: its own, and those of the reactor where it has none.
fn wishes<'a>(own: &'a ListenOptions, of_all: &'a Options) -> Wishes<'a> {
    Wishes { nodelay: own.nodelay, keepalive: own.keepalive.as_ref().or(of_all.keepalive.as_ref()) }
}
