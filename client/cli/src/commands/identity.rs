//! The identity of a command's caller: a given token, or a stored session of the cluster. The token of a
//! stored session goes to that cluster alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tercet_client::{Client, ClusterCache, LoginSession, Replica, Replicas};

use super::connect::{Connect, ListSource, SESSION_FILE_VARIABLE, TOKEN_VARIABLE, given};
use super::secret::secret;
use crate::failure::Failure;
use crate::output::notice;
use crate::session::{Session, SessionFile};

/// The options that choose the caller of a command.
#[derive(Debug, Clone, clap::Args)]
pub struct Identity {
    /// The account whose stored session is used [default: the newest login at this cluster]
    #[arg(long = "as", value_name = "NAME", env = "TERCET_USER")]
    pub name: Option<String>,

    /// The token of a session, in place of a stored session; better given in a file or the environment
    #[arg(long, env = TOKEN_VARIABLE, hide_env_values = true, allow_hyphen_values = true)]
    pub token: Option<String>,

    /// The file that has the token; `-` for standard input
    #[arg(long, value_name = "FILE", env = "TERCET_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    #[command(flatten)]
    pub sessions: Sessions,
}

/// The option that chooses the file of sessions.
#[derive(Debug, Clone, clap::Args)]
pub struct Sessions {
    /// The file that stores sessions [default: in the platform's directory for state]
    #[arg(long, value_name = "FILE", env = SESSION_FILE_VARIABLE)]
    pub session_file: Option<PathBuf>,
}

impl Sessions {
    pub fn file(&self) -> Result<SessionFile, Failure> {
        let path = self.session_file.clone();
        let path = path.filter(|path| !path.as_os_str().is_empty());
        Ok(SessionFile::locate(path)?)
    }

    /// Stores a login session of the cluster whose leader this client has found.
    pub async fn keep(&self, client: &Client, login: &LoginSession) -> Result<(), Failure> {
        let leader = client.leader().await?;
        let mut known = addresses(client.replicas());
        known.extend(client.roster().iter().flat_map(addresses));
        let session = Session {
            cluster_id: Some(leader.cluster_id),
            addresses: known,
            username: login.username.clone(),
            account_id: login.account_id,
            token: login.token.clone(),
            expires_at_ms: login.expires_at_ms,
        };
        Ok(self.file()?.keep(session)?)
    }

    /// Drops the login session of a name at the cluster whose leader this client has found.
    pub async fn forget(&self, client: &Client, name: &str) -> Result<(), Failure> {
        let leader = client.leader().await?;
        Ok(self.file()?.drop_session(&leader.cluster_id, name)?)
    }

    /// Assigns sessions of earlier versions, which name no cluster, to the cluster that was known here, if
    /// there was only one. Must be called before another cluster is found.
    fn adopt(&self) -> Result<(), Failure> {
        let file = self.file()?;
        let sessions = file.all(None)?;
        if sessions.iter().all(|session| session.cluster_id.is_some()) {
            return Ok(());
        }
        let path = self.session_file.clone();
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let known = ClusterCache::beside(path)?.clusters();
        if let (Some(only), 1) = (known.first(), known.len()) {
            file.adopt(only)?;
        }
        Ok(())
    }
}

fn addresses(list: &Replicas) -> BTreeSet<String> {
    list.iter().map(|replica| replica.address.clone()).collect()
}

/// A client with a token; the name is known unless a bare token was given.
pub struct LoggedIn {
    pub client: Client,
    pub name: Option<String>,
}

/// A stored session, and the client that may use it.
pub struct Stored {
    pub session: Session,
    /// The client accepts the session's cluster only.
    pub client: Client,
}

impl Identity {
    /// Tells whether a token is given, and no name for it.
    pub fn has_token_alone(&self) -> bool {
        let has_token = given(&self.token).is_some() || self.token_file.is_some();
        has_token && self.name().is_none()
    }

    pub fn name(&self) -> Option<&str> {
        given(&self.name)
    }

    /// Makes a client with the given token or the stored session.
    ///
    /// A stored session is used at its cluster only: the leader must name its cluster before it gets the
    /// token.
    pub async fn logged_in(&self, connect: &Connect) -> Result<LoggedIn, Failure> {
        let client = connect.client()?;
        if let Some(me) = self.with_token(&client, connect)? {
            return Ok(me);
        }
        let stored = self.stored(&client, connect).await?;
        let Stored { session, client } = stored.ok_or_else(|| self.not_logged_in(connect))?;
        Ok(LoggedIn {
            client: client.with_token(&session.token)?,
            name: Some(session.username),
        })
    }

    /// Makes a client with the given token, if one is given.
    pub fn with_token(
        &self,
        client: &Client,
        connect: &Connect,
    ) -> Result<Option<LoggedIn>, Failure> {
        let Some(token) = secret(&self.token, &self.token_file, "the token")? else {
            return Ok(None);
        };
        // A stranger's `.env` may name any file of this person's: none is taken from there.
        let is_text = self.token_file.is_none();
        connect.check_list_for("the token", is_text.then_some(TOKEN_VARIABLE))?;
        Ok(Some(LoggedIn {
            client: client.with_token(&token)?,
            name: self.name().map(str::to_owned),
        }))
    }

    /// Finds the stored session of the name, or of the newest login, at the cluster of this client.
    pub async fn stored(
        &self,
        client: &Client,
        connect: &Connect,
    ) -> Result<Option<Stored>, Failure> {
        self.sessions.adopt()?;
        let file = self.sessions.file()?;
        let sessions = file.all(self.name())?;
        if sessions.is_empty() {
            return Ok(None);
        }
        let client = match connect.list() {
            (_, ListSource::EnvFile) => known_only(client, connect, &sessions)?,
            _ => client.clone(),
        };
        let cluster = client.leader().await?.cluster_id;
        client.bind(&cluster);
        let Some(session) = file.find(&cluster, self.name())? else {
            if sessions.iter().any(|session| session.cluster_id.is_none()) {
                notice(
                    "a session of an earlier version is stored, which does not say of which \
                     cluster it is: log in again",
                );
            }
            return Ok(None);
        };
        let named = client.roster().as_ref().map(addresses).unwrap_or_default();
        if !named.is_subset(&session.addresses) {
            let known = session.addresses.union(&named).cloned().collect();
            file.learn(&cluster, &known)?;
        }
        let here = |session: &&Session| session.cluster_id.as_ref() == Some(&cluster);
        if self.name().is_none() && sessions.iter().filter(here).count() > 1 && !connect.json {
            let name = &session.username;
            notice(&format!(
                "as {name}, the newest login here; --as NAME or TERCET_USER chooses another"
            ));
        }
        Ok(Some(Stored { session, client }))
    }

    fn not_logged_in(&self, connect: &Connect) -> Failure {
        let (message, name) = match self.name() {
            Some(name) => (format!("{name} is not logged in at this cluster"), name),
            None => ("nobody is logged in at this cluster".to_owned(), "NAME"),
        };
        let (list, _) = connect.list();
        let message = format!("{message} (replicas {list})");
        let advice = format!("Log in first: `tercet login {name}`.");
        Failure::failed("NOT_LOGGED_IN", message, advice)
    }
}

/// Makes a client of the listed replicas at which the person logged in before: a stranger may have written
/// the list, and any replica may claim to be of any cluster.
fn known_only(client: &Client, connect: &Connect, sessions: &[Session]) -> Result<Client, Failure> {
    let known = |replica: &&Replica| {
        let mut sessions = sessions.iter();
        sessions.any(|session| session.addresses.contains(&replica.address))
    };
    let known: Vec<_> = client.replicas().iter().filter(known).cloned().collect();
    match Replicas::from_parts(known) {
        Ok(known) => connect.client_of(known),
        Err(_) => {
            let (list, source) = connect.list();
            let message = format!(
                "the list of replicas is {source}, and nobody has logged in at any of {list} before"
            );
            let advice = "If you know these replicas, log in there (`tercet login NAME`), or give \
                          them with --replicas.";
            Err(Failure::failed("LIST_NOT_TRUSTED", message, advice))
        }
    }
}
