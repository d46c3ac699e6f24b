//! A connection that has left its reactor.

#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::{fmt, io, net::TcpStream};

use crate::{
    address::Address,
    engine::Loose,
    socket::{handover::HandOver, stream::Stream},
};

/// A connection that has left its reactor, with its session: for another reactor, in another thread if `S` is `Send`, or for the
/// program itself.
///
/// [`Conn::detach`](crate::Conn::detach) and [`Net::detach`](crate::Net::detach) make it, and
/// [`Net::attach`](crate::Net::attach) serves it again. It carries the bytes that were received and not consumed, and the bytes
/// that were sent and not taken by the kernel. If it is dropped, the session is dropped and the socket closes,
/// with a reset if bytes are unsent; there is no callback.
///
/// ```
/// use std::sync::mpsc::Sender;
/// use tidegate::{Accepted, Conn, Detached, Handler, Net};
///
/// /// Looks at the first byte and passes the client on to the loop of its protocol.
/// struct Sorter {
///     text: Sender<Detached<()>>,
///     binary: Sender<Detached<()>>,
/// }
///
/// impl Handler for Sorter {
///     type Session = ();
///
///     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
///         Some(())
///     }
///
///     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
///         let other_loop = if input[0].is_ascii_alphabetic() { &self.text } else { &self.binary };
///         let mut detached = conn.detach();
///         detached.put_back(input); // `on_data` has the bytes: those that it does not use must go along
///         let _ = other_loop.send(detached); // and a `Remote::wake` of that loop
///         0
///     }
/// }
/// ```
pub struct Detached<S = ()> {
    loose: Loose,
    session: S,
}

/// The parts of a detached connection: [`Detached::into_parts`].
#[derive(Debug)]
#[non_exhaustive]
pub struct DetachedParts<S = (), T = TcpStream> {
    /// The stream, in nonblocking mode.
    pub stream: T,
    /// The session.
    pub session: S,
    /// Bytes that were received and not consumed. They come before the bytes that the stream still has.
    pub received: Vec<u8>,
    /// Bytes that were sent and not taken by the kernel. They come before all that is sent by the stream.
    pub unsent: Vec<u8>,
}

impl<S> Detached<S> {
    pub(crate) fn new(loose: Loose, session: S) -> Self {
        Self { loose, session }
    }

    /// The inverse of [`new`](Self::new).
    pub(crate) fn into_loose(self) -> (Loose, S) {
        (self.loose, self.session)
    }

    /// The session.
    pub fn session(&self) -> &S {
        &self.session
    }

    /// The session, to be changed.
    pub fn session_mut(&mut self) -> &mut S {
        &mut self.session
    }

    /// Puts another session in the place of the session: the next loop may have sessions of another type.
    pub fn map<T>(self, session: impl FnOnce(S) -> T) -> Detached<T> {
        Detached { loose: self.loose, session: session(self.session) }
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// The errors are those of [`Conn::peer`](crate::Conn::peer).
    pub fn peer(&self) -> io::Result<Address> {
        self.loose.stream().peer()
    }

    /// Bytes that were received and not consumed. The next [`on_data`](crate::Handler::on_data) is shown these first.
    pub fn received(&self) -> &[u8] {
        self.loose.received()
    }

    /// Puts bytes in front of those that were received. A connection that is detached in `on_data` does not have the bytes that
    /// `on_data` was shown: the handler puts those back that it has not consumed.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.loose.put_back(bytes);
    }

    /// Bytes that were sent and not taken by the kernel, in order. A file of [`Conn::send_file`](crate::Conn::send_file), and
    /// what was sent behind it, is not among them.
    pub fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        self.loose.unsent()
    }

    /// How many bytes are unsent, those in files included.
    pub fn unsent_len(&self) -> usize {
        self.loose.unsent_len()
    }

    /// Takes the connection apart, for a program that serves it by itself.
    ///
    /// # Errors
    /// Gives the connection back if it has no TCP stream that is open, or if a file is unsent: it is a Unix socket, it is
    /// still connecting, or it was closed or aborted before.
    pub fn into_parts(self) -> Result<DetachedParts<S>, Self> {
        self.into_parts_of()
    }

    /// [`into_parts`](Self::into_parts) for a Unix socket.
    ///
    /// # Errors
    /// Gives the connection back in the cases of [`into_parts`](Self::into_parts), but the stream must be a Unix socket.
    #[cfg(unix)]
    pub fn into_unix_parts(self) -> Result<DetachedParts<S, UnixStream>, Self> {
        self.into_parts_of()
    }

    fn into_parts_of<T>(self) -> Result<DetachedParts<S, T>, Self>
    where
        T: HandOver<Source: TryFrom<Stream, Error = Stream>>,
    {
        let Self { loose, session } = self;
        match loose.into_parts() {
            Ok((stream, received, unsent)) => Ok(DetachedParts { stream, session, received, unsent }),
            Err(loose) => Err(Self { loose: *loose, session }),
        }
    }
}

impl<S> fmt::Debug for Detached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (received, unsent) = (self.received().len(), self.unsent_len());
        f.debug_struct("Detached")
            .field("received", &received)
            .field("unsent", &unsent)
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Detached<String>>();
};
