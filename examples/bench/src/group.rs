//! The process groups of the servers: each server ends together with the processes that it has started.

use std::io;
use std::process::{Child, Command};

#[cfg(unix)]
mod unix {
    use std::os::unix::process::CommandExt;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::{io, mem, process};

    use rustix::process::{Pid, Signal, kill_process_group};

    /// The groups that have not been ended.
    static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

    fn groups() -> MutexGuard<'static, Vec<Pid>> {
        // A list is whole even if a thread panicked while it held the lock.
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(group: Pid) {
        // The call fails if every process of the group has ended, and then there is nothing to kill.
        let _ = kill_process_group(group, Signal::KILL);
    }

    pub fn spawn(command: &mut process::Command) -> io::Result<process::Child> {
        // The lock is held until the group is on the list, so that `end_all` misses no group.
        let mut groups = groups();
        let leader = command.process_group(0).spawn()?;
        groups.push(Pid::from_child(&leader));
        Ok(leader)
    }

    pub fn end(leader: &process::Child) {
        let group = Pid::from_child(leader);
        let mut groups = groups();
        // A group is killed only once, because another process may have the number of the group later.
        if let Some(index) = groups.iter().position(|other| *other == group) {
            groups.swap_remove(index);
            kill(group);
        }
    }

    pub fn end_all() {
        let groups = groups();
        groups.iter().copied().for_each(kill);
        // The lock is never released, so that no other thread starts a server before this process has ended.
        mem::forget(groups);
    }
}

/// Starts a process as the leader of a group of its own.
///
/// The new group is not the foreground group of the terminal: Ctrl-C reaches the benchmark alone, and the benchmark
/// ends its servers.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    #[cfg(unix)]
    return unix::spawn(command);
    #[cfg(not(unix))]
    return command.spawn();
}

/// Kills all processes of the group that this process leads. The caller calls this function before, or directly after,
/// the caller waits for the leader, because the number of the group may belong to another process later.
pub fn end(leader: &mut Child) {
    #[cfg(unix)]
    unix::end(leader);
    // The leader may have ended by itself, or have changed to another group.
    let _ = leader.kill();
}

/// Kills all groups, for a process that ends without dropping its values. No server can be started afterwards.
pub fn end_all() {
    #[cfg(unix)]
    unix::end_all();
}
