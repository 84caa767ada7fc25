//! The roster as rows.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tercet_core::id::ReplicaId;

use super::StoreError;
use crate::roster::{Member, Roster};

/// Reads the roster; `None` while the state has none.
pub(super) fn read(connection: &Connection) -> Result<Option<Roster>, StoreError> {
    let (mut members, mut removed) = (BTreeMap::new(), BTreeMap::new());
    let mut select = connection.prepare_cached(
        "SELECT id, address, peer_address, removed_at_lsn IS NOT NULL FROM replicas",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let member = Member {
            address: row.get(1)?,
            peer_address: row.get(2)?,
        };
        let list = match row.get(3)? {
            true => &mut removed,
            false => &mut members,
        };
        list.insert(ReplicaId(row.get(0)?), member);
    }
    let founded = !members.is_empty();
    Ok(founded.then(|| Roster::from_state(members, removed)))
}

/// Adds a replica to the roster, or changes its addresses.
pub(super) fn set(connection: &Connection, id: ReplicaId, at: &Member) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO replicas (id, address, peer_address) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![id.0, at.address, at.peer_address])?;
    Ok(())
}

/// Removes a replica from the roster.
pub(super) fn remove(connection: &Connection, id: ReplicaId, lsn: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE replicas SET removed_at_lsn = ?2 WHERE id = ?1")?
        .execute(params![id.0, lsn])?;
    Ok(())
}
