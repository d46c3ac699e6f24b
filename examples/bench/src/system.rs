//! The machine: the cores that the benchmark uses, the limit of descriptors, and the names of the system.

use crate::results::Machine;

/// The core for the server, and the core for the load generator.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    pub server: usize,
    pub generator: usize,
    /// True if the cores are two threads of one physical core. Such threads slow each other down.
    pub are_siblings: bool,
}

#[cfg(target_os = "linux")]
mod cores {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::Cores;

    /// Returns the last two cores that this process may use and that are not threads of one physical core. If there are
    /// no such cores, the two cores are threads of one physical core. The system delivers most interrupts to the first
    /// cores.
    pub fn choose() -> Option<Cores> {
        let allowed = sched_getaffinity(None).ok()?;
        let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let (&server, others) = all.split_last()?;
        let siblings = siblings(server);
        let other = others.iter().rev().find(|core| !siblings.contains(core));
        let generator = *other.or(others.last())?;
        Some(Cores { server, generator, are_siblings: other.is_none() })
    }

    /// Pins this process to a core. Processes that this process starts from now on inherit the core.
    pub fn pin(core: usize) -> bool {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set).is_ok()
    }

    fn siblings(core: usize) -> Vec<usize> {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        std::fs::read_to_string(path).map(|list| super::list(&list)).unwrap_or_default()
    }
}

#[cfg(not(target_os = "linux"))]
mod cores {
    pub fn choose() -> Option<super::Cores> {
        None
    }

    pub fn pin(_core: usize) -> bool {
        false
    }
}

pub use cores::{choose, pin};

/// Raises the limit of descriptors as far as possible, and returns the new limit.
#[cfg(unix)]
pub fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If the limit cannot be raised, the present limit applies.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
pub fn raise_descriptors() -> u64 {
    u64::MAX
}

/// Describes the machine. The caller calls this function before this process is pinned, because a pinned process sees a
/// single core.
pub fn machine(descriptors: u64) -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let memory = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|value| value.trim_end_matches(" kB").parse().ok());
    let processor =
        field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let (system, kernel) = names();
    Machine {
        system,
        kernel,
        processor,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory.unwrap_or(0_u64) << 10,
        pinned: false,
        descriptors,
    }
}

/// Returns the seconds in which this thread was ready to run but had no core: the second number in the kernel's
/// "sched-stats".
pub fn waited() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? as f64 / 1e9)
}

#[cfg(unix)]
fn names() -> (String, String) {
    let name = rustix::system::uname();
    (name.sysname().to_string_lossy().into(), name.release().to_string_lossy().into())
}

#[cfg(not(unix))]
fn names() -> (String, String) {
    (std::env::consts::OS.into(), String::new())
}

/// Returns the value from a line such as "model name : X".
fn field(text: &str, name: &str) -> Option<String> {
    let value =
        |line: &str| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(|rest| rest.trim().into());
    text.lines().find_map(value)
}

/// Returns the numbers in a list such as "0-2,5".
#[cfg(target_os = "linux")]
fn list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_lists_of_the_files_in_proc_and_sys_are_parsed() {
        assert_eq!(
            field("a\t: b\nmodel name\t: Some CPU @ 2\n", "model name").as_deref(),
            Some("Some CPU @ 2")
        );
        assert_eq!(field("MemTotal:   24 kB\n", "MemTotal").as_deref(), Some("24 kB"));
        assert_eq!(field("other: 1\n", "model name"), None);
        #[cfg(target_os = "linux")]
        {
            assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
            assert!(list("").is_empty());
        }
    }
}
