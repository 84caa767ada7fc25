//! The secrets that were given on the command line, where `ps` shows them to everybody on the machine: this
//! program is started again in the same process, with the secrets in its environment, which only its owner
//! can read.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::Command,
};

use clap::{ArgMatches, parser::ValueSource};

/// The options that take a secret, with their ids and their variables.
const SECRETS: [(&str, &str, &str); 5] = [
    ("--password", "password", "TERCET_PASSWORD"),
    ("--new-password", "new_password", "TERCET_NEW_PASSWORD"),
    ("--token", "token", "TERCET_TOKEN"),
    ("--peer-secret", "peer_secret", "TERCET_PEER_SECRET"),
    ("--admin-token", "admin_token", "TERCET_ADMIN_TOKEN"),
];

/// A command line without its secrets.
#[derive(Debug)]
pub(crate) struct Moved {
    /// The words, the program's name first.
    words: Vec<OsString>,
    /// The variables and their values.
    secrets: Vec<(&'static str, OsString)>,
    options: Vec<&'static str>,
}

/// Takes every secret that is the value of an option out of the command line; `None` if there is none.
pub(crate) fn moved(words: &[OsString], matches: &ArgMatches) -> Option<Moved> {
    let mut leaf = matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let given = |id: &str| {
        let is_option = leaf.ids().any(|known| known.as_str() == id);
        is_option && leaf.value_source(id) == Some(ValueSource::CommandLine)
    };
    let given: Vec<_> = SECRETS.into_iter().filter(|(_, id, _)| given(id)).collect();
    if given.is_empty() {
        return None;
    }
    let mut moved = Moved {
        words: Vec::new(),
        secrets: Vec::new(),
        options: given.iter().map(|(option, ..)| *option).collect(),
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            moved.words.push(word.clone());
            moved.words.extend(rest.by_ref().cloned());
            break;
        }
        let secret = given
            .iter()
            .find_map(|(option, _, variable)| Some((*variable, value_of(word, option)?)));
        match secret {
            Some((variable, Some(value))) => moved.secrets.push((variable, value)),
            Some((variable, None)) => {
                let value = rest.next()?.clone();
                moved.secrets.push((variable, value));
            }
            None => moved.words.push(word.clone()),
        }
    }
    Some(moved)
}

/// Gives the value behind `--option=`, or `Some(None)` for `--option`, whose value is the next word.
fn value_of(word: &OsStr, option: &str) -> Option<Option<OsString>> {
    let rest = word.as_bytes().strip_prefix(option.as_bytes())?;
    match rest.strip_prefix(b"=") {
        Some(value) => Some(Some(OsStr::from_bytes(value).to_owned())),
        None => rest.is_empty().then_some(None),
    }
}

impl Moved {
    fn warning(&self) -> String {
        let files: Vec<String> = self
            .options
            .iter()
            .map(|option| format!("{option}-file"))
            .collect();
        format!(
            "warning: {} on the command line may be seen by others, and stays in the shell's \
             history: give it by a prompt, a file ({}) or the environment",
            self.options.join(" and "),
            files.join(" and ")
        )
    }

    /// Starts the command line in place of this process, in the environment before the `.env` file set
    /// `of_file`. Returns only if that fails, with a text for people.
    pub(crate) fn run_again(self, of_file: &BTreeSet<String>) -> String {
        eprintln!("{}", self.warning());
        let program = match env::current_exe() {
            Ok(program) => program,
            Err(error) => return format!("it is seen by all: find this program: {error}"),
        };
        let mut command = Command::new(program);
        if let Some((name, words)) = self.words.split_first() {
            command.arg0(name).args(words);
        }
        for name in of_file {
            command.env_remove(name);
        }
        // An option wins over what the environment says, in a file too.
        for (variable, _) in &self.secrets {
            command.env_remove(format!("{variable}_FILE"));
        }
        let error = command.envs(self.secrets).exec();
        format!("it is seen by all: start this program again: {error}")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn moved_of(words: &[&str]) -> Option<Moved> {
        let words = words.iter().map(OsString::from).collect();
        let words = tercet_cli::with_text_apart(words);
        let command = crate::Arguments::command();
        let matches = command
            .try_get_matches_from(&words)
            .expect("it makes sense");
        moved(&words, &matches)
    }

    #[test]
    fn secrets_leave_the_command_line_whichever_way_they_are_written() {
        for words in [
            &["tercet", "login", "ann", "--password", "--hush", "--json"][..],
            &["tercet", "login", "ann", "--password=--hush", "--json"],
        ] {
            let moved = moved_of(words).expect("there is one");
            assert_eq!(moved.words, ["tercet", "login", "ann", "--json"]);
            assert_eq!(
                moved.secrets,
                [("TERCET_PASSWORD", OsString::from("--hush"))]
            );
        }
        let serve = [
            "tercet",
            "serve",
            "--id",
            "1",
            "--peer-secret",
            "a",
            "--admin-token=b",
        ];
        let moved = moved_of(&serve).expect("there are two");
        assert_eq!(moved.words, serve[..4]);
        assert_eq!(moved.secrets.len(), 2);
        let warning = moved.warning();
        assert!(
            warning.starts_with("warning: --peer-secret and --admin-token on"),
            "{warning}"
        );
        assert!(
            warning.contains("(--peer-secret-file and --admin-token-file)"),
            "{warning}"
        );
    }

    #[test]
    fn the_old_and_the_new_password_leave_the_command_line_each_to_its_variable() {
        let words = [
            "tercet",
            "password",
            "--new-password=new",
            "--password",
            "old",
        ];
        let moved = moved_of(&words).expect("there are two");
        assert_eq!(moved.words, words[..2]);
        let secrets = [("TERCET_NEW_PASSWORD", "new"), ("TERCET_PASSWORD", "old")];
        assert_eq!(
            moved.secrets,
            secrets.map(|(name, value)| (name, OsString::from(value)))
        );
    }

    #[test]
    fn what_is_no_option_of_the_command_stays() {
        for words in [
            &["tercet", "send", "bob", "--password", "hush"][..],
            &["tercet", "send", "bob", "--", "--token", "hush"],
            &["tercet", "login", "ann"],
        ] {
            assert!(moved_of(words).is_none(), "{words:?}");
        }
        let words = [
            "tercet", "send", "bob", "--token", "t", "--", "--token", "x",
        ];
        let moved = moved_of(&words).expect("there is one");
        assert_eq!(moved.words, ["tercet", "send", "--", "bob", "--token", "x"]);
    }
}
