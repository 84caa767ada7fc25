//! The log's base: the facts about the log up to one entry that remain after the entries are trimmed. A log
//! that was never trimmed has the empty base.

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};
use tercet_core::{config::LoggedConfig, epochs::EpochHistory, id::Lsn};

use super::{
    StoreError,
    log::{self, End, Hash},
};
use crate::wire;

/// The facts about the log up to and including one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// The entry.
    pub end: End,
    /// The epochs of the log up to that entry.
    pub epochs: EpochHistory,
    /// The newest Config up to that entry.
    pub config: Option<LoggedConfig>,
}

impl Base {
    pub const EMPTY: Base = Base {
        end: End::EMPTY,
        epochs: EpochHistory::EMPTY,
        config: None,
    };

    /// Gives the first entry that a log with this base has.
    pub fn start(&self) -> Lsn {
        self.end.lsn.next()
    }

    /// Advances to the entry of a row of [`log::COLUMNS`], and checks that it is the next one.
    pub fn go_on(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        log::check(row, &mut self.end)?;
        self.epochs.append(self.end.lsn, self.end.epoch);
        if log::is_config(row)?
            && let Some(config) = log::decode(row, &self.end)?.config()
        {
            self.config = Some(config);
        }
        Ok(())
    }

    /// Advances through the entries of the log up to `through`, within the bounds but by at least one entry;
    /// gives their payload bytes.
    ///
    /// # Errors
    /// `Corrupt` when one of them is missing or was changed.
    pub fn advance(
        &mut self,
        connection: &Connection,
        through: Lsn,
        entries_max: u64,
        bytes_max: u64,
    ) -> Result<u64, StoreError> {
        let mut select = connection.prepare_cached(&format!(
            "SELECT {} FROM log WHERE lsn > ?1 AND lsn <= ?2 ORDER BY lsn",
            log::COLUMNS
        ))?;
        let through = through.0.min(self.end.lsn.0.saturating_add(entries_max));
        let mut rows = select.query([self.end.lsn.0, through])?;
        let mut bytes = 0;
        while self.end.lsn.0 < through && bytes < bytes_max {
            let Some(row) = rows.next()? else {
                let what = format!("entry {} is not in the log", self.start());
                return Err(StoreError::Corrupt(what));
            };
            self.go_on(row)?;
            bytes += log::payload_bytes(row)?;
        }
        Ok(bytes)
    }

    fn config_columns(&self) -> (u64, Vec<u8>) {
        match &self.config {
            Some(LoggedConfig { lsn, config }) => {
                (lsn.0, wire::config_to_wire(config).encode_to_vec())
            }
            None => (0, Vec::new()),
        }
    }

    /// Computes the seal. Every part except the last has a fixed length or states its length.
    fn seal(&self) -> Hash {
        let (config_lsn, config) = self.config_columns();
        let mut seal = Sha256::new();
        seal.update(self.end.lsn.0.to_be_bytes());
        seal.update(self.end.hash);
        seal.update(config_lsn.to_be_bytes());
        seal.update((config.len() as u64).to_be_bytes());
        seal.update(config);
        for (first, epoch) in self.epochs.starts() {
            seal.update(first.0.to_be_bytes());
            seal.update(epoch.number.to_be_bytes());
            seal.update(epoch.proposer.0.to_be_bytes());
        }
        seal.finalize().into()
    }
}

/// Replaces the base that ends at `before` by `base`, which has all epochs of the former.
pub(super) fn write(connection: &Connection, base: &Base, before: Lsn) -> Result<(), StoreError> {
    let (config_lsn, config) = base.config_columns();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO log_base (only_row, lsn, hash, config_lsn, config, seal)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            base.end.lsn.0,
            base.end.hash,
            config_lsn,
            config,
            base.seal()
        ])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO base_epochs (first_lsn, epoch_number, epoch_proposer) VALUES (?1, ?2, ?3)",
    )?;
    let starts = base.epochs.starts().iter();
    for (first, epoch) in starts.filter(|(first, _)| *first > before) {
        insert.execute(params![first.0, epoch.number, epoch.proposer.0])?;
    }
    Ok(())
}

/// Reads the base.
///
/// # Errors
/// `Corrupt` when its seal does not match.
pub(super) fn read(connection: &Connection) -> Result<Base, StoreError> {
    let mut starts = Vec::new();
    let mut select = connection.prepare_cached(
        "SELECT first_lsn, epoch_number, epoch_proposer FROM base_epochs ORDER BY first_lsn",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        starts.push((Lsn(row.get(0)?), log::epoch(row, 1)?));
    }
    let (lsn, hash, config_lsn, config, seal) = connection
        .prepare_cached("SELECT lsn, hash, config_lsn, config, seal FROM log_base")?
        .query_row([], |row| {
            let config: Vec<u8> = row.get(3)?;
            Ok((
                Lsn(row.get(0)?),
                row.get::<_, Hash>(1)?,
                Lsn(row.get(2)?),
                Bytes::from(config),
                row.get::<_, Hash>(4)?,
            ))
        })?;
    let config = match config_lsn {
        Lsn::ZERO => None,
        lsn => {
            let config = tercet_proto::peer::Config::decode(config).map_err(|error| {
                StoreError::Corrupt(format!("the Config before the log's beginning: {error}"))
            })?;
            let config = wire::config_from_wire(config)?;
            Some(LoggedConfig { lsn, config })
        }
    };
    let epochs = EpochHistory::from_iter(starts);
    let epoch = epochs.newest();
    let base = Base {
        end: End { lsn, epoch, hash },
        epochs,
        config,
    };
    if base.seal() != seal {
        let what = "what is kept of the log's beginning is not what was written";
        return Err(StoreError::Corrupt(what.into()));
    }
    Ok(base)
}
