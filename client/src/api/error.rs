//! What can go wrong with a call, and how a gRPC status is read.
//!
//! Owns the table from statuses to "refused", "ask the leader" and "ask again".

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::request_id;

/// The domain of the server's `google.rpc.ErrorInfo`.
const DOMAIN: &str = "tercet";
const NOT_LEADER: &str = "NOT_LEADER";
const RATE_LIMITED: &str = "RATE_LIMITED";
/// The longest wait that the client serves by itself when a replica limits it; a longer one is an error.
const LIMITED_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a call of the library failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The server answered, and the answer is no. Asking again gives the same.
    #[error("{message}")]
    Refused {
        kind: RefusedKind,
        /// Stable, for programs: `NAME_TAKEN`, `WRONG_CREDENTIALS` …
        reason: String,
        /// For people.
        message: String,
        /// The field of the request that is wrong, when one is.
        field: Option<String>,
    },
    /// Nobody led until the deadline. The request was not carried out.
    #[error("{}; asked {}", Leading(.tried), ListTried(.tried))]
    NoLeader { tried: Vec<Tried> },
    /// The deadline passed after the write was sent. A retry with the same id settles it.
    #[error("it is not known whether request {request_id} was carried out ({last})")]
    OutcomeUnknown { request_id: Uuid, last: String },
    /// The deadline passed before a read was answered.
    #[error("no answer in time ({last})")]
    Unanswered { last: String },
    /// One replica that was asked for itself did not answer.
    #[error("replica {replica} at {address}: {what}")]
    Unreachable {
        replica: u32,
        address: String,
        what: String,
    },
    /// An answer that the contract does not allow, or a token that cannot be sent.
    #[error("{0}")]
    Protocol(String),
}

impl Error {
    /// Stable, for programs: the server's reason, or one of the library's own.
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

    /// Whether this is the server's refusal for the given reason.
    pub fn is_refused_for(&self, wanted: &str) -> bool {
        matches!(self, Error::Refused { reason, .. } if reason == wanted)
    }

    /// Whether the server said no before it looked for an earlier attempt under the same request id, or where it
    /// may have forgotten one: that one may have been carried out.
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

    /// Whether asking again later may succeed.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::NoLeader { .. } | Error::OutcomeUnknown { .. } | Error::Unanswered { .. }
        )
    }
}

/// The class of a refusal: the gRPC code, in the library's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    BadInput,
    NotFound,
    AlreadyExists,
    NotAuthenticated,
    NotAllowed,
    WrongState,
    Exhausted,
    Other,
}

/// One replica that was asked for the leader, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// 0 when only its address is known.
    pub replica: u32,
    pub address: String,
    pub what: String,
    /// The other replica that this one says leads; 0 when it names none.
    pub names: u32,
}

/// Whether a leader is known, as far as the replicas say that were asked.
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

/// What a failed attempt means for the caller of `call`.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Tell the caller.
    Refused(Error),
    /// Not carried out here; ask the leader, who may be at this address.
    NotLeader { hint: Option<(u32, String)> },
    /// Fate unknown: ask again, not before the delay when the same replica still leads.
    Again {
        after: Option<Duration>,
        what: String,
    },
}

impl Verdict {
    /// Judges an attempt whose answer did not arrive within `limit`.
    pub(super) fn no_answer_within(limit: Duration) -> Verdict {
        Verdict::again(format!("no answer within {limit:.1?}"))
    }

    /// Judges a stream that ended without an error.
    pub(super) fn ended() -> Verdict {
        Verdict::again("the replica ended the stream")
    }

    /// Judges an attempt that may have been carried out and failed like this.
    pub(super) fn again(what: impl Into<String>) -> Verdict {
        let (after, what) = (None, what.into());
        Verdict::Again { after, what }
    }
}

/// The error of one of several messages, as a call for it alone would have failed.
pub(super) fn status_of(error: tonic_types::Status) -> Status {
    let code = Code::from(error.code);
    let message = error.message.clone();
    Status::with_details(code, message, error.encode_to_vec().into())
}

/// Reads a status. Every code that a dying, paused or draining server can cause means "ask
/// again": tonic reports those as UNAVAILABLE, UNKNOWN or CANCELLED, seldom as INTERNAL.
pub(super) fn judge(status: &Status) -> Verdict {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .filter(|info| info.domain == DOMAIN && !info.reason.is_empty());
    if let Some(info) = info
        && info.reason == NOT_LEADER
    {
        let id = info.metadata.get("leader_id");
        let id = id.and_then(|id| id.parse().ok()).unwrap_or(0);
        let address = info.metadata.get("leader_address");
        let hint = address.filter(|address| !address.is_empty());
        let hint = hint.map(|address| (id, address.clone()));
        return Verdict::NotLeader { hint };
    }
    let after = details.retry_info().and_then(|retry| retry.retry_delay);
    let limited = info.is_some_and(|info| info.reason == RATE_LIMITED);
    let too_long = limited && after > Some(LIMITED_WAIT_MAX);
    if after.is_some() && !too_long || means_again(status) {
        let what = describe(status);
        return Verdict::Again { after, what };
    }
    let field = details
        .bad_request()
        .and_then(|bad| bad.field_violations.first())
        .map(|violation| violation.field.clone());
    Verdict::Refused(Error::Refused {
        kind: kind(status.code()),
        reason: info.map_or_else(|| code_name(status.code()), |info| info.reason.clone()),
        message: describe(status),
        field,
    })
}

fn means_again(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => true,
        // With a source it was made here, from a connection that broke; a server's own
        // INTERNAL or ABORTED has none.
        Code::Internal | Code::Aborted => status.source().is_some(),
        _ => false,
    }
}

/// A status in words, with the innermost cause ("Connection refused") where there is one.
pub(super) fn describe(status: &Status) -> String {
    let mut innermost = None;
    let mut cause = status.source();
    while let Some(error) = cause {
        innermost = Some(error.to_string());
        cause = error.source();
    }
    let message = match status.message() {
        "" => code_name(status.code()),
        message => message.to_owned(),
    };
    match innermost {
        Some(inner) if !message.contains(&inner) => format!("{message}: {inner}"),
        _ => message,
    }
}

fn kind(code: Code) -> RefusedKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => RefusedKind::BadInput,
        Code::NotFound => RefusedKind::NotFound,
        Code::AlreadyExists => RefusedKind::AlreadyExists,
        Code::Unauthenticated => RefusedKind::NotAuthenticated,
        Code::PermissionDenied => RefusedKind::NotAllowed,
        Code::FailedPrecondition => RefusedKind::WrongState,
        Code::ResourceExhausted => RefusedKind::Exhausted,
        _ => RefusedKind::Other,
    }
}

/// `InvalidArgument` as `INVALID_ARGUMENT`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    fn with_info(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
        let metadata = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<std::collections::HashMap<_, _>>();
        let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        Status::with_error_details(code, "in words", details)
    }

    #[test]
    fn a_refusal_keeps_its_stable_reason() {
        let status = with_info(Code::AlreadyExists, "NAME_TAKEN", &[]);
        let Verdict::Refused(error) = judge(&status) else {
            panic!("not a refusal")
        };
        assert_eq!(error.reason(), "NAME_TAKEN");
        assert_eq!(error.to_string(), "in words");
    }

    #[test]
    fn a_refusal_without_a_reason_is_named_by_its_code() {
        let Verdict::Refused(error) = judge(&Status::invalid_argument("no")) else {
            panic!("not a refusal")
        };
        assert_eq!(error.reason(), "INVALID_ARGUMENT");
    }

    #[test]
    fn not_leader_gives_the_hint() {
        let metadata = [("leader_id", "2"), ("leader_address", "b:5")];
        let status = with_info(Code::FailedPrecondition, NOT_LEADER, &metadata);
        let Verdict::NotLeader { hint } = judge(&status) else {
            panic!("not a hint")
        };
        assert_eq!(hint, Some((2, "b:5".to_owned())));
    }

    #[test]
    fn whatever_a_dying_server_causes_is_asked_again() {
        for status in [
            Status::unavailable(""),
            Status::unknown(""),
            Status::cancelled(""),
            Status::deadline_exceeded(""),
        ] {
            assert!(matches!(judge(&status), Verdict::Again { .. }), "{status}");
        }
        assert!(matches!(
            judge(&Status::internal("a bug")),
            Verdict::Refused(_)
        ));
    }

    #[test]
    fn a_delay_asked_for_by_the_server_is_read() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(70)));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        let Verdict::Again { after, .. } = judge(&status) else {
            panic!("not a retry")
        };
        assert_eq!(after, Some(Duration::from_millis(70)));
    }
}
