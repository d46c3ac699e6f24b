//! A hand-over that failed gives the thing back.

use std::{error::Error, fmt, io};

/// What could not be taken over, and why not. The socket is as it was before.
///
/// It turns into its [`io::Error`], so `?` works where the socket may go.
#[derive(Debug)]
pub struct Refused<T> {
    /// The cause.
    pub error: io::Error,
    /// What was to be taken over.
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
