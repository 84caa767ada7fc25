//! BlockAccount: has the direct messages of another account hidden or refused from now on.

use crate::fields::{self, BadField};
use tercet_proto::{
    log::{AccountBlocked, BlockAccount, BlockChanged, Refusal, change, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    blocks::{self, Block},
    fingerprint, name_key, refused,
};
use crate::changes::{self, To};

/// A checked request.
pub struct Blocking {
    pub request_id: [u8; 16],
    pub username: String,
    pub refuse: bool,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::BlockAccountRequest) -> Result<Blocking, BadField> {
    Ok(Blocking {
        request_id: fields::request_id(&request.request_id)?,
        username: fields::username("username", &request.username)?,
        refuse: request.refuse,
    })
}

impl Request for BlockAccount {
    type Outcome = AccountBlocked;

    fn into_action(self) -> Action {
        Action::BlockAccount(self)
    }

    fn subject(&self) -> Subject {
        Subject::Account(self.username.clone())
    }

    fn outcome(result: outcome::Result) -> Option<AccountBlocked> {
        match result {
            outcome::Result::AccountBlocked(blocked) => Some(blocked),
            _ => None,
        }
    }
}

impl Command for BlockAccount {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(blocker) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let Some(blocked) = state.living_by_name(&self.username)? else {
            return Ok(refused(Refusal::UnknownAccount));
        };
        if blocked.id == blocker.id {
            return Ok(refused(Refusal::OwnName));
        }
        let block = Block::of(self.refuse);
        let before = blocks::find(state, blocker.id, blocked.id)?;
        if before.is_none() && blocks::are_full(state, blocker.id)? {
            return Ok(refused(Refusal::TooManyBlocks));
        }
        if before != Some(block) {
            blocks::set(state, blocker.id, blocked.id, block)?;
            let change = BlockChanged {
                username: blocked.username.to_string(),
                account_id: blocked.id,
                blocked: true,
                refuse: self.refuse,
            };
            changes::record(
                state,
                To::Account(blocker.id),
                change::What::BlockChanged(change),
            )?;
        }
        Ok(outcome::Result::AccountBlocked(AccountBlocked {
            account_id: blocked.id,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let name = name_key(&self.username);
        fingerprint(
            "block_account",
            [
                &self.account_id.to_be_bytes()[..],
                name.as_bytes(),
                &[u8::from(self.refuse)],
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        2
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("block"))
    }
}
