//! nginx with `sendfile on`: a server of a file, and an HTTP server.

use std::io;
use std::path::Path;

use crate::protocol::{PLAINTEXT, PLAINTEXT_PATH};

/// Writes a configuration beside the file, and returns the words of the command that starts nginx with the configuration.
pub fn command(program: &Path, file: &Path, port: u16) -> io::Result<Vec<String>> {
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let path = super::write(directory, &format!("nginx-{port}.conf"), &configuration(directory, port))?;
    let words = [program, Path::new("-p"), directory, Path::new("-c"), path.as_path()];
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    // The option -e names the log until the configuration is read.
    Ok(words.chain(["-e".into(), "stderr".into()]).collect())
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
         events {{ }}\nhttp {{\n    access_log off;\n    sendfile on;\n    keepalive_requests 1000000000;\n{bodies}    \
         server {{\n        listen 127.0.0.1:{port};\n        root \"{directory}\";\n        \
         location = {PLAINTEXT_PATH} {{\n            default_type text/plain;\n            return 200 \"{PLAINTEXT}\";\n        \
         }}\n    }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_port_the_directory_and_sendfile() {
        let text = configuration(Path::new("/some/directory"), 7007);
        for part in [
            "listen 127.0.0.1:7007;",
            "root \"/some/directory\";",
            "location = /plaintext {",
            "sendfile on;",
            "master_process off;",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    }
}
