//! redis-server without persistence.

use std::path::Path;

/// Returns the words of the command. The server writes no files, but its working directory is the temporary directory.
pub fn command(program: &Path, file: &Path, port: u16) -> Vec<String> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let (program, directory, port) =
        (program.to_string_lossy(), directory.to_string_lossy(), port.to_string());
    let words = [
        &program,
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--dir",
        &directory,
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ];
    words.map(String::from).to_vec()
}
