//! The commands on messages. Deterministic, like all of applying.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{
    AcknowledgeMessages, MessageSent, MessagesAcknowledged, Refusal, SendMessage, outcome,
};

use super::{Applier, Applying, Living, refused};
use crate::{
    event::{Event, MessageRow},
    store::StoreError,
};

pub(super) const INSERT: &str =
    "INSERT INTO messages (lsn, id, conversation_id, sender_id, recipient_id, body, sent_at_ms,
                           instant, delivered)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)";

impl Applier<'_, '_> {
    pub(super) fn send_message(&mut self, request_id: &[u8], action: &SendMessage) -> Applying {
        let id: [u8; 16] = request_id
            .try_into()
            .map_err(|_| self.unknown("a message has no request id to be named by"))?;
        let Some(sender) = self.living_by_id(action.sender_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let Some(recipient) = self.living_by_name(&action.recipient)? else {
            return Ok(refused(Refusal::UnknownRecipient));
        };
        let conversation = self.conversation(sender.id, recipient.id)?;
        self.insert_message.execute(params![
            self.lsn,
            id,
            conversation,
            sender.id,
            recipient.id,
            action.body,
            self.stamp_ms,
            action.instant
        ])?;
        if self.is_heard {
            self.events.push(Event::Message(MessageRow {
                lsn: self.lsn,
                id,
                sender_id: sender.id,
                sender: sender.username.to_string(),
                sender_deleted: false,
                recipient_id: recipient.id,
                recipient: recipient.username.to_string(),
                recipient_deleted: false,
                body: action.body.clone(),
                sent_at_ms: self.stamp_ms,
                instant: action.instant,
                delivered: false,
            }));
        }
        Ok(outcome::Result::MessageSent(MessageSent {
            lsn: self.lsn,
            stamp_ms: self.stamp_ms,
            instant: action.instant,
        }))
    }

    /// Finds the conversation of two accounts, or creates it with this entry.
    fn conversation(&mut self, one: u64, other: u64) -> Result<u64, StoreError> {
        let (low, high) = (one.min(other), one.max(other));
        if let Some(id) = self.known.conversation((low, high)) {
            return Ok(id);
        }
        let found = self
            .connection
            .prepare_cached(
                "SELECT id FROM conversations WHERE low_account = ?1 AND high_account = ?2",
            )?
            .query_row([low, high], |row| row.get(0))
            .optional()?;
        if let Some(id) = found {
            self.known.learn_conversation((low, high), id);
            return Ok(id);
        }
        self.connection
            .prepare_cached(
                "INSERT INTO conversations (id, low_account, high_account) VALUES (?1, ?2, ?3)",
            )?
            .execute([self.lsn, low, high])?;
        Ok(self.lsn)
    }

    pub(super) fn acknowledge_messages(&mut self, action: &AcknowledgeMessages) -> Applying {
        let Some(account) = self.living_by_id(action.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let mut count = 0;
        let mut forgotten = BTreeSet::new();
        for (at, id) in action.message_ids.iter().enumerate() {
            let lsn = match action.lsns.get(at) {
                Some(&lsn) if (1..=i64::MAX as u64).contains(&lsn) => Some(lsn),
                // A message was a request, so the table that answers retries finds it too.
                _ => self.requests.find_lsn(id)?,
            };
            match lsn {
                Some(lsn) => count += self.deliver(&account, lsn, id)?,
                None => {
                    forgotten.insert(&id[..]);
                }
            }
        }
        let unknown = match self.version {
            0 => 0,
            _ => forgotten.len() as u64,
        };
        if !forgotten.is_empty() && self.version == 0 {
            for (lsn, id) in self.waiting_and_forgotten(&account)? {
                if forgotten.contains(&id[..]) {
                    count += self.deliver(&account, lsn, &id)?;
                }
            }
        }
        Ok(outcome::Result::MessagesAcknowledged(
            MessagesAcknowledged { count, unknown },
        ))
    }

    /// Marks a message as delivered; gives 1 if it belongs to this account, has that id, and was waiting.
    fn deliver(&self, account: &Living, lsn: u64, id: &[u8]) -> Result<u64, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE messages SET delivered = 1
                 WHERE lsn = ?1 AND id = ?2 AND recipient_id = ?3 AND delivered = 0",
            )?
            .execute(params![lsn, id, account.id])?;
        if changed > 0 && lsn <= self.indexed.through.0 {
            self.connection
                .prepare_cached(
                    "DELETE FROM waiting_messages WHERE recipient_id = ?1 AND lsn = ?2",
                )?
                .execute([account.id, lsn])?;
        }
        Ok(changed as u64)
    }

    /// Lists, for version 0, the messages that wait for the account and are older than all remembered requests.
    /// A message that its request id does not find can only be among these.
    fn waiting_and_forgotten(
        &mut self,
        account: &Living,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.catch_up_index()?;
        let rows = self
            .connection
            .prepare_cached(
                "SELECT m.lsn, m.id
                 FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
                 WHERE w.recipient_id = ?1 AND w.lsn <= ?2 ORDER BY w.lsn",
            )?
            .query_map([account.id, self.requests.floor()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }
}
