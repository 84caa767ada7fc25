//! Many accounts at once, for `replay` and `bench`: the missing ones are registered, and all are logged in.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tercet_client::{Client, Error};

use crate::failure::Failure;
use crate::pool;
use crate::progress::Progress;

/// The number of accounts that are prepared at once: each costs the server tens of milliseconds of one
/// core.
const AT_ONCE: usize = 8;
const NAMES_PAGE: u32 = 1_000;

/// An account that a command needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub password: String,
    /// True if the account needs a login session.
    pub logs_in: bool,
}

/// An account that exists.
#[derive(Clone)]
pub struct Ready {
    /// The client calls as this account; `None` if the account needs no session.
    pub client: Option<Client>,
    /// True if this run registered the account: it has no history.
    pub is_new: bool,
}

/// Registers the accounts that are missing, and logs in those with `logs_in`; the result has the order of
/// `wanted`.
///
/// `there` has the names, in lower case, of accounts that exist: the costly attempt to register them is
/// left out.
///
/// # Errors
/// When an account exists with another password, or nobody leads for too long.
pub async fn prepare(
    client: &Client,
    wanted: Vec<Wanted>,
    there: HashSet<String>,
) -> Result<Vec<Ready>, Failure> {
    let count = wanted.len();
    let wanted = Arc::new((wanted, there));
    let progress = Arc::new(Progress::start("accounts", count as u64));
    let ready = Arc::new(Mutex::new(vec![None; count]));
    let work = {
        let (client, progress, ready) = (client.clone(), progress.clone(), ready.clone());
        move |index: usize| {
            let (client, wanted) = (client.clone(), wanted.clone());
            let (progress, ready) = (progress.clone(), ready.clone());
            async move {
                let (wanted, there) = (&wanted.0[index], &wanted.1);
                let is_there = there.contains(&wanted.name.to_ascii_lowercase());
                let one = prepare_one(&client, wanted, is_there).await?;
                let mut ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
                ready[index] = Some(one);
                progress.step();
                Ok(())
            }
        }
    };
    pool::for_each(AT_ONCE, count, work).await?;
    progress.finish();
    let mut ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(ready.drain(..).flatten().collect())
}

async fn prepare_one(client: &Client, wanted: &Wanted, is_there: bool) -> Result<Ready, Failure> {
    let mut is_new = false;
    if !is_there {
        is_new = match client.create_account(&wanted.name, &wanted.password).await {
            Ok(_) => true,
            Err(error) if error.is_refused_for("NAME_TAKEN") => false,
            Err(error) => return Err(error.into()),
        };
    }
    if !wanted.logs_in {
        let client = None;
        return Ok(Ready { client, is_new });
    }
    let session = client
        .login(&wanted.name, &wanted.password)
        .await
        .map_err(|error| explain(error, &wanted.name))?;
    let client = Some(client.with_token(&session.token)?);
    Ok(Ready { client, is_new })
}

/// Lists the names that start with a prefix, in lower case, as an account with a session sees them.
///
/// # Errors
/// When they cannot be listed until the client's deadline.
pub async fn names(client: &Client, prefix: &str) -> Result<HashSet<String>, Failure> {
    let pattern = format!("{prefix}*");
    let (mut names, mut page_token) = (HashSet::new(), String::new());
    loop {
        let listed = client.list_accounts(&pattern, NAMES_PAGE, &page_token);
        let page = listed.await?;
        let lower = page.accounts.iter();
        names.extend(lower.map(|account| account.username.to_ascii_lowercase()));
        if page.next_page_token.is_empty() {
            return Ok(names);
        }
        page_token = page.next_page_token;
    }
}

fn explain(error: Error, name: &str) -> Failure {
    if !error.is_refused_for("WRONG_CREDENTIALS") {
        return error.into();
    }
    Failure::failed(
        "ACCOUNT_EXISTS",
        format!("the account {name} exists already, with another password"),
        "This needs names that are nobody else's: another cluster, or for `bench` another --prefix.",
    )
}
