//! The CPU time and the memory of a server's process, as the system reports them.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// The CPU time that a process and its descendants have used since its start. The time is 0 if the system does not report
/// the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of user time, in steps of the system's clock tick, which is 10 ms on Linux. The time includes threads and
    /// processes that have ended.
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
    /// Calls `meanwhile` between the readings.
    pub fn at_rest(pid: u32, apart: Duration, patience: Duration, mut meanwhile: impl FnMut()) -> Self {
        let end = Instant::now() + patience;
        let mut last = Self::of(pid);
        loop {
            meanwhile();
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
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let mut sum = Usage { precise: Some(0.0), ..Usage::default() };
    for (process, threads) in processes(pid)? {
        let stat = match fs::read_to_string(format!("/proc/{process}/stat")) {
            Ok(stat) => stat,
            // A descendant may end at any time. The parent then has the time of the descendant.
            Err(_) if process != pid => continue,
            Err(error) => return Err(error),
        };
        let (user, system) = times(&stat).ok_or(io::ErrorKind::InvalidData)?;
        sum.user += user as f64 * tick;
        sum.system += system as f64 * tick;
        let precise = threads.iter().map(|thread| run_time(process, *thread)).sum::<Option<f64>>();
        sum.precise = sum.precise.zip(precise).map(|(sum, more)| sum + more);
        sum.threads.extend(threads);
    }
    sum.threads.sort_unstable();
    Ok(sum)
}

/// Returns a process and all its descendants, each with its threads. Some servers do their work in child processes.
#[cfg(target_os = "linux")]
fn processes(pid: u32) -> io::Result<Vec<(u32, Vec<u32>)>> {
    let mut found: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut next = vec![pid];
    while let Some(process) = next.pop() {
        let mut threads = Vec::new();
        let entries = match fs::read_dir(format!("/proc/{process}/task")) {
            Ok(entries) => entries,
            // A descendant may end at any time.
            Err(_) if process != pid => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            threads.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        for thread in &threads {
            // Some kernels do not have the file. Then only the process itself is counted.
            let children = fs::read_to_string(format!("/proc/{process}/task/{thread}/children"));
            next.extend(numbers(&children.unwrap_or_default()));
        }
        found.push((process, threads));
    }
    Ok(found)
}

#[cfg(target_os = "linux")]
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok())
}

/// Returns the user time and the system time from proc_pid_stat(5): the fields 14 and 15, and the fields 16 and 17 for the
/// children that have ended. The name before these fields is in brackets and may contain any character.
#[cfg(target_os = "linux")]
fn times(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    let [user, system, ended_user, ended_system] = std::array::from_fn(|_| fields.next());
    Some((user? + ended_user?, system? + ended_system?))
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

/// Returns the peak of the resident memory in bytes, summed over a process and its descendants.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let peak = |pid| kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:");
    #[cfg(target_os = "linux")]
    return processes(pid).ok()?.into_iter().map(|(process, _)| peak(process)).sum();
    #[cfg(not(target_os = "linux"))]
    peak(pid)
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
            assert_eq!(times(stat), Some((15 + 5, 16 + 6)));
            assert!(own_memory(std::process::id()).is_some_and(|bytes| bytes > 0));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_usage_includes_child_processes() {
        use std::process::{Command, Stdio};
        // The shell does not replace itself by the command, because another command follows.
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "cat; true"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut shell = shell.expect("every Unix has a shell");
        let end = Instant::now() + Duration::from_secs(10);
        while Usage::of(shell.id()).threads.len() < 2 {
            assert!(Instant::now() < end, "the shell starts no child");
            thread::sleep(Duration::from_millis(1));
        }
        drop(shell.stdin.take());
        shell.wait().expect("the shell is a child of this process");
    }
}
