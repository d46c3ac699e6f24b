//! nginx with `sendfile on`, if nginx is installed.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The name of the program.
const PROGRAM: &str = "nginx";

/// The directories besides those in `PATH`: systems install nginx for the administrator.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// Returns the path of nginx, or `None` if nginx is not installed.
pub fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(DIRECTORIES.iter().map(PathBuf::from));
    directories.map(|directory| directory.join(PROGRAM)).find(|program| program.is_file())
}

/// Writes a configuration beside the file, and returns the words of the command that starts nginx with the configuration.
pub fn command(file: &Path, port: u16) -> io::Result<Vec<String>> {
    let program = find().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nginx is not installed"))?;
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let path = directory.join(format!("nginx-{port}.conf"));
    fs::write(&path, configuration(directory, port))?;
    let words = [program.as_path(), Path::new("-p"), directory, Path::new("-c"), path.as_path()];
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    // The option -e names the log until the configuration is read.
    Ok(words.chain(["-e".into(), "stderr".into()]).collect())
}

/// Returns the request for the file. The name of the file needs no escapes.
pub fn request(file: &Path) -> Vec<u8> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Returns a configuration with one process. `master_process off` makes the process that the benchmark starts the process
/// that serves, so that the CPU time of this process is the CPU time of the server.
fn configuration(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    let bodies: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path \"{directory}/{kind}\";\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\nerror_log stderr;\npid \"{directory}/{port}.pid\";\n\
         events {{ }}\nhttp {{\n    access_log off;\n    sendfile on;\n    keepalive_requests 1000000;\n{bodies}    \
         server {{\n        listen 127.0.0.1:{port};\n        root \"{directory}\";\n    }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_port_the_directory_and_sendfile() {
        let text = configuration(Path::new("/some/directory"), 7007);
        for part in
            ["listen 127.0.0.1:7007;", "root \"/some/directory\";", "sendfile on;", "master_process off;"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    }

    #[test]
    fn the_request_names_the_file() {
        let request = request(Path::new("/some/directory/file"));
        assert!(request.starts_with(b"GET /file HTTP/1.1\r\n") && request.ends_with(b"\r\n\r\n"));
    }
}
