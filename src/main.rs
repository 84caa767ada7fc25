//! The binary `tercet` parses the command line, calls the server or the client, and sets the exit code.

mod env_file;
mod repeats;
mod secrets;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use rustix::{fs::Mode as Permissions, process::umask};

/// The check of a password uses 19 MiB for a moment. The system's allocator would keep most of it: after a
/// few hundred logins a replica had grown by gigabytes. `no_thp` turns huge pages off, with which an idle
/// replica keeps twice as much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Client(Box<tercet_cli::Command>),
}

fn main() -> ExitCode {
    // Whatever it writes, stores, snapshots, logs and sessions, is for its user alone.
    umask(Permissions::RWXG | Permissions::RWXO);
    let (arguments, matches) = match parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let code = match arguments.command {
        Command::Serve(mut arguments) => {
            if let Some(matches) = matches.subcommand_matches("serve") {
                arguments.note_given(matches);
            }
            serve::run(*arguments)
        }
        Command::Client(command) => tercet_cli::run_to_end(*command),
    };
    // What still blocks (a read of standard input, a password prompt) is not waited for.
    std::process::exit(code.into())
}

/// Parses the command line, with the settings of the environment and of `.env`. Secrets are moved out of
/// it.
fn parse() -> Result<(Arguments, clap::ArgMatches), ExitCode> {
    let error = |error: &dyn std::fmt::Display| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    };
    // Settings may stand in `.env` too; the environment wins.
    let of_file = env_file::load().map_err(|failed| error(&failed))?;
    let words = tercet_cli::with_text_apart(std::env::args_os().collect());
    let matches = Arguments::command().get_matches_from(&words);
    if let Some(moved) = secrets::moved(&words, &matches) {
        // A command that cannot be started again goes on as it was given.
        eprintln!("warning: {}", moved.run_again(&of_file.names));
    }
    if let Some(warning) = &of_file.warning {
        eprintln!("warning: {warning} (lines that set no TERCET_ variable do not count)");
    }
    tercet_cli::set_by_env_file(of_file.names);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Ok((arguments, matches))
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use clap::{CommandFactory as _, error::ContextKind};
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["tercet"], words].concat())
    }

    fn serve(option: &str, value: &str) -> Result<Arguments, clap::Error> {
        let secret = ["--peer-secret", "of sixteen bytes or more"];
        parse(&[&["serve", "--id", "1", option, value], &secret[..]].concat())
    }

    #[test]
    fn a_duration_that_no_clock_counts_to_is_wrong_usage() {
        for option in [
            "--session-ttl-hours",
            "--silence-timeout-ms",
            "--lone-timeout-ms",
        ] {
            for value in [u64::MAX.to_string(), (u64::MAX / 1_000).to_string()] {
                let error = serve(option, &value).err().expect("wrong usage");
                assert_eq!(error.exit_code(), 2);
                assert!(error.to_string().contains(option), "{error}");
            }
            assert!(serve(option, "5000").is_ok());
        }
    }

    /// Every word that stands for something on some command line.
    fn known_words() -> Vec<String> {
        let mut waiting = vec![Arguments::command()];
        let mut words = Vec::new();
        while let Some(command) = waiting.pop() {
            waiting.extend(command.get_subcommands().cloned());
            words.push(command.get_name().to_owned());
            let options = command
                .get_arguments()
                .filter_map(|option| option.get_long());
            words.extend(options.map(|option| format!("--{option}")));
        }
        words
    }

    /// Every variable on some command line, with its defaults: one that is a default of several commands
    /// is there for each.
    fn variables() -> std::collections::BTreeMap<String, std::collections::BTreeSet<String>> {
        let mut waiting = vec![Arguments::command()];
        let mut variables = std::collections::BTreeMap::<_, std::collections::BTreeSet<_>>::new();
        while let Some(command) = waiting.pop() {
            waiting.extend(command.get_subcommands().cloned());
            for option in command.get_arguments() {
                let Some(name) = option.get_env().and_then(|name| name.to_str()) else {
                    continue;
                };
                let defaults = option.get_default_values().iter();
                let defaults = defaults.map(|value| value.to_string_lossy().into_owned());
                variables
                    .entry(name.to_owned())
                    .or_default()
                    .extend(defaults);
            }
        }
        variables
    }

    #[test]
    fn the_example_of_settings_has_every_variable_with_its_default_and_no_other() {
        let example = include_str!("../.env.example");
        let lines = example.lines().filter_map(|line| line.strip_prefix('#'));
        let settings = lines.filter_map(|line| line.split_once('='));
        let settings =
            settings.filter(|(name, _)| name.starts_with("TERCET_") && !name.contains(' '));
        let shown: std::collections::BTreeMap<&str, &str> = settings.collect();
        let known = variables();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(shown.keys().copied().collect::<Vec<_>>(), names);
        for (name, defaults) in &known {
            for default in defaults {
                assert_eq!(shown[name.as_str()], default, "{name}");
            }
        }
    }

    fn word() -> impl Strategy<Value = OsString> {
        let values = [
            "",
            "-",
            "--",
            "1",
            "0",
            "-1",
            "18446744073709551615",
            "1=a:1",
            "ann",
            "1e9",
        ];
        let number = any::<u64>().prop_map(|number| number.to_string());
        prop_oneof![
            5 => select(known_words()).prop_map(OsString::from),
            3 => select(values.to_vec()).prop_map(OsString::from),
            1 => number.prop_map(OsString::from),
            1 => any::<String>().prop_map(OsString::from),
            1 => vec(any::<u8>(), 0..20).prop_map(OsString::from_vec),
        ]
    }

    fn commands() -> Vec<String> {
        let command = Arguments::command();
        let names = command.get_subcommands().map(clap::Command::get_name);
        names.map(String::from).collect()
    }

    proptest! {
        #![proptest_config({
            let default = ProptestConfig::default();
            ProptestConfig { cases: default.cases.max(500), ..default }
        })]

        #[test]
        fn any_words_are_a_command_or_wrong_usage_that_is_named(
            command in select(commands()),
            rest in vec(word(), 0..6),
        ) {
            let words = [vec!["tercet".into(), command.into()], rest].concat();
            match Arguments::try_parse_from(words) {
                Ok(Arguments { command: Command::Serve(settings) }) => {
                    // Another error is one too: what counts is that it is no panic.
                    let _ = settings.into_config().map(|config| config.check().is_ok());
                }
                Ok(_) => {}
                Err(error) if !error.use_stderr() => prop_assert_eq!(error.exit_code(), 0),
                Err(error) => {
                    prop_assert_eq!(error.exit_code(), 2);
                    let named = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
                    let named = named.into_iter().any(|kind| error.get(kind).is_some());
                    let unnameable = [
                        clap::error::ErrorKind::InvalidUtf8,
                        clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                        clap::error::ErrorKind::MissingSubcommand,
                    ];
                    prop_assert!(named || unnameable.contains(&error.kind()), "{error}");
                }
            }
        }
    }
}
