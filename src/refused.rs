//! The error of a hand-over that failed. It gives the socket back.

use std::{error::Error, fmt, io};

/// A socket that could not be taken over, and the cause. The socket is as it was before.
///
/// A `Refused` converts into its [`io::Error`], so `?` works where the socket may be dropped.
#[derive(Debug)]
pub struct Refused<T> {
    /// The cause of the refusal.
    pub error: io::Error,
    /// The socket that was to be taken over, and the session if there was one.
    pub back: T,
}

impl<T> From<Refused<T>> for io::Error {
    fn from(refused: Refused<T>) -> Self {
        refused.error
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the socket cannot be taken over: {}", self.error)
    }
}

impl<T: fmt::Debug> Error for Refused<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
