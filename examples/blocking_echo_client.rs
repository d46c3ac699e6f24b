//! The textbook's echo client: it connects, sends a message, and receives until the whole echo is back.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tidegate::blocking;

/// A blocking echo client: prints what comes back, byte for byte, and a line break only on a terminal.
///
/// Exits with 0 if the whole message came back, with 1 if not, with 2 if the arguments are wrong.
#[derive(Parser)]
struct Args {
    /// Where the server listens: 127.0.0.1:7007, [::1]:7007 or localhost:7007
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
            // eprintln! would panic if standard error is closed.
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
        Some(at) => Err(io::Error::other(format!("what came back is not what was sent, from byte {at} on"))),
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
