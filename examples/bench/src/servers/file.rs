//! The servers that send a file for each request, see [`FILE_REQUEST`].

#[cfg(target_os = "linux")]
pub mod mio_loop;
pub mod tidegate_loop;

use crate::protocol::FILE_REQUEST;

/// Returns the number of whole requests in `input`.
fn requests(input: &[u8]) -> usize {
    input.len() / FILE_REQUEST.len()
}
