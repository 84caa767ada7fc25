//! AcknowledgeMessages: marks messages as delivered.

use std::collections::BTreeSet;

use crate::{
    fields::{self, BadField},
    hidden::is_shown,
};
use rusqlite::params;
use tercet_proto::{
    log::{AcknowledgeMessages, MessagesAcknowledged, Refusal, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, Request, StoreError, What, fingerprint,
    refused,
};

/// A checked request.
pub struct Acknowledgement {
    pub request_id: [u8; 16],
    pub message_ids: Vec<[u8; 16]>,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::AcknowledgeMessagesRequest) -> Result<Acknowledgement, BadField> {
    Ok(Acknowledgement {
        request_id: fields::request_id(&request.request_id)?,
        message_ids: fields::message_ids(&request.message_ids)?,
    })
}

impl Request for AcknowledgeMessages {
    type Outcome = MessagesAcknowledged;

    fn into_action(self) -> Action {
        Action::AcknowledgeMessages(self)
    }

    fn outcome(result: outcome::Result) -> Option<MessagesAcknowledged> {
        match result {
            outcome::Result::MessagesAcknowledged(acknowledged) => Some(acknowledged),
            _ => None,
        }
    }
}

impl Command for AcknowledgeMessages {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let mut count = 0;
        let mut forgotten = BTreeSet::new();
        for (at, id) in self.message_ids.iter().enumerate() {
            let lsn = match self.lsns.get(at) {
                Some(&lsn) if (1..=i64::MAX as u64).contains(&lsn) => Some(lsn),
                // A message was a request, so the table that answers retries finds it too.
                _ => state.requests.find_lsn(id)?,
            };
            match lsn {
                Some(lsn) => count += deliver(state, &account, lsn, id)?,
                None => {
                    forgotten.insert(&id[..]);
                }
            }
        }
        let unknown = match state.version {
            0 => 0,
            _ => forgotten.len() as u64,
        };
        if !forgotten.is_empty() && state.version == 0 {
            for (lsn, id) in waiting_and_forgotten(state, &account)? {
                if forgotten.contains(&id[..]) {
                    count += deliver(state, &account, lsn, &id)?;
                }
            }
        }
        Ok(outcome::Result::MessagesAcknowledged(
            MessagesAcknowledged { count, unknown },
        ))
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        let ids = self.message_ids.iter().map(|id| &id[..]);
        let parts = std::iter::once(&account_id[..]).chain(ids);
        fingerprint("acknowledge_messages", parts)
    }

    fn describe(&self, about: &mut About<'_>) -> Result<What, StoreError> {
        let ids = self.message_ids.iter();
        Ok(What::MessagesAcknowledged {
            username: about.username(self.account_id)?,
            ids: ids.filter_map(|id| id[..].try_into().ok()).collect(),
        })
    }
}

/// Marks a message as delivered; gives 1 if it belongs to this account, has that id, and was waiting.
fn deliver(
    state: &Applier<'_, '_>,
    account: &Living,
    lsn: u64,
    id: &[u8],
) -> Result<u64, StoreError> {
    let changed = state
        .connection
        .prepare_cached(concat!(
            "UPDATE messages AS m SET delivered = 1
             WHERE lsn = ?1 AND id = ?2 AND recipient_id = ?3 AND delivered = 0 AND ",
            is_shown!("m")
        ))?
        .execute(params![lsn, id, account.id])?;
    if changed > 0 && lsn <= state.indexed.through.0 {
        state
            .connection
            .prepare_cached("DELETE FROM waiting_messages WHERE recipient_id = ?1 AND lsn = ?2")?
            .execute([account.id, lsn])?;
    }
    Ok(changed as u64)
}

/// Lists, for version 0, the messages that wait for the account and are older than all remembered requests. A
/// message that its request id does not find can only be among these.
fn waiting_and_forgotten(
    state: &mut Applier<'_, '_>,
    account: &Living,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    state.catch_up_index()?;
    let rows = state
        .connection
        .prepare_cached(
            "SELECT m.lsn, m.id
             FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
             WHERE w.recipient_id = ?1 AND w.lsn <= ?2 ORDER BY w.lsn",
        )?
        .query_map([account.id, state.requests.floor()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}
