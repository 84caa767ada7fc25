//! Errors of a store, in words for its operator: what happened, and what to do next.

use std::{io, path::PathBuf};

use rusqlite::{ErrorCode, ffi};
use tercet_core::id::{Lsn, ReplicaId};

use crate::wire::Malformed;

/// Why the store could not be opened, written or read. After any of them except `Full` a [`super::Writer`]
/// accepts no further operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full and the call was rolled back, except for transactions committed before a Checkpoint in
    /// it, which are remembered: the same call may be repeated when there is space.
    #[error("the disk is full: free some space for the data directory; nothing was lost")]
    Full,
    /// Another process has locked the data directory.
    #[error(
        "the data directory {dir} is in use by process {}: stop that one first, or give this \
         replica a directory of its own",
        pid.map_or("(unknown)".to_owned(), |pid| pid.to_string())
    )]
    InUse { dir: PathBuf, pid: Option<u32> },
    /// The directory or a file in it is not writable.
    #[error(
        "the data directory cannot be written ({0}): give this user the right to write there, \
         or mount the file system for writing"
    )]
    ReadOnly(String),
    /// The data directory's path, or one above it, is another kind of file.
    #[error(
        "{0} is not a directory: --data (TERCET_DATA) names the directory that holds the store of this \
         replica, and is made if it is not there"
    )]
    NotADirectory(PathBuf),
    /// A later version of Tercet made the schema.
    #[error(
        "the store has schema version {found} and this program knows versions up to {known}: a \
         newer Tercet has written it; run that version, or a later one"
    )]
    Newer { found: u32, known: u32 },
    /// The store was made for another replica.
    #[error(
        "the store belongs to replica {found}, and this is replica {expected}: give each replica \
         its own data directory"
    )]
    OtherReplica {
        found: ReplicaId,
        expected: ReplicaId,
    },
    /// The stored data is not the data that was written.
    #[error(
        "the store is damaged ({0}): keep its directory for later study and start this replica \
         on an empty one; it fetches everything from its peers. If this is the last replica \
         left, restore a backup"
    )]
    Corrupt(String),
    /// This build cannot apply a committed entry, and must not skip it.
    #[error(
        "entry {lsn} of the log cannot be applied ({why}): if the other replicas run a newer \
         Tercet, run that version here too; else the log is damaged: keep the directory and \
         start this replica on an empty one"
    )]
    UnknownCommand { lsn: u64, why: &'static str },
    /// The commands have a version that this build does not support: it would apply them by other rules than
    /// the other replicas.
    #[error(
        "{what} was made by a newer Tercet: commands of version {found}, and this program knows versions up \
         to {known}. Upgrade this replica to the Tercet that the other replicas run: nothing was applied or \
         lost, and it goes on with the store that it has"
    )]
    NewerCommands {
        what: String,
        found: u32,
        known: u32,
    },
    /// The file system failed. The last writes may or may not be on disk, so the process must stop: only a new
    /// start reads the truth.
    #[error(
        "the disk failed ({0}): look at the system's log for the device, then restart the \
         replica; if the disk is gone, start on an empty data directory"
    )]
    Io(String),
    /// SQLite does not provide the durability that acknowledging needs.
    #[error(
        "the database cannot be used safely ({0}): put the data directory on a local file system \
         and use the SQLite that comes with this program"
    )]
    Unsafe(String),
    /// A snapshot file is malformed or was changed, or no snapshot can be taken. The store is unchanged.
    #[error("the snapshot cannot be used ({0}): it has to be fetched again")]
    Snapshot(String),
    /// The caller cancelled the snapshot.
    #[error("the snapshot was given up")]
    Cancelled,
    /// The caller asked to trim entries that are not applied yet.
    #[error(
        "entries up to {through} were to be let go, with {applied} applied: report this as a bug"
    )]
    TrimNotApplied { through: Lsn, applied: Lsn },
    /// An earlier call failed.
    #[error("an earlier write failed, and the store takes no more: restart the replica")]
    Stopped,
    /// The database refused an operation that should always succeed.
    #[error(
        "the database refused ({0}): restart the replica, and report this as a bug if it stays"
    )]
    Database(rusqlite::Error),
}

impl StoreError {
    /// Makes an error of the file system; `what` is the operation.
    pub fn from_io(what: &str, error: &io::Error) -> StoreError {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => {
                StoreError::ReadOnly(format!("{what}: {error}"))
            }
            StorageFull | QuotaExceeded => StoreError::Full,
            _ => StoreError::Io(format!("{what}: {error}")),
        }
    }

    /// Tells whether a later version of Tercet could continue here.
    pub fn is_of_newer(&self) -> bool {
        matches!(
            self,
            StoreError::Newer { .. } | StoreError::NewerCommands { .. }
        )
    }

    /// Tells whether another connection held a lock at that moment.
    pub(super) fn is_busy(&self) -> bool {
        let StoreError::Database(error) = self else {
            return false;
        };
        error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        use rusqlite::Error as Sql;
        match &error {
            // Migrations created every table, so a missing table means damage.
            Sql::SqliteFailure(_, Some(what)) if what.starts_with("no such table") => {
                StoreError::Corrupt(error.to_string())
            }
            Sql::SqliteFailure(cause, _) => match cause.code {
                ErrorCode::DiskFull => StoreError::Full,
                // The index of the WAL could not grow; the store is unchanged.
                _ if cause.extended_code == ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    StoreError::Corrupt(error.to_string())
                }
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                    StoreError::ReadOnly(error.to_string())
                }
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
                    StoreError::Io(error.to_string())
                }
                _ => StoreError::Database(error),
            },
            // A column with a value that is never written, or a missing row that always exists, means damage.
            Sql::QueryReturnedNoRows
            | Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Database(error),
        }
    }
}

impl From<Malformed> for StoreError {
    fn from(error: Malformed) -> StoreError {
        StoreError::Corrupt(error.to_string())
    }
}
