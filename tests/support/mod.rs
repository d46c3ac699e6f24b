//! The helpers of all test binaries. `tests/README.md` says which helper serves which kind of test.
#![allow(dead_code, unused_imports, reason = "each binary uses a part of the helpers")]

mod clients;
pub mod datagrams;
pub mod dead_end;
pub mod descriptors;
mod host;
mod own_loop;
pub mod pair;
pub mod panicky;
pub mod programs;
pub mod proxy;
mod recorder;
pub mod script;
mod server;
mod skip;
mod transport;
#[cfg(target_os = "linux")]
pub mod twin;
#[cfg(unix)]
pub mod unix;
mod waiting;
mod with_handler;

pub use clients::*;
pub use host::*;
pub use own_loop::*;
pub use recorder::*;
pub use server::*;
pub use skip::skip;
pub use transport::*;
pub use waiting::*;
pub use with_handler::*;
