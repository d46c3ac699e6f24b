//! An operating system in memory, for the simulation: streams, listeners, latency, readiness and faults.
//!
//! While a [`Network`] is installed on a thread, the calls of [`crate::socket`] that would reach the system on this thread
//! reach the network. The handles are numbers, and all state is in the network, so the simulation sees both ends of each
//! stream.

mod conduct;
mod content;
mod datagrams;
mod end;
mod listening;
mod network;
mod parts;
mod pipe;
mod polling;
mod random;
mod raw;
mod watching;

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice, Read, Write},
    net::SocketAddr,
    time::Instant,
};

use mio::Token;

use crate::{
    address::Endpoint,
    options::ListenOptions,
    socket::file::{FileError, FileRange},
};

pub(crate) use self::{
    conduct::Conduct,
    content::{PERIOD, shared_table},
    end::Moved,
    listening::BLACK_HOLE,
    network::Network,
    polling::SimulatedEvent,
    random::Random,
    watching::SimulatedSource,
};

thread_local! {
    static NETWORK: RefCell<Option<Box<Network>>> = const { RefCell::new(None) };
}

thread_local! {
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// True if the run on this thread writes a trace.
pub(crate) fn is_traced() -> bool {
    TRACED.get()
}

/// Puts a network in the place of the system, for this thread.
pub(crate) fn install(network: Network) {
    TRACED.set(network.is_traced());
    NETWORK.with_borrow_mut(|place| *place = Some(Box::new(network)));
}

pub(crate) fn uninstall() -> Option<Box<Network>> {
    TRACED.set(false);
    NETWORK.with_borrow_mut(Option::take)
}

/// Calls `f` with the network of this thread; `None` if there is none.
pub(crate) fn with<R>(f: impl FnOnce(&mut Network) -> R) -> Option<R> {
    NETWORK.with_borrow_mut(|network| network.as_deref_mut().map(f))
}

/// The seams: each of these functions returns `None` if no simulation runs on this thread.
pub(crate) fn read_clock() -> Option<Instant> {
    with(Network::read_clock)
}

pub(crate) fn connect(to: &Endpoint, local: Option<SocketAddr>) -> Option<io::Result<SimulatedStream>> {
    #[cfg_attr(not(unix), allow(irrefutable_let_patterns, reason = "there are no other endpoints"))]
    let Endpoint::Internet(to) = to else { return None };
    with(|network| network.connect(*to, local).map(SimulatedStream))
}

pub(crate) fn listen(at: &[SocketAddr], options: &ListenOptions) -> Option<io::Result<SimulatedListener>> {
    with(|network| network.listen(at, options.backlog).map(SimulatedListener))
}

pub(crate) fn bind(at: &[SocketAddr]) -> Option<io::Result<SimulatedDatagrams>> {
    with(|network| network.bind(at).map(SimulatedDatagrams))
}

/// True if the network has the rules of portable selectors; `None` if no simulation runs on this thread.
pub(crate) fn is_portable() -> Option<bool> {
    with(|network| network.conduct.portable)
}

/// Opens the spare descriptor. `Some(false)`: there is none.
pub(crate) fn takes_descriptor() -> Option<bool> {
    with(Network::takes_descriptor)
}

pub(crate) fn gives_descriptor() {
    with(Network::gives_descriptor);
}

/// One end of a simulated stream.
#[derive(Debug)]
pub(crate) struct SimulatedStream(usize);

#[derive(Debug)]
pub(crate) struct SimulatedListener(usize);

#[derive(Debug)]
pub(crate) struct SimulatedDatagrams(usize);

/// No simulation: its streams are as good as closed.
fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn call<R>(f: impl FnOnce(&mut Network) -> io::Result<R>) -> io::Result<R> {
    with(f).unwrap_or_else(|| Err(gone()))
}

impl SimulatedStream {
    /// The end of a stream that was connected elsewhere.
    pub(crate) fn of(end: usize) -> Self {
        Self(end)
    }

    pub(crate) fn register(&self, token: Token) -> io::Result<()> {
        call(|network| network.register_end(self.0, token.0))
    }

    pub(super) fn deregister(&self) -> io::Result<()> {
        call(|network| network.deregister_end(self.0))
    }

    pub(super) fn connected(&self) -> Option<io::Result<()>> {
        with(|network| network.connected(self.0)).unwrap_or_else(|| Some(Err(gone())))
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        call(|network| network.shutdown_write(self.0))
    }

    pub(super) fn reset_on_close(&self) -> io::Result<()> {
        call(|network| network.reset_on_close(self.0))
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        call(|network| Ok(network.take_error(self.0)))
    }

    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        call(|network| network.addresses(self.0))
    }

    /// sendfile(2). With the portable rules there is no such call, and the program copies the file.
    pub(super) fn send_file(&mut self, file: &mut FileRange, most: usize) -> Result<usize, FileError> {
        if is_portable() != Some(false) {
            return file.copy_to(self, most);
        }
        let mut bytes = vec![0; most.min(usize::try_from(file.len()).unwrap_or(usize::MAX))];
        let n = file.read(&mut bytes)?;
        self.write(&bytes[..n]).map_err(FileError::Stream)
    }
}

impl Read for SimulatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        call(|network| network.read(self.0, buffer))
    }
}

impl Write for SimulatedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        call(|network| network.write(self.0, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        with(|network| network.close_end(self.0));
    }
}

impl SimulatedDatagrams {
    pub(super) fn register(&self, token: Token, writable: bool) -> io::Result<()> {
        call(|network| network.register_socket(self.0, token.0, writable))
    }

    pub(super) fn reregister(&self, writable: bool) -> io::Result<()> {
        call(|network| network.reregister_socket(self.0, writable))
    }

    pub(super) fn deregister(&self) -> io::Result<()> {
        call(|network| network.deregister_socket(self.0))
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        call(|network| Ok(network.socket_address(self.0)))
    }

    pub(super) fn connect(&self, to: SocketAddr) -> io::Result<()> {
        call(|network| {
            network.connect_socket(self.0, to);
            Ok(())
        })
    }

    pub(super) fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> io::Result<()> {
        call(|network| network.send_datagram(self.0, bytes, to))
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        call(|network| network.receive_datagram(self.0, buffer))
    }
}

impl Drop for SimulatedDatagrams {
    fn drop(&mut self) {
        with(|network| network.close_socket(self.0));
    }
}

impl SimulatedListener {
    pub(super) fn register(&self, token: Token) -> io::Result<()> {
        call(|network| network.register_listener(self.0, token.0))
    }

    pub(super) fn deregister(&self) -> io::Result<()> {
        call(|network| network.deregister_listener(self.0))
    }

    pub(super) fn accept(&self) -> io::Result<(SimulatedStream, SocketAddr)> {
        call(|network| network.accept(self.0)).map(|(end, peer)| (SimulatedStream(end), peer))
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        call(|network| Ok(network.listener_address(self.0)))
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        with(|network| network.close_listener(self.0));
    }
}
