//! The echo client of the textbooks, with blocking calls: the client connects, sends a message, and receives until the whole
//! echo has arrived.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tidegate::blocking;

/// A blocking echo client: sends a message to an echo server and prints the echo. A line break follows the echo only on a
/// terminal.
///
/// The exit status is 0 if the whole message came back, 1 if not, and 2 if the arguments are wrong.
#[derive(Parser)]
struct Args {
    /// The address of the server: 127.0.0.1:7007, [::1]:7007 or localhost:7007
    #[arg(value_name = "ADDR")]
    address: String,

    /// The message to send
    message: OsString,
}

fn main() -> ExitCode {
    let args = Args::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match talk(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "blocking_echo_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn talk(args: Args) -> io::Result<()> {
    let message = args.message.into_encoded_bytes();
    let echo = blocking::echo(&args.address, &message)?;
    print(&echo).map_err(|error| io::Error::other(format!("cannot write to standard output: {error}")))?;
    match echo.iter().zip(&message).position(|(came, sent)| came != sent) {
        None => Ok(()),
        Some(at) => Err(io::Error::other(format!("the echo differs from the message, from byte {at} on"))),
    }
}

fn print(echo: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(echo)?;
    if out.is_terminal() {
        out.write_all(b"\n")?;
    }
    out.flush()
}
