//! The CPU time and the memory of a server's process, as the system reports them.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// The CPU time that a process has used since its start. The time is 0 if the system does not report the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of user time, in steps of the system's clock tick, which is 10 ms on Linux. The time includes threads
    /// that have ended.
    user: f64,
    system: f64,
    /// Seconds with a precision of a nanosecond, summed over the threads that exist now.
    precise: Option<f64>,
    threads: Vec<u32>,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        // The load generator reports a process that has ended.
        read(pid).unwrap_or_default()
    }

    /// Returns the usage when the process has become idle, or after `patience` at the latest.
    ///
    /// The system updates the time of a running thread only at a tick, every few milliseconds. The time of a sleeping
    /// thread is exact. So the code waits until two readings, `apart` from each other, are equal.
    pub fn at_rest(pid: u32, apart: Duration, patience: Duration) -> Self {
        let end = Instant::now() + patience;
        let mut last = Self::of(pid);
        loop {
            thread::sleep(apart);
            let usage = Self::of(pid);
            if usage == last || Instant::now() > end {
                return usage;
            }
            last = usage;
        }
    }

    /// Returns the user and system seconds between `before` and `self`. The steps are too coarse to split the time of
    /// one round into user and system time, so the time is split in proportion to the times since `begin`.
    ///
    /// The precise time lacks the threads that have ended. `threads_end` says that there may be such threads.
    pub fn since(&self, before: &Usage, begin: &Usage, threads_end: bool) -> (f64, f64) {
        let coarse = self.user + self.system - before.user - before.system;
        let total = match (before.precise, self.precise) {
            (Some(from), Some(to)) if before.threads == self.threads && !threads_end => to - from,
            _ => coarse,
        };
        let (user, system) = (self.user - begin.user, self.system - begin.system);
        let share = if user + system > 0.0 { user / (user + system) } else { 0.0 };
        (total * share, total * (1.0 - share))
    }
}

#[cfg(target_os = "linux")]
fn read(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let (user, system) = times(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        threads.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    threads.sort_unstable();
    let precise = threads.iter().map(|thread| run_time(pid, *thread)).sum();
    Ok(Usage { user: user as f64 * tick, system: system as f64 * tick, precise, threads })
}

/// Returns the two times from the fields 14 and 15 of proc_pid_stat(5). The name before these fields is in brackets and
/// may contain any character.
#[cfg(target_os = "linux")]
fn times(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Returns the time on a CPU in seconds. The first number of the file is this time in nanoseconds: see "sched-stats" in
/// the kernel's documentation.
#[cfg(target_os = "linux")]
fn run_time(pid: u32, thread: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
    Some(text.split_ascii_whitespace().next()?.parse::<u64>().ok()? as f64 / 1e9)
}

#[cfg(not(target_os = "linux"))]
fn read(_pid: u32) -> io::Result<Usage> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the peak of the resident memory in bytes.
pub fn peak_memory(pid: u32) -> Option<u64> {
    kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// Returns the anonymous resident memory in bytes. Memory that is mapped from files does not depend on the number of
/// connections.
///
/// The kernel counts the figure in `smaps_rollup` page by page. The figure in `status` is only accurate to some hundred
/// KiB.
pub fn own_memory(pid: u32) -> Option<u64> {
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    exact
        .and_then(|text| kibibytes(&text, "Anonymous:"))
        .or_else(|| kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "RssAnon:"))
}

/// Returns the bytes from a line such as "VmHWM:      1772 kB".
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(value.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(user: f64, system: f64, precise: f64, threads: &[u32]) -> Usage {
        Usage { user, system, precise: Some(precise), threads: threads.into() }
    }

    #[test]
    fn the_precise_time_of_one_thread_is_split_in_proportion_to_its_whole_time() {
        let (begin, before) = (usage(0.0, 0.0, 0.001, &[7]), usage(0.1, 0.3, 0.401, &[7]));
        let (user, system) = usage(0.2, 0.6, 0.805, &[7]).since(&before, &begin, false);
        assert!((user - 0.101).abs() < 1e-9 && (system - 0.303).abs() < 1e-9, "{user} {system}");
    }

    #[test]
    fn the_time_of_threads_that_end_is_counted_in_clock_ticks() {
        let before = usage(0.0, 0.0, 0.0, &[7, 8]);
        let after = usage(0.1, 0.1, 0.05, &[7, 9]);
        assert_eq!(after.since(&before, &Usage::default(), false), (0.1, 0.1));
        let same = usage(0.1, 0.1, 0.05, &[7, 8]);
        assert_eq!(same.since(&before, &Usage::default(), true), (0.1, 0.1));
        assert_eq!(same.since(&before, &Usage::default(), false), (0.025, 0.025));
    }

    #[test]
    fn lines_of_the_files_in_proc_are_parsed() {
        assert_eq!(kibibytes("VmPeak:\t 9 kB\nVmHWM:\t    1772 kB\n", "VmHWM:"), Some(1772 << 10));
        assert_eq!(kibibytes("VmPeak:\t 9 kB\n", "VmHWM:"), None);
        #[cfg(target_os = "linux")]
        {
            let stat = "42 (a (name) b) S 1 42 42 0 -1 4194304 1 2 3 4 15 16 5 6 20 0 1 0";
            assert_eq!(times(stat), Some((15, 16)));
            assert!(own_memory(std::process::id()).is_some_and(|bytes| bytes > 0));
        }
    }
}
