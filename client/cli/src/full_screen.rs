//! The full-screen chat, with the sessions and the options of the command line. `tercet-tui` is the chat itself.

use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::{env, thread};

use tercet_client::{Client, ClusterCache, LoginSession, StateFile};
use tercet_tui::model::Settings;
use tercet_tui::{Accounts, NoAnswer, Session, Setup};
use tokio::sync::mpsc;

use crate::commands::connect::{Connect, ListSource, SESSION_FILE_VARIABLE, WAITING};
use crate::commands::export::write_export;
use crate::commands::identity::{Identity, Stored};
use crate::commands::sessions::own_label;
use crate::failure::Failure;
use crate::output::{self, Print};

/// The directory of the caches, beside the file of sessions.
const CACHES: &str = "chat-cache";

/// The sessions of the command line, for the chat.
#[derive(Clone)]
pub struct KeptSessions {
    pub identity: Identity,
    pub connect: Connect,
    /// The client without a session.
    pub client: Client,
    /// The password that an option, a variable or a file gave.
    pub password: Option<String>,
    /// Whether the account is made first, if its name is free.
    pub registers: bool,
}

impl KeptSessions {
    async fn find(&self) -> Result<Option<Session>, Failure> {
        if let Some(me) = self.identity.with_token(&self.client, &self.connect)? {
            let name = me.name.unwrap_or_default();
            return Ok(Some(Session {
                client: me.client,
                name,
            }));
        }
        if let Some(Stored { session, client }) =
            self.identity.stored(&self.client, &self.connect).await?
        {
            let client = client.with_token(&session.token)?;
            let name = session.username;
            return Ok(Some(Session { client, name }));
        }
        let (Some(name), Some(password)) = (self.identity.name(), &self.password) else {
            return Ok(None);
        };
        if self.registers {
            match self.client.create_account(name, password).await {
                Err(error) if !error.is_refused_for("NAME_TAKEN") => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        let login = self
            .client
            .login_labelled(name, password, &own_label())
            .await?;
        self.identity.sessions.keep(&self.client, &login).await?;
        let client = self.client.with_token(&login.token)?;
        let name = login.username;
        Ok(Some(Session { client, name }))
    }

    /// Returns the cluster and the account whose session is probably the one to use: found without any replica.
    fn guess(&self) -> Option<(String, String)> {
        let replicas = self.connect.replicas().ok()?;
        let known = ClusterCache::beside(session_file())
            .ok()?
            .lookup(&replicas)?;
        let file = self.identity.sessions.file().ok()?;
        let session = file.find(&known.cluster_id, self.identity.name()).ok()??;
        Some((known.cluster_id, session.username))
    }
}

impl Accounts for KeptSessions {
    async fn find(&self) -> Result<Option<Session>, NoAnswer> {
        KeptSessions::find(self).await.map_err(|failure| NoAnswer {
            may_pass: matches!(
                &failure,
                Failure::Failed { reason, .. }
                    if matches!(&**reason, "NO_LEADER" | "NO_ANSWER" | "OUTCOME_UNKNOWN")
            ),
            why: failure.to_string(),
        })
    }

    async fn keep(&self, client: &Client, login: &LoginSession) -> Result<(), String> {
        let kept = self.identity.sessions.keep(client, login).await;
        kept.map_err(|failure| failure.to_string())
    }

    async fn export(
        &self,
        client: &Client,
        room: Option<String>,
        file: String,
    ) -> Result<String, String> {
        let written = write_export(client, room.as_deref(), Some(Path::new(&file))).await;
        let written = written.map_err(|failure| failure.to_string())?;
        Ok(format!("wrote {file}: {} messages", written.messages))
    }

    async fn forget(&self, client: &Client, name: &str) -> Result<(), String> {
        let forgotten = self.identity.sessions.forget(client, name).await;
        forgotten.map_err(|failure| failure.to_string())
    }
}

fn session_file() -> Option<PathBuf> {
    let path = env::var_os(SESSION_FILE_VARIABLE).filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// Returns the directory of the caches; `None` if this account has no home directory.
fn caches(sessions: &KeptSessions) -> Option<PathBuf> {
    let given = sessions
        .identity
        .sessions
        .session_file
        .clone()
        .or_else(session_file);
    match given.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Some(path.parent()?.join(CACHES)),
        None => Some(StateFile::named(CACHES).ok()?.path().to_owned()),
    }
}

/// Runs the chat on the whole terminal until the person leaves, or a signal comes.
///
/// # Errors
/// When the terminal cannot be used.
pub async fn run(sessions: KeptSessions) -> Result<(), Failure> {
    let (notices, to_show) = mpsc::unbounded_channel();
    let (list, source) = sessions.connect.list();
    let login_note = match source {
        ListSource::EnvFile => format!("The replicas are {list}, {source}."),
        _ => String::new(),
    };
    let (settings, complaint) = directories::ProjectDirs::from("", "", "tercet").map_or_else(
        || (Settings::default(), String::new()),
        |directories| tercet_tui::read_config(&directories.config_dir().join("config.toml")),
    );
    let setup = Setup {
        client: sessions.client.clone(),
        name: sessions.identity.name().unwrap_or_default().to_owned(),
        label: own_label(),
        caches: caches(&sessions),
        guess: sessions.guess(),
        settings,
        complaint,
        login_note,
        notices: to_show,
    };
    // Output of the rest of the program would break the screen: it becomes a notice.
    let (printed, to_print) = blocking::channel();
    output::divert(Some(printed));
    thread::spawn(move || {
        while let Ok(print) = to_print.recv() {
            match print {
                // The status line says it, too.
                Print::Text(text) if text.contains(WAITING) => {}
                Print::Text(text) => _ = notices.send(text.trim().to_owned()),
                Print::Flush(flushed) => _ = flushed.send(()),
            }
        }
    });
    let _undiverted = Undiverted;
    let ended = tercet_tui::run(sessions, setup).await;
    ended.map_err(|error| Failure::io("use the terminal", &error))
}

/// Lets the program print again when it is dropped.
struct Undiverted;

impl Drop for Undiverted {
    fn drop(&mut self) {
        output::divert(None);
    }
}
