//! Tests of the rules of the server over real sockets, and over a `Rehearsal` where the test controls the time or the peer.
//! Each test drives a loop or a reactor of its own. The folders are the subjects.

#[path = "../support/mod.rs"]
mod support;

/// The transport that the listeners of the helpers have.
const TRANSPORT: support::Transport = support::Transport::Tcp;

mod channels;
mod ids;
mod memory;
mod rehearsal;

mod accept {
    mod max_connections;
}

mod adopt {
    mod linger;
    mod refused;
    mod streams;
}

mod backpressure {
    mod both_ends_full;
    mod owed_writable;
    mod watermarks;
}

mod blocking {
    mod counterparts;
    mod servers;
}

mod bytes {
    mod echo;
    mod files;
    mod frames;
    mod kinds;
    mod many;
    mod need;
    mod partial;
}

mod closing {
    mod close;
    mod close_timeout;
    mod end_of_file;
    mod last_words;
    mod linger;
    mod outcomes;
    mod peer_closed;
    mod reasons;
    mod resets;
}

mod connecting {
    mod early_input;
    mod next_address;
    mod options;
    mod refusals;
    mod timeouts;
    mod was_open;
}

mod datagrams {
    mod budgets;
    mod endings;
    mod errors;
    mod groups;
    mod options;
    mod queue;
    mod whole;
}

mod drains {
    mod close_when_idle;
    mod course;
    mod cut_off;
    mod proxy;
    mod sessions;
    mod whole;
}

mod handlers {
    mod callbacks;
    mod cut_short;
    mod overclaims;
    mod panics;
}

mod handing_over {
    mod connections;
    mod in_callbacks;
    mod listeners;
    mod parts;
}

mod options {
    mod listeners;
    mod sockets;
    mod zero;
}

mod stopping {
    mod dropping;
    mod remote;
    mod stop_and_wake;
}

mod time {
    mod after;
    mod idle;
    mod idle_limits;
    mod timers;
}

mod views {
    mod by_id;
    mod forward;
    mod questions;
}

mod turns {
    mod budgets;
    mod fairness;
    mod order;
    mod work_left;
}

#[cfg(unix)]
mod unix {
    mod paths;
    mod reads;
    mod streams;
}

// The sources of these tests are pipes and Unix sockets.
#[cfg(unix)]
mod watching {
    mod ids;
    mod life;
    mod readiness;
}
