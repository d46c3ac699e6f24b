//! What a send tells whoever sends.

/// What became of a send.
///
/// Never an error to handle on the spot: why a connection ended is told once, by
/// [`on_close`](crate::Handler::on_close). They are ordered: of several sends, the greatest is what to go by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Flow {
    /// Taken; go on.
    Open,
    /// Taken, but stop producing: the outbox is above high water or this turn's write budget is spent.
    /// [`on_writable`](crate::Handler::on_writable) follows.
    Full,
    /// Not taken: the connection is closing or gone.
    Gone,
}
