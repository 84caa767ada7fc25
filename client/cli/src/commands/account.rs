//! `register`, `login`, `logout`, `password`, `accounts`, `delete-account`.

use serde_json::json;
use tercet_client::{Error, LoginSession, RefusedKind};

use super::connect::Connect;
use super::identity::{Identity, Sessions};
use super::secret::{NewPassword, Password};
use crate::failure::Failure;
use crate::messages::{account_json, event_json};
use crate::output::{line, notice, object};
use crate::times::{local_time, rfc3339};

#[derive(Debug, clap::Args)]
pub struct Register {
    /// 1 to 32 letters, digits, `_`, `.` or `-`
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// Log in as well
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    sessions: Sessions,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct Login {
    #[arg(allow_hyphen_values = true)]
    name: String,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    sessions: Sessions,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct Logout {
    /// End the account's other sessions instead, on whatever machine they are
    #[arg(long)]
    others: bool,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct ChangePassword {
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    new_password: NewPassword,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct Accounts {
    /// `*` stands for any run of characters, `?` for one [default: *]
    #[arg(allow_hyphen_values = true)]
    pattern: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on after an earlier answer to the same pattern
    #[arg(long, default_value = "", hide_default_value = true)]
    page_token: String,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct DeleteAccount {
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

pub async fn register(args: Register) -> Result<(), Failure> {
    let client = args.connect.client()?;
    args.connect.say_where();
    let question = format!("New password for {}", args.name);
    let password = args.password.read(&question, true).await?;
    let account_id = client.create_account(&args.name, &password).await?;
    if args.login {
        let login = client.login(&args.name, &password).await?;
        args.sessions.keep(&client, &login).await?;
    }
    if args.connect.json {
        let logged_in = args.login;
        return object(
            &json!({"username": args.name, "account_id": account_id, "logged_in": logged_in}),
        );
    }
    if args.login {
        line(&format!("registered {} and logged in", args.name))
    } else {
        line(&format!("registered {}", args.name))
    }
}

pub async fn login(args: Login) -> Result<(), Failure> {
    let client = args.connect.client()?;
    args.connect.say_where();
    let question = format!("Password for {}", args.name);
    let password = args.password.read(&question, false).await?;
    let login = client.login(&args.name, &password).await?;
    args.sessions.keep(&client, &login).await?;
    say_login(&login, args.connect.json)
}

fn say_login(login: &LoginSession, json: bool) -> Result<(), Failure> {
    if json {
        return object(&json!({
            "username": login.username,
            "account_id": login.account_id,
            "token": login.token,
            "expires_at_ms": login.expires_at_ms,
            "expires_at": rfc3339(login.expires_at_ms),
        }));
    }
    let until = local_time(login.expires_at_ms);
    line(&format!("logged in as {} until {until}", login.username))
}

pub async fn logout(args: Logout) -> Result<(), Failure> {
    let me = args.identity.logged_in(&args.connect).await?;
    if args.others {
        let ended = me.client.end_other_sessions().await?;
        if args.connect.json {
            return object(&json!({"username": me.name, "sessions_ended": ended}));
        }
        return line(&format!("{}; this one stays", ended_sessions(ended)));
    }
    match me.client.logout().await {
        Ok(()) => {}
        // The session has ended by itself already; forget it here too.
        Err(Error::Refused {
            kind: RefusedKind::NotAuthenticated,
            ..
        }) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(name) = &me.name {
        args.identity.sessions.forget(&me.client, name).await?;
    }
    if args.connect.json {
        return object(&json!({"username": me.name, "logged_out": true}));
    }
    line(&format!("logged out {}", me.name.unwrap_or_default()))
}

pub async fn change_password(args: ChangePassword) -> Result<(), Failure> {
    let me = args.identity.logged_in(&args.connect).await?;
    let whose = me.name.as_deref().unwrap_or("this account");
    let question = format!("Password for {whose}, as it is now");
    let old = args.password.read(&question, false).await?;
    let question = format!("New password for {whose}");
    let new = args.new_password.read(&question).await?;
    let ended = me.client.change_password(&old, &new).await?;
    if args.connect.json {
        return object(&json!({"username": me.name, "sessions_ended": ended}));
    }
    line(&format!(
        "changed the password of {whose}; {}; this one stays",
        ended_sessions(ended)
    ))
}

fn ended_sessions(count: u64) -> String {
    match count {
        1 => "1 other session was ended".to_owned(),
        count => format!("{count} other sessions were ended"),
    }
}

pub async fn accounts(args: Accounts) -> Result<(), Failure> {
    let me = args.identity.logged_in(&args.connect).await?;
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let mut page_token = args.page_token.clone();
    let mut left = args.limit;
    while left > 0 {
        let page = me
            .client
            .list_accounts(pattern, left.min(1000), &page_token);
        let page = page.await?;
        left = left.saturating_sub(u32::try_from(page.accounts.len()).unwrap_or(u32::MAX));
        page_token = page.next_page_token;
        for account in &page.accounts {
            if args.connect.json {
                object(&event_json("account", account_json(account)))?
            } else {
                line(&account.username)?
            }
        }
        if page_token.is_empty() {
            break;
        }
    }
    if args.connect.json {
        return object(&event_json("end", json!({"next_page_token": page_token})));
    }
    if !page_token.is_empty() {
        notice(&format!("there are more: --page-token {page_token}"));
    }
    Ok(())
}

pub async fn delete_account(args: DeleteAccount) -> Result<(), Failure> {
    let me = args.identity.logged_in(&args.connect).await?;
    let whose = me.name.as_deref().unwrap_or("this account");
    let question = format!("Password for {whose}, to delete the account for good");
    let password = args.password.read(&question, false).await?;
    let dropped = me.client.delete_account(&password).await?;
    if let Some(name) = &me.name {
        args.identity.sessions.forget(&me.client, name).await?;
    }
    if args.connect.json {
        return object(&json!({"username": me.name, "messages_dropped": dropped}));
    }
    line(&format!(
        "deleted {whose}; {dropped} waiting messages were dropped"
    ))
}
