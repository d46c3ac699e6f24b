//! The helpers of all test binaries. `tests/README.md` says which helper serves which kind of test.
#![allow(dead_code, unused_imports, reason = "each binary uses a part of the helpers")]

mod clients;
pub mod datagrams;
pub mod descriptors;
mod host;
mod hosted;
mod own_loop;
pub mod pair;
pub mod panicky;
pub mod programs;
pub mod proxy;
mod recorder;
pub mod script;
mod server;
mod skip;
#[cfg(target_os = "linux")]
pub mod twin;
mod waiting;

pub use clients::*;
pub use host::*;
pub use hosted::*;
pub use own_loop::*;
pub use recorder::*;
pub use server::*;
pub use skip::skip;
pub use waiting::*;
