//! The operating system: streams, listeners, socket options, and every difference between platforms.

pub(crate) mod batch;
pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod datagram;
pub(crate) mod file;
pub(crate) mod handover;
pub(crate) mod listen;
pub(crate) mod listener;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod packet_info;
pub(crate) mod platform;
pub(crate) mod readiness;
#[cfg(test)]
pub(crate) mod simulated;
pub(crate) mod stream;
#[cfg(unix)]
pub(crate) mod unix;
