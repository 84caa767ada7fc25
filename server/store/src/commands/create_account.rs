//! CreateAccount: makes an account with a name and a password.

use crate::fields::{self, BadField};
use rusqlite::params;
use tercet_proto::{
    log::{AccountCreated, CreateAccount, Refusal, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, name_key, refused,
};

/// A checked request.
pub struct NewAccount {
    pub request_id: [u8; 16],
    pub username: String,
    pub password: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::CreateAccountRequest) -> Result<NewAccount, BadField> {
    Ok(NewAccount {
        request_id: fields::request_id(&request.request_id)?,
        username: fields::username("username", &request.username)?,
        password: fields::new_password("password", &request.password)?,
    })
}

impl Request for CreateAccount {
    type Outcome = AccountCreated;

    fn into_action(self) -> Action {
        Action::CreateAccount(self)
    }

    fn subject(&self) -> Subject {
        Subject::Account(self.username.clone())
    }

    fn outcome(result: outcome::Result) -> Option<AccountCreated> {
        match result {
            outcome::Result::AccountCreated(created) => Some(created),
            _ => None,
        }
    }
}

impl Command for CreateAccount {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        if state.living_by_name(&self.username)?.is_some() {
            return Ok(refused(Refusal::NameTaken));
        }
        state
            .connection
            .prepare_cached(
                "INSERT INTO users (id, username, username_key, password_hash, created_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                state.lsn,
                self.username,
                name_key(&self.username),
                self.password_hash,
                state.stamp_ms
            ])?;
        Ok(outcome::Result::AccountCreated(AccountCreated {
            account_id: state.lsn,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("create_account", [name_key(&self.username).as_bytes()])
    }

    fn describe(&self, about: &mut About<'_>) -> Result<What, StoreError> {
        let username = self.username.clone();
        about.create_account(&username);
        Ok(What::AccountCreated { username })
    }
}
