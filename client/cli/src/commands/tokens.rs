//! The commands `token create`, `token list` and `token revoke`.

use serde_json::json;
use tercet_client::{ApiScope, ApiToken};

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{line, notice, object, print};
use crate::table::table;
use crate::times::{local_time, rfc3339};

#[derive(Debug, clap::Subcommand)]
pub enum Token {
    /// Make an API token for a program; it is shown this once
    Create(Create),
    /// List the account's API tokens
    List(List),
    /// Revoke an API token
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// The name of the token, 1 to 64 characters
    #[arg(value_name = "NAME")]
    token_name: String,
    /// The scopes of the token, separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPES")]
    scope: Vec<ScopeName>,
    /// The days that it is valid [default: without end]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires: Option<u32>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ScopeName {
    /// Read messages and accounts, and mark messages as delivered
    Read,
    /// Send messages
    Send,
    /// Manage the account's sessions and tokens
    Account,
}

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The token's name in `token list`
    #[arg(value_name = "NAME")]
    token_name: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(command: Token, connect: &Connect) -> Result<(), Failure> {
    match command {
        Token::Create(args) => create(args, connect).await,
        Token::List(args) => list(args, connect).await,
        Token::Revoke(args) => revoke(args, connect).await,
    }
}

async fn create(args: Create, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    let scopes: Vec<ApiScope> = args.scope.iter().map(|scope| scope.value()).collect();
    let days = args.expires.unwrap_or(0);
    let made = me
        .client
        .create_api_token(&args.token_name, &scopes, days)
        .await?;
    if connect.json {
        let mut fields = token_json(&made.api_token);
        fields["token"] = json!(made.token);
        return object(&fields);
    }
    line(&made.token)?;
    let until = until(&made.api_token);
    notice(&format!(
        "valid {until}; it is not shown again. Give it as TERCET_TOKEN, or in a file (--token-file)"
    ));
    Ok(())
}

impl ScopeName {
    fn value(self) -> ApiScope {
        match self {
            ScopeName::Read => ApiScope::Read,
            ScopeName::Send => ApiScope::Send,
            ScopeName::Account => ApiScope::Account,
        }
    }
}

async fn list(args: List, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    let tokens = me.client.list_api_tokens().await?;
    if connect.json {
        for token in &tokens {
            object(&event_json("token", token_json(token)))?;
        }
        return object(&event_json("end", json!({})));
    }
    let rows = tokens.iter().map(|token| {
        [
            token.name.clone(),
            scopes(token).join(","),
            local_time(token.created_at_ms),
            until(token),
        ]
    });
    let head = ["NAME", "SCOPES", "MADE", "VALID"];
    table(head, rows).iter().try_for_each(|row| line(row))
}

async fn revoke(args: Revoke, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    me.client.revoke_api_token(&args.token_name).await?;
    let object = json!({"name": args.token_name, "revoked": true});
    print(
        connect.json,
        &object,
        &format!("revoked {}", args.token_name),
    )
}

fn scopes(token: &ApiToken) -> Vec<&'static str> {
    token.scopes.iter().map(|scope| scope.name()).collect()
}

fn until(token: &ApiToken) -> String {
    match token.expires_at_ms {
        Some(ms) => format!("until {}", local_time(ms)),
        None => "without end".to_owned(),
    }
}

pub fn token_json(token: &ApiToken) -> serde_json::Value {
    json!({
        "name": token.name,
        "scopes": scopes(token),
        "created_at_ms": token.created_at_ms,
        "created_at": rfc3339(token.created_at_ms),
        "expires_at_ms": token.expires_at_ms,
        "expires_at": token.expires_at_ms.and_then(rfc3339),
    })
}
