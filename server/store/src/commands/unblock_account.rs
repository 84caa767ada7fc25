//! UnblockAccount: ends a block. Messages that were hidden until then stay hidden.

use crate::fields::{self, BadField};
use tercet_proto::{
    log::{
        AccountUnblocked, BlockChanged, Refusal, UnblockAccount, change, command::Action, outcome,
    },
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What, blocks,
    fingerprint, name_key, refused,
};
use crate::changes::{self, To};

/// A checked request.
pub struct Unblocking {
    pub request_id: [u8; 16],
    pub username: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::UnblockAccountRequest) -> Result<Unblocking, BadField> {
    Ok(Unblocking {
        request_id: fields::request_id(&request.request_id)?,
        username: fields::username("username", &request.username)?,
    })
}

impl Request for UnblockAccount {
    type Outcome = AccountUnblocked;

    fn into_action(self) -> Action {
        Action::UnblockAccount(self)
    }

    fn subject(&self) -> Subject {
        Subject::Account(self.username.clone())
    }

    fn outcome(result: outcome::Result) -> Option<AccountUnblocked> {
        match result {
            outcome::Result::AccountUnblocked(unblocked) => Some(unblocked),
            _ => None,
        }
    }
}

impl Command for UnblockAccount {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(blocker) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let Some(other) = state.living_by_name(&self.username)? else {
            return Ok(refused(Refusal::UnknownAccount));
        };
        let was_blocked = blocks::remove(state, blocker.id, other.id)?;
        if was_blocked {
            let change = BlockChanged {
                username: other.username.to_string(),
                account_id: other.id,
                ..BlockChanged::default()
            };
            changes::record(
                state,
                To::Account(blocker.id),
                change::What::BlockChanged(change),
            )?;
        }
        Ok(outcome::Result::AccountUnblocked(AccountUnblocked {
            account_id: other.id,
            was_blocked,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let name = name_key(&self.username);
        fingerprint(
            "unblock_account",
            [&self.account_id.to_be_bytes()[..], name.as_bytes()],
        )
    }

    fn version_needed(&self) -> u32 {
        2
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("block"))
    }
}
