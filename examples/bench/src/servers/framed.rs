//! The servers that receive streams of frames and send acknowledgements, see [`Ledger`](crate::protocol::Ledger).

pub mod mio_loop;
pub mod tidegate_loop;
pub mod tokio_loop;
