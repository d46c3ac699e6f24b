//! Tests of the rules of the server over real sockets, and over a `Rehearsal` where the test controls the time or the peer.
//! Each test drives a loop or a reactor of its own. The folders are the subjects.

#[path = "../support/mod.rs"]
mod support;

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
    mod kinds;
    mod many;
    mod partial;
}

mod closing {
    mod close;
    mod close_timeout;
    mod end_of_file;
    mod last_words;
    mod linger;
    mod outcomes;
    mod reasons;
    mod resets;
}

mod connecting {
    mod next_address;
    mod refusals;
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

mod options {
    mod sockets;
    mod zero;
}

mod stopping {
    mod dropping;
    mod remote;
    mod stop_and_wake;
}

mod time {
    mod idle;
    mod idle_limits;
    mod timers;
}

mod turns {
    mod budgets;
    mod fairness;
    mod order;
    mod work_left;
}
