//! The commands `sessions list` and `sessions end`.

use serde_json::json;
use tercet_client::OpenSession;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{line, object, print};
use crate::table::table;
use crate::times::{local_time, rfc3339};

/// Characters of a label; the server takes no more.
const LABEL_CHARS_MAX: usize = 64;

#[derive(Debug, clap::Subcommand)]
pub enum Sessions {
    /// List the account's open sessions
    List(List),
    /// End one of the account's sessions
    End(End),
}

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct End {
    /// The session's id in `sessions list`
    id: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(command: Sessions, connect: &Connect) -> Result<(), Failure> {
    match command {
        Sessions::List(args) => list(args, connect).await,
        Sessions::End(args) => end(args, connect).await,
    }
}

async fn list(args: List, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    let sessions = me.client.list_sessions().await?;
    if connect.json {
        for session in &sessions {
            object(&event_json("session", session_json(session)))?;
        }
        return object(&event_json("end", json!({})));
    }
    let rows = sessions.into_iter().map(|session| {
        let this = if session.current { "this one" } else { "" };
        [
            session.session_id,
            local_time(session.created_at_ms),
            local_time(session.expires_at_ms),
            this.to_owned(),
            session.label,
        ]
    });
    let head = ["ID", "OPENED", "UNTIL", "", "BY"];
    table(head, rows).iter().try_for_each(|row| line(row))
}

pub fn session_json(session: &OpenSession) -> serde_json::Value {
    json!({
        "session_id": session.session_id,
        "label": session.label,
        "current": session.current,
        "created_at_ms": session.created_at_ms,
        "created_at": rfc3339(session.created_at_ms),
        "expires_at_ms": session.expires_at_ms,
        "expires_at": rfc3339(session.expires_at_ms),
    })
}

async fn end(args: End, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    me.client.end_session(&args.id).await?;
    let object = json!({"session_id": args.id, "ended": true});
    print(connect.json, &object, &format!("ended session {}", args.id))
}

/// Gives the label of sessions that the command line opens: the program and the host.
pub fn own_label() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let is_plain = |c: &char| c.is_ascii_graphic();
    let label = format!("tercet {} on {host}", env!("CARGO_PKG_VERSION"));
    let plain = label.chars().filter(|c| is_plain(c) || *c == ' ');
    let label: String = plain.take(LABEL_CHARS_MAX).collect();
    label.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a_login_fits_and_names_the_program() {
        let label = own_label();
        assert!(label.starts_with("tercet "), "{label}");
        assert!(label.len() <= LABEL_CHARS_MAX, "{label}");
    }
}
