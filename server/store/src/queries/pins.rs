//! The query of the pinned messages of a conversation.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::{
    FoundRow, Query, conversation_of, integer,
    messages::{direct_at, name},
    peer_by_name, rooms,
};
use crate::{
    StoreError,
    rooms::{Act, Denied},
};

/// The pinned messages of a conversation that an account sees, the one that was pinned last first.
#[derive(Clone, Debug)]
pub struct Pins {
    pub account_id: u64,
    pub of: PinsOf,
}

/// The name of a conversation whose pins are read.
#[derive(Clone, Debug)]
pub enum PinsOf {
    /// Without the `#`.
    Room(String),
    Account(String),
}

/// Why the pins of a conversation are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPins {
    UnknownPeer,
    Denied(Denied),
}

/// A pinned message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRow {
    pub message: FoundRow,
    /// The name of the account that pinned it.
    pub pinned_by: String,
    pub pinned_by_id: u64,
    /// Milliseconds since the Unix epoch.
    pub pinned_at_ms: i64,
}

impl Query for Pins {
    type Rows = Result<Vec<PinRow>, NoPins>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let (conversation_id, peer_id) = match &self.of {
            PinsOf::Room(room) => match rooms::find(state, room, self.account_id, Act::Read)? {
                Ok(id) => (id, None),
                Err(denied) => return Ok(Err(NoPins::Denied(denied))),
            },
            PinsOf::Account(peer) => {
                let Some(peer_id) = peer_by_name(state, self.account_id, peer)? else {
                    return Ok(Err(NoPins::UnknownPeer));
                };
                match conversation_of(state, self.account_id, peer_id)? {
                    Some(id) => (id, Some(peer_id)),
                    None => return Ok(Ok(Vec::new())),
                }
            }
        };
        let rows = self.rows(state, conversation_id, peer_id)?;
        drop(transaction);
        Ok(Ok(rows))
    }
}

impl Pins {
    /// Reads the pins of a conversation, which is with that account if it is a direct one.
    fn rows(
        &self,
        state: &Connection,
        conversation_id: u64,
        peer_id: Option<u64>,
    ) -> Result<Vec<PinRow>, StoreError> {
        // What the other account sent and is hidden is not seen; nobody sends in a room as account 0.
        let mut select = state.prepare_cached(
            "SELECT p.message_lsn, p.pinned_by, p.pinned_at_ms FROM pins AS p
             WHERE p.conversation_id = ?1
                 AND NOT EXISTS (SELECT 1 FROM hidden_index AS h
                                 WHERE h.conversation_id = ?1 AND h.sender_id = ?2
                                     AND ?2 <> ?3 AND h.seq = p.seq)
             ORDER BY p.pinned_lsn DESC",
        )?;
        let of = params![
            integer(conversation_id),
            integer(peer_id.unwrap_or(0)),
            integer(self.account_id)
        ];
        let pins: Vec<(u64, u64, i64)> = select
            .query_map(of, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let lsns: Vec<u64> = pins.iter().map(|(lsn, ..)| *lsn).collect();
        let lsns = format!("{lsns:?}");
        let messages: Vec<FoundRow> = match peer_id {
            None => rooms::room_at(state, self.account_id, &lsns, true)?
                .into_iter()
                .map(FoundRow::Room)
                .collect(),
            Some(_) => {
                let id = integer(conversation_id);
                let rows = direct_at(state, self.account_id, id, &lsns, true)?;
                rows.into_iter().map(FoundRow::Direct).collect()
            }
        };
        let mut messages: HashMap<u64, FoundRow> =
            messages.into_iter().map(|row| (row.lsn(), row)).collect();
        let mut names = BTreeMap::new();
        let mut rows = Vec::with_capacity(pins.len());
        for (lsn, pinned_by_id, pinned_at_ms) in pins {
            let Some(message) = messages.remove(&lsn) else {
                continue;
            };
            rows.push(PinRow {
                message,
                pinned_by: name(state, &mut names, pinned_by_id)?.0,
                pinned_by_id,
                pinned_at_ms,
            });
        }
        Ok(rows)
    }
}
