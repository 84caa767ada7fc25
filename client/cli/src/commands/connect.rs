//! What commands share: which replicas they talk to, and who said so.

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
/// Variables that are set by a `.env` file alone: by whoever wrote the directory that a command is
/// started in, who need not be the person who starts it.
static OF_ENV_FILE: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Says which variables a `.env` file has set. Once, before any command runs.
pub fn set_by_env_file(names: BTreeSet<String>) {
    let _ = OF_ENV_FILE.set(names); // only the first time counts
}

/// Whether a `.env` file has set this variable.
fn is_set_by_env_file(name: &str) -> bool {
    OF_ENV_FILE.get().is_some_and(|names| names.contains(name))
}

/// Options of every command that talks to a cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// The replicas, as `1=HOST:PORT,2=HOST:PORT` [env: TERCET_REPLICAS] [default: those of
    /// `tercet local`]
    #[arg(long, value_name = "LIST")]
    pub replicas: Option<String>,

    /// Seconds that a request may take in all, with its retries [default: 30; 60 for `replay` and
    /// `cluster verify`]
    #[arg(long, value_name = "SECONDS", env = "TERCET_TIMEOUT")]
    pub timeout: Option<String>,

    /// Print JSON, errors too
    #[arg(long)]
    pub json: bool,
}

/// Where a list of replicas came from, for messages.
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
    /// To these replicas, as if they were given by a flag.
    pub fn of(replicas: &Replicas) -> Connect {
        Connect {
            replicas: Some(replicas.to_string()),
            timeout: None,
            json: false,
        }
    }

    /// The list's text and its source: flag over environment over default.
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

    /// Refuses to show a secret to replicas that only a `.env` file names, unless the variable that it
    /// comes from stands in that file too.
    pub fn check_list_for(&self, what: &str, variable: Option<&str>) -> Result<(), Failure> {
        let (_, source) = self.list();
        if source != ListSource::EnvFile || variable.is_some_and(is_set_by_env_file) {
            return Ok(());
        }
        let message = format!("the list of replicas is {source}, and {what} is not");
        let advice = format!("If {what} is for these replicas, say so with --replicas.");
        Err(Failure::failed("LIST_NOT_TRUSTED", message, advice))
    }

    /// Says where a password is about to go, when somebody else may have written that down.
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

    /// The overall deadline asked for, if one is.
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

    /// How every command's client behaves: it remembers clusters beside the sessions.
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

    /// A client of these in place of the list's.
    pub fn client_of(&self, replicas: Replicas) -> Result<Client, Failure> {
        let mut options = self.options();
        if let Some(deadline) = self.deadline()? {
            options.deadline = deadline;
        }
        Ok(Client::with_options(replicas, options))
    }
}

fn waits(error: &Error) -> String {
    format!("waiting for a leader, as {error}")
}

/// An option's text; an empty one counts as not given, as in `TERCET_USER=`.
pub fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

/// Puts the list's source into the failure of a search that found no leader.
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
