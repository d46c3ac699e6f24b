//! The limit on open descriptors. Tests run side by side in one process, and one test has a thousand connections. A soft
//! limit of 1024, which is the default of many systems, is not enough for them.

/// Raises the soft limit on open descriptors to the hard limit, once in a process. The helpers that open sockets call this.
#[cfg(unix)]
pub fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    static RAISED: std::sync::Once = std::sync::Once::new();
    RAISED.call_once(|| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // macOS refuses a soft limit above OPEN_MAX, which is 10240, even if the hard limit is infinite: setrlimit(2).
        let limits = [maximum, Some(10_240)].map(|current| Rlimit { current, maximum });
        if limits.into_iter().all(|limit| setrlimit(Resource::Nofile, limit).is_err()) {
            eprintln!("the limit on open descriptors stays at {:?}", getrlimit(Resource::Nofile).current);
        }
    });
}

/// Returns how many connections with both ends in this process a test may have: `wanted`, or fewer where the hard limit is
/// low. Half of the descriptors are left to the tests that run side by side with this test.
#[cfg(unix)]
pub fn affordable(wanted: usize) -> usize {
    raise_limit();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(wanted, |limit| wanted.min(limit as usize / 4))
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn raise_limit() {}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn affordable(wanted: usize) -> usize {
    wanted
}
