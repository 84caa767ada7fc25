//! The part of login sessions that the chat needs. The command line keeps the sessions.

use std::path::PathBuf;

use tercet_client::{Client, LoginSession};

use crate::model::Settings;

/// A session that was found.
#[derive(Clone)]
pub struct Session {
    /// The client with the session's token.
    pub client: Client,
    /// The name of the account.
    pub name: String,
}

/// The reason why no session could be looked for.
#[derive(Debug, Clone)]
pub struct NoAnswer {
    pub why: String,
    /// Whether the same may succeed later.
    pub may_pass: bool,
}

/// The keeper of login sessions.
pub trait Accounts: Clone + Send + Sync + 'static {
    /// Finds the stored session at the cluster, or opens one with the password that was given at the start. Waits for
    /// a leader.
    fn find(&self) -> impl Future<Output = Result<Option<Session>, NoAnswer>> + Send;

    /// Stores a session that was just opened.
    fn keep(
        &self,
        client: &Client,
        login: &LoginSession,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// Writes all data of the account into a new file, or that of a room. Returns what was written, in words.
    fn export(
        &self,
        client: &Client,
        room: Option<String>,
        file: String,
    ) -> impl Future<Output = Result<String, String>> + Send;

    /// Drops the stored session of an account.
    fn forget(
        &self,
        client: &Client,
        name: &str,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// The settings that a chat starts with.
pub struct Setup {
    /// The client without a session.
    pub client: Client,
    /// The name that was given at the start; may be empty.
    pub name: String,
    /// The description of this program and host that the login sends, for the list of sessions.
    pub label: String,
    /// The directory of the caches; `None` for none.
    pub caches: Option<PathBuf>,
    /// The cluster and the account whose session is probably stored.
    pub guess: Option<(String, String)>,
    pub settings: Settings,
    /// The fault of the configuration; empty if there is none.
    pub complaint: String,
    /// A note for people before they write a password; may be empty.
    pub login_note: String,
    /// The notices of the rest of the program.
    pub notices: tokio::sync::mpsc::UnboundedReceiver<String>,
}
