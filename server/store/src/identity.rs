//! The row with the store's identity and promise: read, written, and sealed, so that rot in it is found before
//! it is used.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use tercet_core::id::{Epoch, ReplicaId, StoreId};

use super::{StoreError, log::Hash};

/// The identity of a store, and its promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub replica: ReplicaId,
    pub store: StoreId,
    /// The highest epoch promised.
    pub promised: Epoch,
}

impl Identity {
    /// Computes the seal. Every part has a fixed length, and a word before them names the sealed row.
    fn seal(&self) -> Hash {
        let mut seal = Sha256::new();
        seal.update(b"tercet identity");
        seal.update(self.replica.0.to_be_bytes());
        seal.update(self.store.0.to_be_bytes());
        seal.update(self.promised.number.to_be_bytes());
        seal.update(self.promised.proposer.0.to_be_bytes());
        seal.finalize().into()
    }
}

/// Reads the row of a store whose schema has no seal yet.
pub(super) fn read_unsealed(connection: &Connection) -> Result<Identity, StoreError> {
    let sql = "SELECT replica_id, store_id, promised_number, promised_proposer FROM identity";
    Ok(connection.query_row(sql, [], |row| {
        Ok(Identity {
            replica: ReplicaId(row.get(0)?),
            store: StoreId(u128::from_be_bytes(row.get(1)?)),
            promised: Epoch {
                number: row.get(2)?,
                proposer: ReplicaId(row.get(3)?),
            },
        })
    })?)
}

/// Reads the row.
///
/// # Errors
/// `Corrupt` when the seal does not match.
pub(super) fn read(connection: &Connection) -> Result<Identity, StoreError> {
    let identity = read_unsealed(connection)?;
    let seal: Option<Hash> =
        connection.query_row("SELECT seal FROM identity", [], |row| row.get(0))?;
    match seal == Some(identity.seal()) {
        true => Ok(identity),
        false => Err(StoreError::Corrupt(
            "the row that says whose store it is, and what this replica promised the others, is not what was \
             written"
                .into(),
        )),
    }
}

/// Seals the row with its present content.
pub(super) fn seal(connection: &Connection) -> Result<(), StoreError> {
    let seal = read_unsealed(connection)?.seal();
    connection.execute("UPDATE identity SET seal = ?1", [seal])?;
    Ok(())
}

/// Writes a promise.
///
/// # Errors
/// `Corrupt` when the seal of the row does not match: a new seal would hide the damage.
pub(super) fn promise(connection: &Connection, promised: Epoch) -> Result<(), StoreError> {
    let identity = Identity {
        promised,
        ..read(connection)?
    };
    connection
        .prepare_cached(
            "UPDATE identity SET promised_number = ?1, promised_proposer = ?2, seal = ?3",
        )?
        .execute(params![
            promised.number,
            promised.proposer.0,
            identity.seal()
        ])?;
    Ok(())
}
