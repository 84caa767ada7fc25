//! The query of one message by its place.

use rusqlite::Connection;

use super::{
    Conversation, FoundRow, PageLimit, Peer, Query, Step, integer, peer_by_conversation,
    rooms::messages_after,
};
use crate::StoreError;

/// A message of a conversation, for an account that sees it; `None` to any other.
#[derive(Clone, Debug)]
pub struct MessageAt {
    pub account_id: u64,
    pub conversation_id: u64,
    pub seq: u64,
}

impl Query for MessageAt {
    type Rows = Option<FoundRow>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Option<FoundRow>, StoreError> {
        let (account_id, id) = (integer(self.account_id), integer(self.conversation_id));
        let Some(before) = self.seq.checked_sub(1) else {
            return Ok(None);
        };
        let one = PageLimit::of_rows(1);
        let is_member: bool = state
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM members
                                WHERE conversation_id = ?1 AND account_id = ?2)",
            )?
            .query_row([id, account_id], |row| row.get(0))?;
        if is_member {
            let page = messages_after(state, self.account_id, self.conversation_id, before, one)?;
            let row = page.rows.into_iter().find(|row| row.seq == self.seq);
            return Ok(row.map(FoundRow::Room));
        }
        let peer_id = peer_by_conversation(state, self.account_id, self.conversation_id)?;
        let Some(peer_id) = peer_id else {
            return Ok(None);
        };
        let step = Step::After(before);
        let conversation = Conversation {
            account_id: self.account_id,
            peer: Peer::Id(peer_id),
            start: step.into(),
            limit: one,
        };
        let page = conversation.page(state, peer_id, step, one)?;
        let row = page.rows.into_iter().find(|row| row.seq == self.seq);
        Ok(row.map(FoundRow::Direct))
    }
}
