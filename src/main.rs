//! The one binary, `tercet`: parses the command line, hands over to the server or the client,
//! and sets the exit code.

mod env_file;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A chat server that three replicas keep together.
#[derive(Parser)]
#[command(name = "tercet", version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one replica.
    Serve(Box<serve::Serve>),
    #[command(flatten)]
    Client(tercet_client::cli::Command),
}

fn main() -> ExitCode {
    // Settings of the environment may also stand in `.env`; what is set already wins.
    if let Err(error) = env_file::load() {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match Arguments::parse().command {
        Command::Serve(arguments) => runtime.block_on(serve::run(*arguments)),
        Command::Client(command) => runtime.block_on(tercet_client::cli::run(command)),
    };
    // What still blocks (a read of standard input, a password prompt) is not waited for.
    std::process::exit(code.into())
}
