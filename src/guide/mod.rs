//! Recipes and background pages. This module has no code, only documentation.
//!
//! # Recipes
//!
//! Each recipe is a program or a handler that can be copied. The doctests of the crate compile every recipe, and run the
//! recipes that need no waiting.
//!
//! | page | subject |
//! |---|---|
//! | [`request_response`] | requests found with [`framing`](crate::framing), answers that are larger than the requests, files |
//! | [`broadcast`] | a message for all connections, and the treatment of a reader that falls behind |
//! | [`proxy`] | bytes passed between two connections, with backpressure and ends in both directions |
//! | [`threads`] | work on other threads, and the way of the answer back to the connection |
//! | [`sources`] | signals, pipes and other sources of the program in the loop |
//! | [`connecting`] | an outgoing connection with a timeout, and new attempts after a failure |
//! | [`stopping`] | an orderly end at SIGTERM or Ctrl-C |
//! | [`restarting`] | listeners that another program opened, and a restart that refuses no client |
//! | [`rehearsing`] | tests of a handler without sockets, in time that the test moves |
//!
//! The page [`embedding`](crate::embedding) says how the loop of a program drives the reactor, with a program for each way.
//!
//! # Background
//!
//! | page | subject |
//! |---|---|
//! | [`datagrams`] | streams and datagrams: the difference, what each asks of a program, and a program with both |
//! | [`rules`] | the rules of partial I/O that the crate keeps |
//! | [`socket_calls`] | the place of each socket call in the interface and in the source |
//! | [`platforms`] | the platforms, and the rules that differ between them |
//! | [`benchmark`] | the benchmark, its results, and the tools that show where the time goes |

pub mod benchmark;
pub mod broadcast;
pub mod connecting;
pub mod datagrams;
pub mod platforms;
pub mod proxy;
pub mod rehearsing;
pub mod request_response;
pub mod restarting;
pub mod rules;
pub mod socket_calls;
pub mod sources;
pub mod stopping;
pub mod threads;
