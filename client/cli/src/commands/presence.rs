//! The command `presence`.

use serde_json::{Value, json};
use tercet_client::{Presence, PresenceState};

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{object, print};
use crate::times::{local_time, rfc3339};

#[derive(Debug, clap::Args)]
pub struct PresenceOf {
    /// The accounts, at most 100
    #[arg(required = true, value_name = "NAME")]
    accounts: Vec<String>,
    #[command(flatten)]
    identity: Identity,
}

pub async fn presence(args: PresenceOf, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let names: Vec<&str> = args.accounts.iter().map(String::as_str).collect();
    for one in me.presence(&names).await? {
        let text = match one.state {
            PresenceState::Hidden => {
                format!(
                    "{}: not shown, without a room or a conversation in common",
                    one.username
                )
            }
            PresenceState::Offline if one.last_seen_ms > 0 => {
                format!(
                    "{}: offline since {}",
                    one.username,
                    local_time(one.last_seen_ms)
                )
            }
            state => format!("{}: {}", one.username, state.name()),
        };
        print(connect.json, &presence_json(&one), &text)?;
    }
    match connect.json {
        true => object(&event_json("end", json!({}))),
        false => Ok(()),
    }
}

/// Gives the presence of an account as an object.
pub fn presence_json(one: &Presence) -> Value {
    let last_seen = (one.last_seen_ms > 0).then_some(one.last_seen_ms);
    let fields = json!({
        "username": one.username,
        "account_id": one.account_id,
        "state": one.state.name(),
        "last_seen_ms": last_seen,
        "last_seen_at": last_seen.map(rfc3339),
    });
    event_json("presence", fields)
}
