//! Errors that have no kind of their own in the standard library, by their numbers.

use std::io;

/// ENOBUFS and ENOMEM: the queue of the network interface is full, or memory is short, send(2). No readiness event says
/// when there is room again.
pub(crate) fn is_out_of_buffers(error: &io::Error) -> bool {
    const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    const ENOBUFS: i32 = if cfg!(windows) {
        10055
    } else if LINUX && cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        132
    } else if LINUX && cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        55
    } else if LINUX || cfg!(any(target_os = "fuchsia", target_os = "cygwin", target_os = "redox")) {
        105
    } else if cfg!(any(target_os = "solaris", target_os = "illumos")) {
        132
    } else if cfg!(target_os = "aix") {
        74
    } else if cfg!(target_os = "nto") {
        255
    } else {
        55 // macOS and the BSDs
    };
    error.raw_os_error() == Some(ENOBUFS) || error.kind() == io::ErrorKind::OutOfMemory
}

/// EINPROGRESS: a nonblocking connect has begun, connect(2). Windows says WSAEWOULDBLOCK.
pub(crate) fn is_in_progress(error: &io::Error) -> bool {
    const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    const EINPROGRESS: i32 = if LINUX && cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        150
    } else if LINUX && cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        36
    } else if LINUX || cfg!(any(target_os = "fuchsia", target_os = "redox")) {
        115
    } else if cfg!(target_os = "cygwin") {
        119
    } else if cfg!(any(target_os = "solaris", target_os = "illumos")) {
        150
    } else if cfg!(target_os = "aix") {
        55
    } else if cfg!(target_os = "nto") {
        236
    } else {
        36 // macOS and the BSDs
    };
    if cfg!(unix) {
        error.raw_os_error() == Some(EINPROGRESS)
    } else {
        error.kind() == io::ErrorKind::WouldBlock
    }
}

/// EMSGSIZE: the datagram is larger than the protocol or the route allows, send(2).
pub(crate) fn is_too_large(error: &io::Error) -> bool {
    const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    const EMSGSIZE: i32 = if cfg!(windows) {
        10040
    } else if LINUX && cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        97
    } else if LINUX && cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        40
    } else if LINUX || cfg!(any(target_os = "fuchsia", target_os = "redox")) {
        90
    } else if cfg!(any(target_os = "solaris", target_os = "illumos")) {
        97
    } else if cfg!(target_os = "aix") {
        59
    } else if cfg!(target_os = "nto") {
        248
    } else if cfg!(target_os = "cygwin") {
        122
    } else {
        40 // macOS and the BSDs
    };
    error.raw_os_error() == Some(EMSGSIZE)
}

/// ENFILE and EMFILE, accept(2). They have these numbers on every Unix.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    const WSAEMFILE: i32 = 10024;
    match error.raw_os_error() {
        Some(23 | 24) => cfg!(unix),
        Some(WSAEMFILE) => cfg!(windows),
        _ => false,
    }
}
