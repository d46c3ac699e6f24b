//! The echo server of the textbooks, with blocking calls: the server serves one client at a time, or each client on a thread
//! of its own.
//!
//! Try the server with two terminals: `cargo run --example blocking_echo_server` and `nc 127.0.0.1 7007`. A second `nc` in a
//! third terminal gets no answer until the first `nc` has ended. With `--threads`, the second `nc` gets its answers at once.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tidegate::blocking::{Server, ServerOptions};

/// A blocking echo server: sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at: 127.0.0.1:7007, [::1]:7007, localhost:7007, or :7007 for every interface; port 0 takes a
    /// free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// Serve each client on a thread of its own; without this option, a client waits until the client before it has ended
    #[arg(long)]
    threads: bool,

    /// Receive at most this number of bytes at a time, and send them back before the next receive
    #[arg(long, value_name = "BYTES", default_value_t = ServerOptions::default().buffer as u32,
          value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    buffer: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "blocking_echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> io::Result<()> {
    let server = Server::bind_with(&args.listen, ServerOptions::default().buffer(args.buffer as usize))?;
    let address = server.local_addr()?;

    // Signals are handled before the address is printed: a program that waits for the address may send a signal at once.
    let stopper = server.stopper()?;
    ctrlc::set_handler(move || stopper.stop()).map_err(io::Error::other)?;

    log::info!(
        "serving {} at {address}",
        if args.threads { "a thread for each client" } else { "one client at a time" }
    );
    if let Err(error) = announce(&format!("listening on {address}\n")) {
        log::warn!("cannot write to standard output: {error}");
    }

    if args.threads {
        server.serve_with_threads();
    } else {
        server.serve_one_at_a_time();
    }
    log::info!("stopped");
    Ok(())
}

/// Writes the line at once, also into a pipe. println! would panic if no process reads the pipe.
fn announce(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
