//! What can go wrong with a store, in words for its operator: what happened, what to do next.

use std::{io, path::PathBuf};

use rusqlite::{ErrorCode, ffi};
use tercet_core::id::{Lsn, ReplicaId};

use crate::wire::Malformed;

/// Why the store could not be opened, written or read. After any of them but `Full` a
/// [`super::Writer`] takes nothing more.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The call was rolled back, except for what its earlier Checkpoints had committed, which is
    /// remembered: the same call may be made again when there is room.
    #[error("the disk is full: free some space for the data directory; nothing was lost")]
    Full,
    /// Another process has the data directory.
    #[error(
        "the data directory {dir} is in use by process {}: stop that one first, or give this \
         replica a directory of its own",
        pid.map_or("(unknown)".to_owned(), |pid| pid.to_string())
    )]
    InUse { dir: PathBuf, pid: Option<u32> },
    /// The directory or a file in it may not be written.
    #[error(
        "the data directory cannot be written ({0}): give this user the right to write there, \
         or mount the file system for writing"
    )]
    ReadOnly(String),
    /// What should be the directory, or one above it, is another kind of file.
    #[error(
        "{0} is not a directory: --data (TERCET_DATA) names the directory that holds the store of this \
         replica, and is made if it is not there"
    )]
    NotADirectory(PathBuf),
    /// The schema is of a later version of Tercet.
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
    /// What is stored is not what was written.
    #[error(
        "the store is damaged ({0}): keep its directory for later study and start this replica \
         on an empty one; it fetches everything from its peers. If this is the last replica \
         left, restore a backup"
    )]
    Corrupt(String),
    /// A committed entry that this program cannot apply: it must not go past it.
    #[error(
        "entry {lsn} of the log cannot be applied ({why}): if the other replicas run a newer \
         Tercet, run that version here too; else the log is damaged: keep the directory and \
         start this replica on an empty one"
    )]
    UnknownCommand { lsn: u64, why: &'static str },
    /// Commands of a version that this program does not know: it would apply them by other rules than the
    /// other replicas.
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
    /// The file system failed. What was written last may or may not be on disk, so the process
    /// must stop: only a fresh start reads what is there.
    #[error(
        "the disk failed ({0}): look at the system's log for the device, then restart the \
         replica; if the disk is gone, start on an empty data directory"
    )]
    Io(String),
    /// SQLite does not give the durability that acknowledging needs.
    #[error(
        "the database cannot be used safely ({0}): put the data directory on a local file system \
         and use the SQLite that comes with this program"
    )]
    Unsafe(String),
    /// A file that should be a snapshot is none, or is not as it was sent; or none can be taken. The
    /// store is as it was.
    #[error("the snapshot cannot be used ({0}): it has to be fetched again")]
    Snapshot(String),
    /// A snapshot was not wanted any more.
    #[error("the snapshot was given up")]
    Cancelled,
    /// Asked to let go of entries that the state does not have yet.
    #[error(
        "entries up to {through} were to be let go, with {applied} applied: report this as a bug"
    )]
    TrimNotApplied { through: Lsn, applied: Lsn },
    /// An earlier call failed.
    #[error("an earlier write failed, and the store takes no more: restart the replica")]
    Stopped,
    /// The database refused in a way that should not happen.
    #[error(
        "the database refused ({0}): restart the replica, and report this as a bug if it stays"
    )]
    Database(rusqlite::Error),
}

impl StoreError {
    /// An error of the file system, with what was being done.
    pub(crate) fn from_io(what: &str, error: &io::Error) -> StoreError {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => {
                StoreError::ReadOnly(format!("{what}: {error}"))
            }
            StorageFull | QuotaExceeded => StoreError::Full,
            _ => StoreError::Io(format!("{what}: {error}")),
        }
    }

    /// A later Tercet can go on where this one cannot.
    pub(crate) fn is_of_newer(&self) -> bool {
        matches!(
            self,
            StoreError::Newer { .. } | StoreError::NewerCommands { .. }
        )
    }

    /// Somebody else had a lock of the file at that moment.
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
            // Migrations made every table that is asked for.
            Sql::SqliteFailure(_, Some(what)) if what.starts_with("no such table") => {
                StoreError::Corrupt(error.to_string())
            }
            Sql::SqliteFailure(cause, _) => match cause.code {
                ErrorCode::DiskFull => StoreError::Full,
                // The WAL's index could not grow; nothing is harmed.
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
            // A column that holds what is never written there, or a row that is always there.
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
