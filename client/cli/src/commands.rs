//! The command line: every command of `tercet` but `serve`.
//!
//! `main` flattens [`Command`] into its own enum and hands it to [`run_to_end`], whose result is the
//! exit code: 0 done, 1 refused or failed, 2 wrong usage.

pub mod account;
mod admin;
mod blocks;
pub mod cluster;
pub mod connect;
pub mod everybody;
pub mod export;
mod feed;
pub mod history;
pub mod identity;
mod levels;
pub mod membership;
mod mentions;
pub mod message;
mod pins;
mod presence;
pub mod profile;
pub mod read;
mod receive;
pub mod recover;
mod retention;
pub mod room;
mod room_changes;
mod search;
pub mod secret;
pub mod send;
pub mod sessions;
mod state;
pub mod status;
pub mod stop;
pub mod tokens;
mod verify;

use clap::{ArgMatches, Args as _, FromArgMatches};
use tokio::runtime::Builder;

use crate::bench::{self, Bench};
use crate::chat::{self, ChatLogin};
use crate::failure::Failure;
use crate::local::{self, Local};
use crate::output::{notice, report};
use crate::replay::{self, Replay};
use crate::stop_signals::StopSignals;
use connect::{Connect, explain};

pub use connect::set_by_env_file;
pub use send::with_text_apart;

/// A command, besides `serve`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run replicas on this machine, then chat
    Local(Local),
    #[command(flatten)]
    Online(Box<Online>),
}

/// A command that talks to a cluster, and the options of its connection.
#[derive(Debug)]
pub struct Online {
    command: OnlineCommand,
    connect: Connect,
}

#[derive(Debug, clap::Subcommand)]
enum OnlineCommand {
    /// Chat on the whole terminal, or line by line in a pipe
    Chat(ChatLogin),
    /// Create an account
    Register(account::Register),
    /// Log in, and store the session
    Login(account::Login),
    /// Log out, or end the account's other sessions (--others)
    Logout(account::Logout),
    /// Change the password, and end the account's other sessions
    Password(account::ChangePassword),
    /// List the account's sessions, or end one
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Make, list and revoke API tokens, for programs
    #[command(subcommand)]
    Token(tokens::Token),
    /// Show a profile, or change your own (`profile set`)
    Profile(profile::Profile),
    /// List the accounts
    Accounts(account::Accounts),
    /// Send one message, to an account or to a room
    Send(send::Send),
    /// Show the waiting messages, and acknowledge them
    Inbox(receive::Inbox),
    /// Show the messages of a room, or to and from another account
    History(history::History),
    /// Find messages by their words
    Search(search::Search),
    /// Show messages as they arrive
    Tail(receive::Tail),
    /// Keep away the direct messages of an account
    Block(blocks::Block),
    /// Let the direct messages of an account through again
    Unblock(blocks::Unblock),
    /// List the accounts that you block
    Blocks(blocks::Blocks),
    /// Replace the text of a message that you sent
    Edit(message::Edit),
    /// List the earlier texts of a message, in a room that keeps them
    Edits(message::Edits),
    /// Delete a message of yours, or as an admin of a room any there
    Delete(message::Delete),
    /// Add a reaction to a message
    React(message::React),
    /// Take back a reaction
    Unreact(message::React),
    /// Pin a message of a conversation, so that everybody there finds it
    Pin(pins::Pin),
    /// Take a pin back
    Unpin(pins::Pin),
    /// List the pinned messages of a conversation
    Pins(pins::Pins),
    /// Show whether accounts are connected
    Presence(presence::PresenceOf),
    /// List the messages of rooms that mention you
    Mentions(mentions::Mentions),
    /// Set what you want to be notified of in a conversation: all, mentions, none
    Level(levels::LevelOf),
    /// List, add and remove words that you want to be notified of like mentions
    Keywords(levels::Keywords),
    /// Mark messages of a conversation as read, or as unread
    Read(read::Read),
    /// Make, join, leave, change and list rooms
    #[command(subcommand)]
    Room(room::Room),
    /// Make, follow and list feeds: rooms that others write to
    #[command(subcommand)]
    Feed(feed::Feed),
    /// List your conversations, rooms and others, with what is unread
    Conversations(room::Conversations),
    /// Write all data of your account, or a whole room, as lines of JSON
    Export(export::Export),
    /// Read, set, remove and list keys with values beside a conversation
    #[command(subcommand)]
    State(state::State),
    /// Run a small program beside a key, such as a counter
    Submit(state::Submit),
    /// Delete the account for good
    DeleteAccount(account::DeleteAccount),
    /// Show, check, add, remove and stop replicas
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Send a file of conversations through the cluster, then check that every message is there
    Replay(Replay),
    /// Put a load on the cluster, and measure it
    #[command(subcommand)]
    Bench(Box<Bench>),
}

/// Gives every online command the options of [`Connect`]; those of `room`, `feed`, `cluster` and `bench` pass them on to their
/// own commands.
impl clap::Subcommand for Online {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        OnlineCommand::augment_subcommands(command).mut_subcommands(|command| {
            if Online::has_subcommand(command.get_name()) {
                Connect::augment_args(command)
            } else {
                command
            }
        })
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Online::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        OnlineCommand::has_subcommand(name)
    }
}

impl FromArgMatches for Online {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Online, clap::Error> {
        let (_, of_command) = matches.subcommand().unwrap_or(("", matches));
        Ok(Online {
            command: OnlineCommand::from_arg_matches(matches)?,
            connect: Connect::from_arg_matches(of_command)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Online::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs a command, writing to stdout and stderr; gives the exit code.
///
/// Afterwards a thread may still be reading stdin, so leave by the exit code instead of waiting for it.
pub fn run_to_end(command: Command) -> u8 {
    // On one thread `replay` and `bench` are twice as fast.
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run(command));
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            notice(&format!("error: start the runtime: {error}"));
            1
        }
    }
}

/// Runs a command as [`run_to_end`] does, on a runtime of the caller.
pub async fn run(command: Command) -> u8 {
    let (ended, json) = match command {
        Command::Local(args) => (local::run(args).await, false),
        Command::Online(online) => {
            let Online { command, connect } = *online;
            let ended = command.run(&connect).await;
            (
                ended.map_err(|failure| explain(failure, &connect)),
                connect.json,
            )
        }
    };
    match ended {
        Ok(()) => 0,
        Err(failure) => report(&failure, json),
    }
}

impl OnlineCommand {
    async fn run(self, connect: &Connect) -> Result<(), Failure> {
        match self {
            // These may wait for a person, or for a leader: a signal ends them at once, and the terminal
            // is as it was.
            OnlineCommand::Register(args) => until_stopped(account::register(args, connect)).await,
            OnlineCommand::Login(args) => until_stopped(account::login(args, connect)).await,
            OnlineCommand::Password(args) => {
                until_stopped(account::change_password(args, connect)).await
            }
            OnlineCommand::DeleteAccount(args) => {
                until_stopped(account::delete_account(args, connect)).await
            }
            OnlineCommand::Chat(login) => chat::run(login, connect).await,
            OnlineCommand::Logout(args) => account::logout(args, connect).await,
            OnlineCommand::Sessions(command) => sessions::run(command, connect).await,
            OnlineCommand::Token(command) => tokens::run(command, connect).await,
            OnlineCommand::Profile(args) => profile::run(args, connect).await,
            OnlineCommand::Accounts(args) => account::accounts(args, connect).await,
            OnlineCommand::Send(args) => send::send(args, connect).await,
            OnlineCommand::Inbox(args) => receive::inbox(args, connect).await,
            OnlineCommand::History(args) => history::history(args, connect).await,
            OnlineCommand::Search(args) => search::search(args, connect).await,
            OnlineCommand::Export(args) => export::export(args, connect).await,
            OnlineCommand::Tail(args) => receive::tail(args, connect).await,
            OnlineCommand::Block(args) => blocks::block(args, connect).await,
            OnlineCommand::Unblock(args) => blocks::unblock(args, connect).await,
            OnlineCommand::Blocks(args) => blocks::blocks(args, connect).await,
            OnlineCommand::Edit(args) => message::edit(args, connect).await,
            OnlineCommand::Edits(args) => message::edits(args, connect).await,
            OnlineCommand::Delete(args) => message::delete(args, connect).await,
            OnlineCommand::React(args) => message::react(args, false, connect).await,
            OnlineCommand::Unreact(args) => message::react(args, true, connect).await,
            OnlineCommand::Pin(args) => pins::pin(args, false, connect).await,
            OnlineCommand::Unpin(args) => pins::pin(args, true, connect).await,
            OnlineCommand::Pins(args) => pins::pins(args, connect).await,
            OnlineCommand::Presence(args) => presence::presence(args, connect).await,
            OnlineCommand::Mentions(args) => mentions::mentions(args, connect).await,
            OnlineCommand::Level(args) => levels::level(args, connect).await,
            OnlineCommand::Keywords(args) => levels::keywords(args, connect).await,
            OnlineCommand::Read(args) => read::read(args, connect).await,
            OnlineCommand::Room(command) => room::run(command, connect).await,
            OnlineCommand::Feed(command) => feed::run(command, connect).await,
            OnlineCommand::Conversations(args) => room::conversations(args, connect).await,
            OnlineCommand::Submit(args) => state::submit(args, connect).await,
            OnlineCommand::State(command) => state::run(command, connect).await,
            OnlineCommand::Cluster(command) => cluster::run(command, connect).await,
            OnlineCommand::Replay(args) => replay::run(args, connect).await,
            OnlineCommand::Bench(bench) => bench::run(*bench, connect).await,
        }
    }
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
    fn the_options_of_the_connection_stand_before_or_behind_the_last_command() {
        for words in [
            &["tercet", "accounts", "--json", "--timeout", "5"][..],
            &["tercet", "cluster", "status", "--json", "--timeout", "5"],
            &["tercet", "cluster", "--json", "--timeout", "5", "status"],
            &["tercet", "bench", "--timeout", "5", "send", "--json"],
        ] {
            match Cli::try_parse_from(words).map(|cli| cli.command) {
                Ok(Command::Online(online)) => {
                    assert!(online.connect.json, "{words:?}");
                    assert_eq!(online.connect.timeout.as_deref(), Some("5"), "{words:?}");
                }
                other => panic!("{words:?} is no online command: {other:?}"),
            }
        }
        for words in [
            ["tercet", "local", "--json"],
            ["tercet", "--json", "accounts"],
        ] {
            assert!(Cli::try_parse_from(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_message_is_given_as_words_or_as_a_dash() {
        let parse = |args: &[&str]| Cli::try_parse_from(args);
        assert!(parse(&["tercet", "send", "bob", "hello", "there", "--json"]).is_ok());
        assert!(parse(&["tercet", "send", "bob", "-"]).is_ok());
        assert!(parse(&["tercet", "send"]).is_err());
        let text = |args: &[&str]| match parse_apart(args).map(|cli| cli.command) {
            Ok(Command::Online(online)) => match online.command {
                OnlineCommand::Send(send) => send.text_given(),
                other => panic!("{args:?} is no send: {other:?}"),
            },
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
