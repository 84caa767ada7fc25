//! The commands `register`, `login`, `logout`, `password`, `accounts` and `delete-account`.

use serde_json::json;
use tercet_client::{Error, RefusedKind};
use tercet_types::name::name_rule;

use super::connect::Connect;
use super::identity::{Identity, Sessions};
use super::secret::{NewPassword, Password};
use super::sessions::own_label;
use crate::failure::Failure;
use crate::messages::{account_json, account_text, event_json};
use crate::output::{notice, object, print};
use crate::times::{local_time, rfc3339};

#[derive(Debug, clap::Args)]
pub struct Register {
    #[arg(allow_hyphen_values = true, help = name_rule())]
    name: String,
    /// Log in too
    #[arg(long)]
    login: bool,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    sessions: Sessions,
}

#[derive(Debug, clap::Args)]
pub struct Login {
    #[arg(allow_hyphen_values = true)]
    name: String,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    sessions: Sessions,
}

#[derive(Debug, clap::Args)]
pub struct Logout {
    /// End the account's other sessions instead, on all machines
    #[arg(long)]
    others: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct ChangePassword {
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    new_password: NewPassword,
    /// Revoke the account's API tokens too
    #[arg(long)]
    revoke_tokens: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Accounts {
    /// `*` stands for any run of characters, `?` for one [default: *]
    #[arg(allow_hyphen_values = true)]
    pattern: Option<String>,
    /// The most accounts to list
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Continue after an earlier answer to the same pattern
    #[arg(long, default_value = "", hide_default_value = true)]
    page_token: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct DeleteAccount {
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    identity: Identity,
}

pub async fn register(args: Register, connect: &Connect) -> Result<(), Failure> {
    let client = connect.client()?;
    connect.say_where();
    let question = format!("New password for {}", args.name);
    let password = args.password.read(&question, true).await?;
    let account_id = client.create_account(&args.name, &password).await?;
    if args.login {
        let login = client
            .login_labelled(&args.name, &password, &own_label())
            .await?;
        args.sessions.keep(&client, &login).await?;
    }
    let (name, logged_in) = (&args.name, args.login);
    let registered = json!({"username": name, "account_id": account_id, "logged_in": logged_in});
    let and = if logged_in { " and logged in" } else { "" };
    print(
        connect.json,
        &registered,
        &format!("registered {name}{and}"),
    )
}

pub async fn login(args: Login, connect: &Connect) -> Result<(), Failure> {
    let client = connect.client()?;
    connect.say_where();
    let question = format!("Password for {}", args.name);
    let password = args.password.read(&question, false).await?;
    let login = client
        .login_labelled(&args.name, &password, &own_label())
        .await?;
    args.sessions.keep(&client, &login).await?;
    let session = json!({
        "username": login.username,
        "account_id": login.account_id,
        "token": login.token,
        "expires_at_ms": login.expires_at_ms,
        "expires_at": rfc3339(login.expires_at_ms),
    });
    let until = local_time(login.expires_at_ms);
    let text = format!("logged in as {} until {until}", login.username);
    print(connect.json, &session, &text)
}

pub async fn logout(args: Logout, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    if args.others {
        let ended = me.client.end_other_sessions().await?;
        let object = json!({"username": me.name, "sessions_ended": ended});
        let text = format!("{}; this one stays", ended_sessions(ended));
        return print(connect.json, &object, &text);
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
    let object = json!({"username": me.name, "logged_out": true});
    let text = format!("logged out {}", me.name.unwrap_or_default());
    print(connect.json, &object, &text)
}

pub async fn change_password(args: ChangePassword, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    let whose = me.name.as_deref().unwrap_or("this account");
    let question = format!("Password for {whose}, as it is now");
    let old = args.password.read(&question, false).await?;
    let question = format!("New password for {whose}");
    let new = args.new_password.read(&question).await?;
    let ended = if args.revoke_tokens {
        let changed = me.client.change_password_and_revoke_tokens(&old, &new);
        changed.await?
    } else {
        me.client.change_password(&old, &new).await?
    };
    let object = json!({"username": me.name, "sessions_ended": ended});
    let ended = ended_sessions(ended);
    let text = format!("changed the password of {whose}; {ended}; this one stays");
    print(connect.json, &object, &text)
}

fn ended_sessions(count: u64) -> String {
    match count {
        1 => "1 other session was ended".to_owned(),
        count => format!("{count} other sessions were ended"),
    }
}

pub async fn accounts(args: Accounts, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
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
            let object = event_json("account", account_json(account));
            print(connect.json, &object, &account_text(account))?;
        }
        if page_token.is_empty() {
            break;
        }
    }
    if connect.json {
        return object(&event_json("end", json!({"next_page_token": page_token})));
    }
    if !page_token.is_empty() {
        notice(&format!("there are more: --page-token {page_token}"));
    }
    Ok(())
}

pub async fn delete_account(args: DeleteAccount, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    let whose = me.name.as_deref().unwrap_or("this account");
    let question = format!("Password for {whose}, to delete the account for good");
    let password = args.password.read(&question, false).await?;
    let dropped = me.client.delete_account(&password).await?;
    if let Some(name) = &me.name {
        args.identity.sessions.forget(&me.client, name).await?;
    }
    let object = json!({"username": me.name, "messages_dropped": dropped});
    let text = format!("deleted {whose}; {dropped} waiting messages were dropped");
    print(connect.json, &object, &text)
}
