//! When TCP finds out that a peer has vanished.

use std::time::Duration;

options! {
    /// When and how often TCP probes a silent peer, tcp(7). A peer that does not answer `retries` probes in a row ends the
    /// connection with an error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate::{Keepalive, Options};
    ///
    /// let ten_seconds = Duration::from_secs(10);
    /// let in_a_minute = Keepalive::default().after(3 * ten_seconds).interval(ten_seconds).retries(3);
    /// let options = Options::default().keepalive(Some(in_a_minute)); // 30 s of silence, 3 × 10 s no answer
    /// # assert_eq!(options.keepalive.unwrap().retries, 3);
    /// ```
    Keepalive {
        /// How long the peer must be silent before TCP sends the first probe; whole seconds, at least 1. Default 60 s.
        after: Duration = Duration::from_secs(60),
        /// How long TCP waits for an answer before it sends the next probe; whole seconds, at least 1. Default 10 s.
        interval: Duration = Duration::from_secs(10),
        /// How many probes TCP sends before it gives up; at least 1. Default 6.
        retries: u32 = 6,
    }
}
