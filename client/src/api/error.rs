//! The errors of the library. `verdict.rs` makes them from answers of replicas.

use std::fmt;

use uuid::Uuid;

use super::request_id;

/// The reason why a call of the library failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The server answered no. The same request gets the same answer.
    #[error("{message}")]
    Refused {
        /// The class of the refusal.
        kind: RefusedKind,
        /// A stable name for programs: `NAME_TAKEN`, `WRONG_CREDENTIALS` …
        reason: String,
        /// The explanation for people.
        message: String,
        /// The field of the request that is wrong, if one is.
        field: Option<String>,
    },
    /// No replica led until the deadline. The request was not carried out.
    #[error("{}; asked {}", Leading(.tried), ListTried(.tried))]
    NoLeader {
        /// Each replica that was asked, and its last answer.
        tried: Vec<Tried>,
    },
    /// The deadline passed after a write was sent. The write may have been carried out: a retry with the same id
    /// settles it.
    #[error("it is not known whether request {request_id} was carried out ({last})")]
    OutcomeUnknown {
        /// The id of the write.
        request_id: Uuid,
        /// The last failures, in words.
        last: String,
    },
    /// The deadline passed before a read was answered.
    #[error("no answer in time ({last})")]
    Unanswered {
        /// The last failures, in words.
        last: String,
    },
    /// One given replica did not answer. Only calls to a [`Replica`](crate::Replica) end like this.
    #[error("replica {replica} at {address}: {what}")]
    Unreachable {
        /// The id of the replica.
        replica: u32,
        /// The address of the replica, `HOST:PORT`.
        address: String,
        /// The failure, in words.
        what: String,
    },
    /// An answer broke the contract, or a token or an address cannot be sent.
    #[error("{0}")]
    Protocol(String),
}

impl Error {
    /// Returns a stable name for programs: the server's reason, or one of the library's own (`NO_LEADER`,
    /// `OUTCOME_UNKNOWN`, `NO_ANSWER`, `UNREACHABLE`, `PROTOCOL`).
    pub fn reason(&self) -> &str {
        match self {
            Error::Refused { reason, .. } => reason,
            Error::NoLeader { .. } => "NO_LEADER",
            Error::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Error::Unanswered { .. } => "NO_ANSWER",
            Error::Unreachable { .. } => "UNREACHABLE",
            Error::Protocol(_) => "PROTOCOL",
        }
    }

    /// Tells whether this is the server's refusal for the given reason.
    pub fn is_refused_for(&self, wanted: &str) -> bool {
        matches!(self, Error::Refused { reason, .. } if reason == wanted)
    }

    /// Tells whether this refusal leaves open if an earlier attempt with the same request id was carried out: the
    /// server refused before it looked for that attempt, or may have forgotten it.
    pub(super) fn settles_nothing(&self) -> bool {
        let Error::Refused { kind, reason, .. } = self else {
            return false;
        };
        match kind {
            RefusedKind::NotAuthenticated => reason != "WRONG_CREDENTIALS",
            RefusedKind::Exhausted | RefusedKind::Other => true,
            RefusedKind::WrongState => reason == request_id::TOO_OLD,
            _ => false,
        }
    }

    /// Tells whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::NoLeader { .. } | Error::OutcomeUnknown { .. } | Error::Unanswered { .. }
        )
    }
}

/// The class of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// A field of the request is wrong.
    BadInput,
    /// The account, message or replica does not exist.
    NotFound,
    /// The name, id or address is taken.
    AlreadyExists,
    /// The token or the password is wrong.
    NotAuthenticated,
    /// The caller may not do this.
    NotAllowed,
    /// The state of the cluster does not permit the request.
    WrongState,
    /// A limit was reached, or a disk is full.
    Exhausted,
    /// The refusal is of another kind.
    Other,
}

/// One replica that was asked for the leader, and its last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The id of the replica; 0 when only its address is known.
    pub replica: u32,
    /// The address of the replica, `HOST:PORT`.
    pub address: String,
    /// The answer or the failure, in words.
    pub what: String,
    /// The id of the other replica that leads, as this one says; 0 when it names none.
    pub names: u32,
}

/// Shows whether a replica leads, as far as the replicas say that were asked.
struct Leading<'a>(&'a [Tried]);

impl fmt::Display for Leading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.iter().map(|tried| tried.names).find(|id| *id > 0) {
            None => f.write_str("no replica leads"),
            Some(id) => write!(
                f,
                "replica {id} leads, as others say, and does not serve clients from here"
            ),
        }
    }
}

/// Shows each replica that was asked with its answer.
struct ListTried<'a>(&'a [Tried]);

impl fmt::Display for ListTried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tried) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match tried.replica {
                0 => write!(f, "{separator}{}: {}", tried.address, tried.what)?,
                id => write!(
                    f,
                    "{separator}replica {id} at {}: {}",
                    tried.address, tried.what
                )?,
            }
        }
        Ok(())
    }
}
