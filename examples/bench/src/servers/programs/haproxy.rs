//! HAProxy with one thread, as a proxy of byte streams.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Writes a configuration beside the file, and returns the words of the command that starts HAProxy with the
/// configuration. Without `buffer`, HAProxy has buffers of its default size.
pub fn command(
    program: &Path,
    file: &Path,
    listen: SocketAddr,
    backend: Option<SocketAddr>,
    buffer: Option<usize>,
) -> io::Result<Vec<String>> {
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let backend = backend.ok_or(io::ErrorKind::InvalidInput)?;
    let name = format!("haproxy-{}.cfg", listen.port());
    let path = super::write(directory, &name, &configuration(listen, backend, buffer))?;
    // The option -db keeps HAProxy in the foreground, in one process.
    let words = [program.to_string_lossy(), "-db".into(), "-f".into(), path.to_string_lossy()];
    Ok(words.map(|word| word.into_owned()).to_vec())
}

fn configuration(listen: SocketAddr, backend: SocketAddr, buffer: Option<usize>) -> String {
    let buffer = buffer.map(|bytes| format!("    tune.bufsize {bytes}\n")).unwrap_or_default();
    format!(
        "global\n    nbthread 1\n    maxconn 4000\n{buffer}defaults\n    mode tcp\n    timeout connect 5s\n    \
         timeout client 60s\n    timeout server 60s\nlisten proxy\n    bind {listen}\n    server backend {backend}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_both_addresses_and_the_size_of_the_buffers_if_it_is_set() {
        let [listen, backend] = ["127.0.0.1:1", "127.0.0.1:2"].map(|address| address.parse().unwrap());
        let text = configuration(listen, backend, None);
        for line in
            ["    nbthread 1", "    mode tcp", "    bind 127.0.0.1:1", "    server backend 127.0.0.1:2"]
        {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("bufsize"), "{text}");
        assert!(configuration(listen, backend, Some(262_144)).contains("\n    tune.bufsize 262144\n"));
    }
}
