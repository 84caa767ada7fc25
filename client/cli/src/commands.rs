//! The command line: every command of `tercet` but `serve`.
//!
//! `main` flattens [`Command`] into its own enum and hands it to [`run`], whose result is the
//! exit code: 0 done, 1 refused or failed, 2 wrong usage.

pub mod account;
mod admin;
pub mod cluster;
pub mod connect;
pub mod everybody;
pub mod history;
pub mod identity;
pub mod membership;
pub mod message;
pub mod recover;
pub mod secret;
pub mod status;
pub mod stop;

use crate::bench::{self, Bench};
use crate::chat::{self, Chat};
use crate::failure::Failure;
use crate::local::{self, Local};
use crate::output::report;
use crate::replay::{self, Replay};
use crate::stop_signals::StopSignals;
use connect::{Connect, explain};

pub use connect::set_by_env_file;
pub use message::with_text_apart;

/// What a person can type, besides `serve`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run replicas on this machine, then chat
    Local(Local),
    /// Chat, line by line, in a terminal or a pipe
    Chat(Chat),
    /// Take a name
    Register(account::Register),
    /// Open a session and keep it
    Login(account::Login),
    /// End the session, or the account's other sessions (--others)
    Logout(account::Logout),
    /// Change the password, and end the account's other sessions
    Password(account::ChangePassword),
    /// List the accounts
    Accounts(account::Accounts),
    /// Send one message
    Send(message::Send),
    /// Show the messages that wait, and acknowledge them
    Inbox(message::Inbox),
    /// Show the messages to and from somebody
    History(history::History),
    /// Show messages as they come
    Tail(message::Tail),
    /// End the account for good
    DeleteAccount(account::DeleteAccount),
    /// Look at the replicas, add, remove and stop them
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Send a file of conversations through the cluster, then check that all of it is there
    Replay(Replay),
    /// Put a load on the cluster and measure it
    #[command(subcommand)]
    Bench(Box<Bench>),
}

impl Command {
    /// The connection's options, for those that have them.
    fn connect(&self) -> Option<&Connect> {
        Some(match self {
            Command::Local(_) => return None,
            Command::Chat(args) => &args.connect,
            Command::Register(args) => &args.connect,
            Command::Login(args) => &args.connect,
            Command::Logout(args) => &args.connect,
            Command::Password(args) => &args.connect,
            Command::Accounts(args) => &args.connect,
            Command::Send(args) => &args.connect,
            Command::Inbox(args) => &args.connect,
            Command::History(args) => &args.connect,
            Command::Tail(args) => &args.connect,
            Command::DeleteAccount(args) => &args.connect,
            Command::Cluster(args) => args.connect(),
            Command::Replay(args) => &args.connect,
            Command::Bench(args) => &args.common().connect,
        })
    }
}

/// Carries out a command, writing to stdout and stderr; gives the exit code.
///
/// Best called on a current-thread runtime: that is twice as fast for `replay` and `bench`. Afterwards a
/// thread may still be reading stdin, so leave by the exit code instead of waiting for it.
pub async fn run(command: Command) -> u8 {
    let connect = command.connect().cloned();
    let done = match command {
        // These may wait for a person, or for a leader: a signal ends them at once, and the terminal
        // is as it was.
        Command::Register(args) => until_stopped(account::register(args)).await,
        Command::Login(args) => until_stopped(account::login(args)).await,
        Command::Password(args) => until_stopped(account::change_password(args)).await,
        Command::DeleteAccount(args) => until_stopped(account::delete_account(args)).await,
        Command::Local(args) => local::run(args).await,
        Command::Chat(args) => chat::run(args).await,
        Command::Logout(args) => account::logout(args).await,
        Command::Accounts(args) => account::accounts(args).await,
        Command::Send(args) => message::send(args).await,
        Command::Inbox(args) => message::inbox(args).await,
        Command::History(args) => history::history(args).await,
        Command::Tail(args) => message::tail(args).await,
        Command::Cluster(args) => cluster::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Bench(args) => bench::run(*args).await,
    };
    let Err(mut failure) = done else { return 0 };
    let json = connect.as_ref().is_some_and(|connect| connect.json);
    if let (Failure::Failed { .. }, Some(connect)) = (&failure, &connect) {
        failure = explain(failure, connect);
    }
    report(&failure, json)
}

async fn until_stopped(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut stop = StopSignals::listen().map_err(|e| Failure::io("listen for signals", &e))?;
    tokio::select! {
        done = command => done,
        () = stop.received() => {
            Err(Failure::failed("STOPPED", "stopped by a signal", ""))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn replicas_is_a_number_for_local_and_a_list_elsewhere() {
        let parse = |args: &[&str]| Cli::try_parse_from(args);
        assert!(parse(&["tercet", "local", "--replicas", "5"]).is_ok());
        assert!(parse(&["tercet", "local", "--replicas", "10"]).is_err());
        let list = ["tercet", "cluster", "status", "--replicas", "1=a:1"];
        assert!(parse(&list).is_ok());
    }

    /// As `main` does.
    fn parse_apart(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(with_text_apart(args.iter().map(Into::into).collect()))
    }

    #[test]
    fn a_message_is_given_as_words_or_as_a_dash() {
        let parse = |args: &[&str]| Cli::try_parse_from(args);
        assert!(parse(&["tercet", "send", "bob", "hello", "there", "--json"]).is_ok());
        assert!(parse(&["tercet", "send", "bob", "-"]).is_ok());
        assert!(parse(&["tercet", "send"]).is_err());
        let text = |args: &[&str]| match parse_apart(args).map(|cli| cli.command) {
            Ok(Command::Send(send)) => send.text_given(),
            other => panic!("{args:?} is no send: {other:?}"),
        };
        let words = ["a", "-b", "c", "--d", "-"];
        let options = [
            "--request-id=0192f000-0000-7000-8000-000000000001",
            "--json",
        ];
        let line = [&["tercet", "send", "bob"], &words[..], &options].concat();
        assert_eq!(text(&line), words);
        assert!(parse_apart(&["tercet", "send", "-hi", "there"]).is_err());
        for dashed in ["-hi", "-h", "-V", "--loud", "-1", "-as"] {
            assert_eq!(
                text(&["tercet", "send", "bob", dashed, "--as", "x"]),
                [dashed]
            );
        }
        for option in ["--help", "--json", "--version"] {
            assert_eq!(text(&["tercet", "send", "bob", "--", option]), [option]);
        }
    }

    #[test]
    fn history_wants_a_name_or_an_id() {
        let parse = |args: &[&str]| Cli::try_parse_from(args);
        assert!(parse(&["tercet", "history", "bob", "--before", "x"]).is_ok());
        assert!(parse(&["tercet", "history", "--account-id", "7"]).is_ok());
        assert!(parse(&["tercet", "history"]).is_err());
    }
}
