//! Queries as calls of the readers, for short tests.

use super::*;
use crate::{Account, Session, event::MessageRow, queries::*};

/// Makes a limit of so many rows of any size.
fn rows(rows: usize) -> PageLimit {
    PageLimit {
        rows,
        bytes: usize::MAX,
    }
}

impl Readers {
    pub(super) fn applied(&self) -> Result<u64, StoreError> {
        self.read(&AppliedLsn)
    }

    pub(super) fn account_by_name(&self, username: &str) -> Result<Option<Account>, StoreError> {
        let username = username.to_owned();
        self.read(&AccountByName { username })
    }

    pub(super) fn account_by_id(&self, id: u64) -> Result<Option<Account>, StoreError> {
        self.read(&AccountById { id })
    }

    pub(super) fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        let token_hash = *token_hash;
        self.read(&SessionByToken { token_hash })
    }

    pub(super) fn accounts(
        &self,
        pattern: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<ProfileRow>, StoreError> {
        let page = self.read(&AccountsByPattern {
            pattern: pattern.to_owned(),
            after: after.to_owned(),
            limit,
        })?;
        Ok(page.rows)
    }

    fn conversation(
        &self,
        account_id: u64,
        peer: Peer,
        step: Step,
        limit: usize,
    ) -> Result<Option<ConversationPage>, StoreError> {
        self.read(&Conversation {
            account_id,
            peer,
            start: step.into(),
            limit: rows(limit),
        })
    }

    pub(super) fn peer_by_name(&self, account: u64, name: &str) -> Result<Option<u64>, StoreError> {
        let peer = Peer::Name(name.to_owned());
        let page = self.conversation(account, peer, Step::After(0), 1)?;
        Ok(page.map(|page| page.peer_id))
    }

    pub(super) fn messages_before(
        &self,
        a: u64,
        b: u64,
        before: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let page = self.conversation(a, Peer::Id(b), Step::Before(before), limit)?;
        Ok(page.map_or_else(Vec::new, |page| page.messages.rows))
    }

    pub(super) fn messages_after(
        &self,
        a: u64,
        b: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let page = self.conversation(a, Peer::Id(b), Step::After(after), limit)?;
        Ok(page.map_or_else(Vec::new, |page| page.messages.rows))
    }

    pub(super) fn undelivered(
        &self,
        account_id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let page = self.read(&Undelivered {
            account_id,
            after,
            limit: rows(limit),
        })?;
        Ok(page.rows)
    }

    pub(super) fn waiting_ids(
        &self,
        account_id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, [u8; 16])>, StoreError> {
        let page = self.read(&WaitingIds {
            account_id,
            after,
            limit,
        })?;
        Ok(page.rows)
    }

    pub(super) fn inbox(
        &self,
        account_id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let page = self.read(&Inbox {
            account_id,
            after,
            limit: rows(limit),
        })?;
        Ok(page.rows)
    }

    pub(super) fn has_session_made_after(&self, ms: i64) -> Result<bool, StoreError> {
        self.read(&HasSessionMadeAfter { ms })
    }
}
