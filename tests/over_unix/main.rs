//! The tests of `tests/net` over Unix sockets. Tests about resets, about several addresses of a name, about options of TCP and
//! about adopting are left out, and tests without sockets. `tests/net/unix` has the tests of that kind for Unix sockets.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

/// The transport that the listeners of the helpers have.
const TRANSPORT: support::Transport = support::Transport::Unix;

#[path = "../net/ids.rs"]
mod ids;

#[path = "../net/accept"]
mod accept {
    mod max_connections;
}

#[path = "../net/backpressure"]
mod backpressure {
    mod both_ends_full;
    mod owed_writable;
    mod watermarks;
}

#[path = "../net/bytes"]
mod bytes {
    mod echo;
    mod files;
    mod kinds;
    mod many;
    mod partial;
}

#[path = "../net/closing"]
mod closing {
    mod close;
    mod close_timeout;
    mod end_of_file;
    mod linger;
    mod outcomes;
    mod reasons;
}

#[path = "../net/drains"]
mod drains {
    mod close_when_idle;
    mod course;
    mod cut_off;
    mod sessions;
    mod whole;
}

#[path = "../net/handlers"]
mod handlers {
    mod callbacks;
    mod cut_short;
    mod overclaims;
    mod panics;
}

#[path = "../net/stopping"]
mod stopping {
    mod dropping;
    mod remote;
    mod stop_and_wake;
}

#[path = "../net/time"]
mod time {
    mod idle;
    mod idle_limits;
    mod timers;
}

#[path = "../net/turns"]
mod turns {
    mod budgets;
    mod fairness;
    mod order;
    mod work_left;
}
