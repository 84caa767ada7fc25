//! The table from the gRPC statuses of failed attempts to what the client does next: refuse, ask the leader, or ask
//! again.

use std::error::Error as _;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Error, RefusedKind};

/// The domain of the server's `google.rpc.ErrorInfo`.
const DOMAIN: &str = "tercet";
const NOT_LEADER: &str = "NOT_LEADER";
const RATE_LIMITED: &str = "RATE_LIMITED";
/// The longest delay of a rate limit that the client waits for; a longer delay is an error.
const LIMITED_WAIT_MAX: Duration = Duration::from_secs(5);

/// The meaning of a failed attempt.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The request ends with this error.
    Refused(Error),
    /// The request was not carried out. The leader may be this replica, at this address.
    NotLeader { hint: Option<(u32, String)> },
    /// The request may have been carried out. It is sent again; not before the delay, if the same replica still
    /// leads.
    Again {
        after: Option<Duration>,
        /// The failure, in words.
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

/// Makes the status of one of several messages, as a call for this message alone would have it.
pub(super) fn status_of(error: tonic_types::Status) -> Status {
    let code = Code::from(error.code);
    let message = error.message.clone();
    Status::with_details(code, message, error.encode_to_vec().into())
}

/// Returns the cursor at which a subscription goes on, if the status says that events after the given one may be gone.
pub(super) fn resync(status: &Status) -> Option<u64> {
    let details = status.get_error_details();
    let info = details.error_info()?;
    let is_resync = info.domain == DOMAIN && info.reason == "RESYNC";
    let cursor = info.metadata.get("cursor").filter(|_| is_resync)?;
    cursor.parse().ok()
}

/// Judges the status of a failed attempt. Every code that a dying, paused or draining server can cause means "ask
/// again": tonic reports such failures as UNAVAILABLE, UNKNOWN or CANCELLED, seldom as INTERNAL.
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
        // A status with a source was made here, from a connection that broke; the server's own status has none.
        Code::Internal | Code::Aborted => status.source().is_some(),
        _ => false,
    }
}

/// Describes a status in words, with its innermost cause ("Connection refused") if there is one.
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

/// Writes the name of a code as gRPC does: `INVALID_ARGUMENT` for `InvalidArgument`.
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
