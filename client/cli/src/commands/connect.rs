//! The options of the connection: the list of replicas and its source, the timeout, and the format of the
//! output.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fmt};

use serde_json::json;
use tercet_client::{Client, ClusterCache, DEFAULT_REPLICAS, Error, Options, Replicas};

use crate::failure::Failure;
use crate::output::{json_notice, notice};

pub const REPLICAS_VARIABLE: &str = "TERCET_REPLICAS";
pub const SESSION_FILE_VARIABLE: &str = "TERCET_SESSION_FILE";
pub const TOKEN_VARIABLE: &str = "TERCET_TOKEN";
/// The variables that only a `.env` file sets. The author of the file need not be the person who starts the
/// command.
static OF_ENV_FILE: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Notes the variables that a `.env` file has set; once, before any command runs.
pub fn set_by_env_file(names: BTreeSet<String>) {
    let _ = OF_ENV_FILE.set(names); // only the first time counts
}

/// True if a `.env` file has set this variable.
fn is_set_by_env_file(name: &str) -> bool {
    OF_ENV_FILE.get().is_some_and(|names| names.contains(name))
}

// The options of every command that talks to a cluster, shown after the options of the command itself. A doc comment
// here would take the place of the description of each command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_display_order = 900)]
pub struct Connect {
    /// The replicas, as `1=HOST:PORT,2=HOST:PORT` [env: TERCET_REPLICAS] [default: those of
    /// `tercet local`]
    #[arg(long, global = true, value_name = "LIST")]
    pub replicas: Option<String>,

    /// Seconds that a request may take in all, with its retries [default: 30; 60 for `replay` and `cluster
    /// verify`]
    #[arg(long, global = true, value_name = "SECONDS", env = "TERCET_TIMEOUT")]
    pub timeout: Option<String>,

    /// Print JSON, errors too
    #[arg(long, global = true)]
    pub json: bool,
}

/// The source of a list of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSource {
    Flag,
    Environment,
    EnvFile,
    Default,
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListSource::Flag => "from --replicas",
            ListSource::Environment => "from TERCET_REPLICAS",
            ListSource::EnvFile => "from TERCET_REPLICAS in the .env file of this directory",
            ListSource::Default => {
                "the default of `tercet local`, as neither --replicas nor TERCET_REPLICAS is given"
            }
        })
    }
}

impl Connect {
    /// Gives the options of a connection to these replicas, as if `--replicas` named them.
    pub fn of(replicas: &Replicas) -> Connect {
        Connect {
            replicas: Some(replicas.to_string()),
            timeout: None,
            json: false,
        }
    }

    /// Gives the text of the list and its source: the flag wins over the environment, the environment over
    /// the default.
    pub fn list(&self) -> (String, ListSource) {
        if let Some(list) = &self.replicas {
            return (list.clone(), ListSource::Flag);
        }
        match std::env::var(REPLICAS_VARIABLE) {
            Ok(list) if is_set_by_env_file(REPLICAS_VARIABLE) => (list, ListSource::EnvFile),
            Ok(list) => (list, ListSource::Environment),
            Err(_) => (DEFAULT_REPLICAS.to_owned(), ListSource::Default),
        }
    }

    pub fn replicas(&self) -> Result<Replicas, Failure> {
        let (list, source) = self.list();
        list.parse().map_err(|error| {
            Failure::Usage(format!(
                "{error} (the list is {source}); write it as 1=HOST:PORT,2=HOST:PORT"
            ))
        })
    }

    /// Refuses to send a secret to replicas that only a `.env` file names, unless that file sets the
    /// variable of the secret too.
    pub fn check_list_for(&self, what: &str, variable: Option<&str>) -> Result<(), Failure> {
        let (_, source) = self.list();
        if source != ListSource::EnvFile || variable.is_some_and(is_set_by_env_file) {
            return Ok(());
        }
        let message = format!("the list of replicas is {source}, and {what} is not");
        let advice = format!("If {what} is for these replicas, say so with --replicas.");
        Err(Failure::failed("LIST_NOT_TRUSTED", message, advice))
    }

    /// Prints the replicas that will get a password, if a `.env` file names them.
    pub fn say_where(&self) {
        if let (list, source @ ListSource::EnvFile) = self.list() {
            let text = format!("the replicas are {list}, {source}");
            if self.json {
                json_notice(&json!({"notice": {"message": text}}))
            } else {
                notice(&text)
            }
        }
    }

    /// Gives the timeout, if one is given.
    pub fn deadline(&self) -> Result<Option<Duration>, Failure> {
        let Some(text) = given(&self.timeout) else {
            return Ok(None);
        };
        let seconds: Option<f64> = text.parse().ok();
        let deadline = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let limits = Duration::from_millis(1)..=Duration::from_secs(86_400);
        match deadline.filter(|deadline| limits.contains(deadline)) {
            Some(deadline) => Ok(Some(deadline)),
            None => Err(Failure::Usage(format!(
                "`{text}` for --timeout is not a number of seconds above 0, at most 86400"
            ))),
        }
    }

    /// Gives the options of the client of every command: it remembers clusters beside the sessions.
    pub fn options(&self) -> Options {
        let sessions = env::var_os(SESSION_FILE_VARIABLE);
        let sessions = sessions.filter(|path| !path.is_empty()).map(PathBuf::from);
        let (_, source) = self.list();
        // What a stranger's `.env` leads to is no knowledge about other clusters. And it is only a
        // hint, which need not be kept.
        let cache = (source != ListSource::EnvFile).then(|| ClusterCache::beside(sessions).ok());
        Options {
            cache: cache.flatten(),
            waiting: Some(if self.json {
                |error| json_notice(&json!({"notice": {"message": waits(error)}}))
            } else {
                |error| notice(&waits(error))
            }),
            ..Options::default()
        }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        self.client_of(self.replicas()?)
    }

    /// Makes a client of these replicas in place of the list's.
    pub fn client_of(&self, replicas: Replicas) -> Result<Client, Failure> {
        let mut options = self.options();
        if let Some(deadline) = self.deadline()? {
            options.deadline = deadline;
        }
        Ok(Client::with_options(replicas, options))
    }
}

/// The beginning of the note that a command waits for a leader.
pub const WAITING: &str = "waiting for a leader";

fn waits(error: &Error) -> String {
    format!("{WAITING}, as {error}")
}

/// Gives the text of an option; an empty one counts as not given, as in `TERCET_USER=`.
pub fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

/// Adds the source of the list to the failure of a search that found no leader.
pub fn explain(failure: Failure, connect: &Connect) -> Failure {
    let no_leader = Error::NoLeader { tried: Vec::new() };
    match failure {
        Failure::Failed {
            reason,
            message,
            advice,
        } if reason == no_leader.reason() || reason == "NO_ANSWER" => {
            let (_, source) = connect.list();
            Failure::Failed {
                message: format!("{message} (the list is {source})"),
                reason,
                advice,
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(replicas: Option<&str>, timeout: Option<&str>) -> Connect {
        Connect {
            replicas: replicas.map(str::to_owned),
            timeout: timeout.map(str::to_owned),
            json: false,
        }
    }

    #[test]
    fn an_explicitly_empty_list_is_wrong_usage() {
        let failure = connect(Some(""), None).replicas().unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        assert!(failure.to_string().contains("from --replicas"), "{failure}");
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        let deadline = |text| connect(None, Some(text)).deadline();
        assert_eq!(deadline("1.5").unwrap(), Some(Duration::from_millis(1500)));
        assert_eq!(deadline("").unwrap(), None);
        for bad in ["0", "-1", "nan", "inf", "soon", "1e9"] {
            assert!(matches!(deadline(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_search_without_result_says_where_the_list_came_from() {
        let failure = Failure::from(Error::NoLeader { tried: Vec::new() });
        let failure = explain(failure, &connect(Some("1=a:1"), None));
        assert!(failure.to_string().contains("from --replicas"), "{failure}");
    }
}
