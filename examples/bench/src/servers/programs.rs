//! The servers that are programs of their own: the example programs of this crate, and programs that the user has installed.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::{Builtin, Service};

pub mod examples;
mod haproxy;
pub mod nginx;
mod redis;

/// The directories besides those in `PATH`: systems install some servers for the administrator.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// The surroundings of the servers of a workload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Site<'a> {
    /// The file that the servers send. The directory of the file is the place for configurations.
    pub file: Option<&'a Path>,
    /// The address that proxies connect to.
    pub backend: Option<SocketAddr>,
}

/// The command that starts a program.
pub struct Start {
    pub words: Vec<String>,
    /// The address at which the program will accept, or `None` if the program prints its address.
    pub address: Option<SocketAddr>,
}

/// Returns the path of an installed program, or `None` if the program is not installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(DIRECTORIES.iter().map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|program| program.is_file())
}

/// Returns a port that was free during this call. Another process may take the port afterwards.
pub fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Builtin {
    /// Returns the name of the installed program that the server is, or `None` if the server is a part of the benchmark or
    /// an example program.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Builtin::Nginx => Some("nginx"),
            Builtin::Redis => Some("redis-server"),
            Builtin::Haproxy | Builtin::Haproxy256k => Some("haproxy"),
            _ => None,
        }
    }

    /// Returns the command for a server that is a program of its own, or `None` for a server that is a part of the
    /// benchmark.
    pub fn start(self, service: Service, site: &Site<'_>) -> Option<io::Result<Start>> {
        if let Some(name) = self.program() {
            return Some(self.start_installed(name, site));
        }
        let example = service.example().filter(|_| self == Builtin::Tidegate)?;
        Some(examples::command(example, site).map(|words| Start { words, address: None }))
    }

    fn start_installed(self, name: &str, site: &Site<'_>) -> io::Result<Start> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is not installed"));
        let program = find(name).ok_or_else(missing)?;
        let address = free_port()?;
        let file = site.file.ok_or(io::ErrorKind::InvalidInput)?;
        let words = match self {
            Builtin::Redis => Ok(redis::command(&program, file, address.port())),
            Builtin::Haproxy => haproxy::command(&program, file, address, site.backend, None),
            Builtin::Haproxy256k => haproxy::command(&program, file, address, site.backend, Some(256 << 10)),
            _ => nginx::command(&program, file, address.port()),
        };
        Ok(Start { words: words?, address: Some(address) })
    }
}

/// Writes a configuration, and returns its path.
fn write(directory: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_programs_are_found() {
        assert_eq!(find("no-such-program-of-the-benchmark"), None);
        #[cfg(unix)]
        assert!(find("sh").is_some());
    }

    #[test]
    fn a_server_is_a_part_of_the_benchmark_an_example_or_an_installed_program() {
        assert!(Builtin::Tidegate.start(Service::Echo, &Site::default()).is_none());
        assert!(Builtin::Hyper.start(Service::Http, &Site::default()).is_none());
        assert!(Builtin::Tidegate.start(Service::Kv, &Site::default()).is_some());
        // Without a directory for its configuration, an installed program cannot be started.
        assert!(Builtin::Redis.start(Service::Kv, &Site::default()).is_some_and(|start| start.is_err()));
    }
}
