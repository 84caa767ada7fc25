//! Accounts and sessions for the people of a file.

use std::sync::{Arc, Mutex, PoisonError};

use super::file::Plan;
use super::pool;
use crate::api::{Client, Error};
use crate::output::Failure;
use crate::progress::Progress;

/// At once: each costs the server tens of milliseconds of one core.
const AT_ONCE: usize = 8;

/// One person, ready.
#[derive(Clone)]
pub struct Ready {
    /// Calls as this person; only for those who send.
    pub client: Option<Client>,
    /// Whether the account was made in this run, and so has no history.
    pub is_new: bool,
}

/// Registers everybody and logs in those who send; by index of the person.
///
/// # Errors
/// When an account exists with another password, or nobody leads for too long.
pub async fn prepare(client: &Client, plan: &Arc<Plan>) -> Result<Vec<Ready>, Failure> {
    let count = plan.people.len();
    let progress = Arc::new(Progress::start("people", count as u64));
    let ready = Arc::new(Mutex::new(vec![None; count]));
    let work = {
        let (client, plan) = (client.clone(), plan.clone());
        let (progress, ready) = (progress.clone(), ready.clone());
        move |person: usize| {
            let (client, plan) = (client.clone(), plan.clone());
            let (progress, ready) = (progress.clone(), ready.clone());
            async move {
                let one = prepare_one(&client, &plan, person).await?;
                let mut ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
                ready[person] = Some(one);
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

async fn prepare_one(client: &Client, plan: &Plan, person: usize) -> Result<Ready, Failure> {
    let person = &plan.people[person];
    let is_new = match client.create_account(&person.name, &person.password).await {
        Ok(_) => true,
        Err(error) if error.is_refused_for("NAME_TAKEN") => false,
        Err(error) => return Err(error.into()),
    };
    if !person.sends {
        let client = None;
        return Ok(Ready { client, is_new });
    }
    let session = client
        .login(&person.name, &person.password)
        .await
        .map_err(|error| explain(error, &person.name))?;
    let client = Some(client.with_token(&session.token)?);
    Ok(Ready { client, is_new })
}

fn explain(error: Error, name: &str) -> Failure {
    if !error.is_refused_for("WRONG_CREDENTIALS") {
        return error.into();
    }
    Failure::failed(
        "ACCOUNT_EXISTS",
        format!("the account {name} exists already, with another password"),
        "A file can be replayed only where the people of the file are nobody else's accounts.",
    )
}
