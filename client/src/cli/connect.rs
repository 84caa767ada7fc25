//! What commands share: which replicas, as whom, and where passwords come from.

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::api::{Client, Error, LoginResponse, Options};
use crate::memory::Memory;
use crate::output::Failure;
use crate::replicas::{DEFAULT_REPLICAS, Replicas};
use crate::session::{Session, SessionFile};

pub const REPLICAS_VARIABLE: &str = "TERCET_REPLICAS";
const SESSION_FILE_VARIABLE: &str = "TERCET_SESSION_FILE";

/// Options of every command that talks to a cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// The replicas, as `1=HOST:PORT,2=HOST:PORT` [env: TERCET_REPLICAS] [default: those of
    /// `tercet local`]
    #[arg(long, value_name = "LIST")]
    pub replicas: Option<String>,

    /// Seconds that a request may take in all, with its retries [default: 30]
    #[arg(long, value_name = "SECONDS", env = "TERCET_TIMEOUT")]
    pub timeout: Option<String>,

    /// Print JSON, errors too
    #[arg(long)]
    pub json: bool,
}

/// As whom a command calls.
#[derive(Debug, Clone, clap::Args)]
pub struct Identity {
    /// Whose stored session to use [default: the newest login]
    #[arg(long = "as", value_name = "NAME", env = "TERCET_USER")]
    pub name: Option<String>,

    /// A session's token, in place of a stored session
    #[arg(long, env = "TERCET_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    #[command(flatten)]
    pub sessions: Sessions,
}

/// Where sessions are stored.
#[derive(Debug, Clone, clap::Args)]
pub struct Sessions {
    /// The file that keeps sessions [default: in the platform's directory for state]
    #[arg(long, value_name = "FILE", env = SESSION_FILE_VARIABLE)]
    pub session_file: Option<PathBuf>,
}

/// Where a list of replicas came from, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSource {
    Flag,
    Environment,
    Default,
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListSource::Flag => "from --replicas",
            ListSource::Environment => "from TERCET_REPLICAS",
            ListSource::Default => {
                "the default of `tercet local`, as neither --replicas nor TERCET_REPLICAS is given"
            }
        })
    }
}

impl Connect {
    /// The list's text and its source: flag over environment over default.
    pub fn list(&self) -> (String, ListSource) {
        if let Some(list) = &self.replicas {
            return (list.clone(), ListSource::Flag);
        }
        match std::env::var(REPLICAS_VARIABLE) {
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
        let sessions = std::env::var_os(SESSION_FILE_VARIABLE);
        let sessions = sessions.filter(|path| !path.is_empty()).map(PathBuf::from);
        Options {
            // A hint that need not be kept.
            memory: Memory::beside(sessions).ok(),
            ..Options::default()
        }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        let mut options = self.options();
        if let Some(deadline) = self.deadline()? {
            options.deadline = deadline;
        }
        Ok(Client::with_options(self.replicas()?, options))
    }
}

impl Sessions {
    pub fn file(&self) -> Result<SessionFile, Failure> {
        let path = self.session_file.clone();
        let path = path.filter(|path| !path.as_os_str().is_empty());
        Ok(SessionFile::locate(path)?)
    }

    pub fn keep(&self, login: &LoginResponse) -> Result<(), Failure> {
        let session = Session {
            username: login.username.clone(),
            account_id: login.account_id,
            token: login.token.clone(),
            expires_at_ms: login.expires_at_ms,
        };
        Ok(self.file()?.keep(session)?)
    }
}

/// A client that calls as somebody; the name is known unless a bare token was given.
pub struct LoggedIn {
    pub client: Client,
    pub name: Option<String>,
}

impl Identity {
    pub fn name(&self) -> Option<&str> {
        given(&self.name)
    }

    /// The client of the given token or stored session.
    pub fn logged_in(&self, client: &Client) -> Result<LoggedIn, Failure> {
        let (token, name) = match given(&self.token) {
            Some(token) => (token.to_owned(), self.name().map(str::to_owned)),
            None => {
                let session = self.stored()?.ok_or_else(|| self.not_logged_in())?;
                (session.token, Some(session.username))
            }
        };
        let client = client.with_token(&token)?;
        Ok(LoggedIn { client, name })
    }

    pub fn stored(&self) -> Result<Option<Session>, Failure> {
        Ok(self.sessions.file()?.find(self.name())?)
    }

    fn not_logged_in(&self) -> Failure {
        let (message, name) = match self.name() {
            Some(name) => (format!("{name} is not logged in here"), name),
            None => ("nobody is logged in here".to_owned(), "NAME"),
        };
        let advice = format!("Log in first: `tercet login {name}`.");
        Failure::failed("NOT_LOGGED_IN", message, advice)
    }
}

/// An option's text; an empty one counts as not given, as in `TERCET_USER=`.
pub fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

/// A password's source.
#[derive(Debug, Clone, clap::Args)]
pub struct Password {
    /// The password; better from the environment, a prompt or a pipe than from here
    #[arg(long, env = "TERCET_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
}

impl Password {
    /// The password: given, or asked for on a terminal (twice when it is a new one), or the
    /// first line of stdin.
    pub fn read(&self, question: &str, is_new: bool) -> Result<String, Failure> {
        if let Some(password) = given(&self.password) {
            return Ok(password.to_owned());
        }
        if io::stdin().is_terminal() {
            return ask_password(question, is_new);
        }
        let line = read_line()?;
        line.filter(|line| !line.is_empty()).ok_or_else(|| {
            let advice = "Give it by TERCET_PASSWORD, --password or the first line of stdin.";
            Failure::failed("NO_PASSWORD", "no password is given", advice)
        })
    }
}

/// One line of stdin without its end; `None` at the end of input.
pub fn read_line() -> Result<Option<String>, Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let bytes = read.map_err(|error| Failure::io("read stdin", &error))?;
    let line = line.trim_end_matches('\n').trim_end_matches('\r');
    Ok((bytes > 0).then(|| line.to_owned()))
}

fn ask_password(question: &str, is_new: bool) -> Result<String, Failure> {
    let ask = |question: &str| {
        rpassword::prompt_password(format!("{question}: "))
            .map_err(|error| Failure::io("ask for the password", &error))
    };
    let password = ask(question)?;
    if is_new && ask("The same again")? != password {
        let message = "the two passwords differ";
        return Err(Failure::failed("PASSWORDS_DIFFER", message, "Try again."));
    }
    Ok(password)
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
