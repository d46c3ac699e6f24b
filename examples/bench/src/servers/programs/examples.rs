//! The example programs of this crate, which stand beside the benchmark in the folder of the build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use super::Site;

/// The manifest of the crate.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");

/// Builds the example programs, if cargo has started the benchmark: an old program would give old figures.
///
/// Returns a note if cargo has not started the benchmark, and an error if a program is missing then.
pub fn build(names: &[&str]) -> Result<Option<String>, String> {
    let benchmark = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    match env::var_os("CARGO") {
        Some(cargo) => run_cargo(&cargo, names, &benchmark).map(|()| None),
        None => find(names, &benchmark).map(Some),
    }
}

fn run_cargo(cargo: &OsStr, names: &[&str], benchmark: &Path) -> Result<(), String> {
    let folder = benchmark.parent().unwrap_or(Path::new("."));
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "tidegate", "--manifest-path", MANIFEST]);
    command.args(["--profile", profile(folder)]);
    command.arg("--target-dir").arg(folder.parent().unwrap_or(folder));
    command.args(names.iter().flat_map(|name| ["--example", name]));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // cargo writes its progress and its errors to the standard error of the benchmark.
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cannot build the examples {}", names.join(", "))) }
}

/// Returns the profile that cargo has built a program with, from the folder of the program.
fn profile(folder: &Path) -> &str {
    match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    }
}

fn find(names: &[&str], benchmark: &Path) -> Result<String, String> {
    let missing: Vec<_> = names.iter().filter(|name| !path(name, benchmark).is_file()).copied().collect();
    if missing.is_empty() {
        return Ok(
            "cargo has not started the benchmark, so the example programs may be older than their sources"
                .into(),
        );
    }
    let examples: String = missing.iter().map(|name| format!(" --example {name}")).collect();
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let (missing, s) = (missing.join(", "), if missing.len() == 1 { "" } else { "s" });
    Err(format!("the example{s} {missing} must be built first: cargo build{release}{examples}"))
}

fn path(name: &str, benchmark: &Path) -> PathBuf {
    let folder = benchmark.parent().unwrap_or(Path::new("."));
    folder.join("examples").join(name).with_extension(env::consts::EXE_EXTENSION)
}

/// Returns the words of the command that starts an example program. The program prints its address.
pub fn command(name: &str, site: &Site<'_>) -> io::Result<Vec<String>> {
    let program = path(name, &env::current_exe()?);
    let mut words = vec![program.to_string_lossy().into_owned(), "--listen".into(), "127.0.0.1:0".into()];
    match name {
        "http" => {
            let directory = site.file.and_then(Path::parent).ok_or(io::ErrorKind::InvalidInput)?;
            words.extend(["--root".into(), directory.to_string_lossy().into_owned()]);
        }
        "proxy" => {
            let backend = site.backend.ok_or(io::ErrorKind::InvalidInput)?;
            words.extend(["--to".into(), backend.to_string()]);
        }
        _ => {}
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_examples_are_named_with_the_command_that_builds_them() {
        let error = find(&["kv", "proxy"], Path::new("/no/such/folder/bench")).unwrap_err();
        assert!(error.starts_with("the examples kv, proxy must be built first: cargo build"), "{error}");
        assert!(error.ends_with(" --example kv --example proxy"), "{error}");
    }

    #[test]
    fn the_profile_is_the_folder_of_the_build() {
        assert_eq!(profile(Path::new("/target/debug")), "dev");
        assert_eq!(profile(Path::new("/target/release")), "release");
    }

    #[test]
    fn the_commands_have_the_options_of_the_programs() {
        let site = Site { file: Some(Path::new("/some/file")), backend: Some(([127, 0, 0, 1], 7).into()) };
        let options = |name| command(name, &site).unwrap()[1..].join(" ");
        assert_eq!(options("kv"), "--listen 127.0.0.1:0");
        assert_eq!(options("http"), "--listen 127.0.0.1:0 --root /some");
        assert_eq!(options("proxy"), "--listen 127.0.0.1:0 --to 127.0.0.1:7");
    }
}
