//! Failures of calls, and the one table that maps each to a gRPC code, a message that says what to do next, and
//! google.rpc details with a stable reason.

use std::time::Duration;

use prost::Message as _;
use tercet_core::id::ReplicaId;
use tercet_store::{ReadError, Scope, StoreError, fields::BadField, rooms::Denied, roster::Roster};
use tercet_types::limits::{
    ACCOUNT_KEYWORDS_MAX, ACCOUNT_ROOMS_MAX, ACCOUNT_TOKENS_MAX, CONVERSATION_PINS_MAX,
    MESSAGE_REACTIONS_MAX, ROOM_BANS_MAX, ROOM_MEMBERS_MAX, STATE_BYTES_MAX, STATE_KEYS_MAX,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    auth::{admin::NotAdmin, limits::Limited, password::PasswordError},
    fanout::{Ended, NotRegistered},
    programs::ProgramError,
    replica_status::are_not_in_step,
    reply::Unavailability,
};

/// The domain of every ErrorInfo.
const DOMAIN: &str = "tercet";

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Unavailable(#[from] Unavailability),
    #[error("{0}")]
    Bad(#[from] BadField),
    #[error("wrong user name or password")]
    WrongCredentials,
    #[error("no valid token; log in and send `authorization: Bearer TOKEN`")]
    InvalidToken,
    #[error("the session has expired; log in again")]
    ExpiredToken,
    #[error("the account has been deleted")]
    AccountGone,
    #[error("the account has no open session of that id; ListSessions gives the ids")]
    UnknownSession,
    #[error("this API token lacks the scope `{}`; use one that has it", .0.name())]
    ScopeMissing(Scope),
    #[error("an API token may not do this; log in, and use the token of the session")]
    SessionNeeded,
    #[error("the account has a token named {0:?}; choose another name, or revoke that one")]
    TokenNameTaken(String),
    #[error("the account has {ACCOUNT_TOKENS_MAX} API tokens; revoke one first")]
    TooManyTokens,
    #[error("the account has no API token named {0:?}; ListApiTokens gives the names")]
    UnknownToken(String),
    #[error("the name {0} is taken; choose another")]
    NameTaken(String),
    #[error("no account has the name {0}")]
    UnknownRecipient(String),
    #[error("no account has the name {0}; `ListAccounts` lists the names")]
    UnknownAccount(String),
    #[error("an account cannot block itself")]
    OwnName,
    #[error(
        "at most {} accounts can be blocked; unblock another first",
        tercet_types::limits::BLOCKS_MAX
    )]
    TooManyBlocks,
    #[error("no such account, and no conversation with one")]
    UnknownPeer,
    #[error("there is no room #{0}, or it is private and you are not in it")]
    UnknownRoom(String),
    #[error("the name #{0} is taken by a room; choose another")]
    RoomNameTaken(String),
    #[error("you are not in #{0}; join it first")]
    NotAMember(String),
    #[error("your role in #{0} does not allow this")]
    RoleMayNot(String),
    #[error("#{0} has no message of that number")]
    UnknownMessage(String),
    #[error("another account sent this message")]
    NotYourMessage,
    #[error("the message was deleted")]
    MessageDeleted,
    #[error("it is a message of the system")]
    NotAText,
    #[error("a message has at most {MESSAGE_REACTIONS_MAX} different reactions")]
    TooManyReactions,
    #[error("a conversation has at most {CONVERSATION_PINS_MAX} pinned messages; unpin one first")]
    TooManyPins,
    #[error("an account has at most {ACCOUNT_KEYWORDS_MAX} keywords; remove one first")]
    TooManyKeywords,
    #[error("#{0} has {ROOM_MEMBERS_MAX} members, and takes no more")]
    TooManyMembers(String),
    #[error("an account is in at most {ACCOUNT_ROOMS_MAX} rooms; leave one first")]
    TooManyRooms,
    #[error("{account} is banned from #{room}")]
    Banned { room: String, account: String },
    #[error("{account} is not in #{room}")]
    UnknownMember { room: String, account: String },
    #[error("at most {ROOM_BANS_MAX} accounts are banned from #{0}; end a ban first")]
    TooManyBans(String),
    #[error("you are the last owner of #{0}; make another member an owner first")]
    LastOwner(String),
    #[error("#{0} is a feed: its admins and owners write to it, and nobody else")]
    IsAFeed(String),
    #[error("program: {0}")]
    Program(#[from] ProgramError),
    #[error("there is no key {0}; `ListState` lists the keys")]
    UnknownKey(String),
    #[error("a conversation has at most {STATE_KEYS_MAX} keys; remove one first")]
    TooManyKeys,
    #[error("a conversation has at most {STATE_BYTES_MAX} bytes of state; remove some first")]
    StateFull,
    #[error("this request_id was used for another request; make a new one for each request")]
    RequestIdReused,
    #[error(
        "this request_id is so old that its answer may be forgotten, and this attempt did nothing. \
         Look whether it was done then; if it was not, or never sent, send it with a new request_id, whose time \
         is that of the cluster (`time_ms` of IsMaster)"
    )]
    RequestTooOld,
    #[error("this replica stopped leading; subscribe again with the last cursor")]
    LeadLost(Option<ReplicaId>),
    #[error("events came faster than they were read; subscribe again with cursor {cursor}")]
    SlowSubscriber { cursor: u64 },
    #[error(
        "events after this cursor may be gone, or it is of another cluster; read the lists and the histories again, \
         and subscribe with cursor {cursor}"
    )]
    Resync { cursor: u64 },
    #[error("too many subscriptions are open; close one")]
    TooManyStreams,
    #[error(transparent)]
    NotAdmin(#[from] NotAdmin),
    #[error("no replica {0} belongs to the cluster; `tercet cluster status` lists those that do")]
    UnknownReplica(ReplicaId),
    #[error(
        "replica {0} belongs to the cluster already, at other addresses; start it there and it moves by itself, or remove it first"
    )]
    ReplicaExists(ReplicaId),
    #[error("{}", taken_by(*.0))]
    AddressTaken(Option<ReplicaId>),
    #[error("a cluster has at most nine replicas; remove one first")]
    TooManyReplicas,
    #[error("too few replicas would be left: add another first")]
    TooFewReplicas,
    #[error(
        "{}: with this replica stopped too, fewer replicas would hold each new message; wait until `tercet cluster members` shows all as members, or stop it anyway (--force)",
        are_not_in_step(.0)
    )]
    NotInStep(Vec<ReplicaId>),
    #[error(
        "too few replicas would be left to continue: add another first, or stop it anyway (--force)"
    )]
    TooFewLeft,
    #[error(
        "replica {0} leads: there is nothing to recover; to continue without a replica for good, remove it (`tercet cluster remove-replica`)"
    )]
    LeaderKnown(ReplicaId),
    #[error("replica {0} answers: it is not dead")]
    ReplicaAnswers(ReplicaId),
    #[error("this replica has no hash of its state at LSN {0}; make a new checkpoint")]
    NoSuchCheckpoint(u64),
    #[error("this replica has not hashed its state at LSN {0} yet; ask again")]
    CheckpointPending(u64),
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The transport's description of malformed bytes.
    #[error(
        "the request does not have the form of this call ({0}); build it from the proto files of this version (server reflection has them)"
    )]
    Malformed(String),
    #[error("the request is larger than {} MiB; send less at once", super::REQUEST_BYTES_MAX >> 20)]
    RequestTooLarge,
    #[error("the request did not arrive within {} s; send it again", super::BODY_TIME_MAX.as_secs())]
    RequestTooSlow,
    #[error("this replica has no such call; server reflection lists its calls")]
    UnknownMethod,
    #[error("compressed requests are not accepted; send requests without compression")]
    Compressed,
    /// A failure of the store; clients do not see its details.
    #[error("store: {0}")]
    Store(#[source] StoreError),
    /// Another failure that clients cannot act on; they do not see its details.
    #[error("{0}")]
    Internal(String),
}

/// Says who has an address of a new replica, as far as it is known.
fn taken_by(owner: Option<ReplicaId>) -> String {
    match owner {
        Some(owner) => format!(
            "replica {owner} has one of the addresses; give others, or remove that one first"
        ),
        None => {
            "another replica has one of the addresses, or the two addresses are the same".to_owned()
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Failure::Unavailable(Unavailability::DiskFull),
            other => Failure::Store(other),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Busy => Failure::Unavailable(Unavailability::Busy),
            ReadError::Broken => Failure::Internal(error.to_string()),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Failure::Unavailable(Unavailability::Busy),
            PasswordError::Argon2(_) => Failure::Internal(error.to_string()),
        }
    }
}

impl From<NotRegistered> for Failure {
    fn from(refused: NotRegistered) -> Self {
        match refused {
            NotRegistered::TooMany => Failure::TooManyStreams,
            NotRegistered::Stopping => Failure::Unavailable(Unavailability::Stopping),
        }
    }
}

impl Failure {
    /// Makes the failure for a read of a room that was denied.
    #[must_use]
    pub fn of_denied(denied: Denied, room: String) -> Self {
        match denied {
            Denied::Unknown => Failure::UnknownRoom(room),
            Denied::NotAMember => Failure::NotAMember(room),
            Denied::RoleMayNot => Failure::RoleMayNot(room),
        }
    }

    /// Makes the failure for the end of a stream after the event at `cursor`, at a replica that now knows
    /// `leader`.
    #[must_use]
    pub fn of_stream(ended: Ended, cursor: u64, leader: Option<ReplicaId>) -> Self {
        match ended {
            Ended::Slow => Failure::SlowSubscriber { cursor },
            Ended::SessionRevoked => Failure::InvalidToken,
            Ended::AccountDeleted => Failure::AccountGone,
            Ended::LeadLost => Failure::LeadLost(leader),
            Ended::Stopping => Failure::Unavailable(Unavailability::Stopping),
        }
    }
}

/// One row of the table.
struct Row {
    code: Code,
    reason: &'static str,
    /// The time after which asking again may help.
    retry: Option<Duration>,
}

fn row(code: Code, reason: &'static str) -> Row {
    Row {
        code,
        reason,
        retry: None,
    }
}

fn retry(code: Code, reason: &'static str, millis: u64) -> Row {
    Row {
        code,
        reason,
        retry: Some(Duration::from_millis(millis)),
    }
}

/// The table. `docs/api.md` lists the same reasons.
fn table(failure: &Failure) -> Row {
    use Code::*;
    match failure {
        Failure::Unavailable(Unavailability::NotLeader(Some(_))) => {
            row(FailedPrecondition, "NOT_LEADER")
        }
        Failure::Unavailable(Unavailability::NotLeader(None)) => {
            retry(Unavailable, "NO_LEADER", 20)
        }
        Failure::Unavailable(Unavailability::InTransition) => {
            retry(Unavailable, "IN_TRANSITION", 5)
        }
        Failure::Unavailable(Unavailability::Busy) => retry(ResourceExhausted, "BUSY", 20),
        Failure::Unavailable(Unavailability::NoQuorum) => retry(Unavailable, "NO_QUORUM", 200),
        Failure::Unavailable(Unavailability::OutcomeUnknown) => {
            retry(Unavailable, "OUTCOME_UNKNOWN", 5)
        }
        Failure::Unavailable(Unavailability::DiskFull) => row(ResourceExhausted, "DISK_FULL"),
        Failure::Unavailable(Unavailability::OlderReplicas(_)) => {
            row(FailedPrecondition, "OLDER_REPLICAS")
        }
        Failure::Unavailable(Unavailability::Stopping) => row(Unavailable, "STOPPING"),
        Failure::Bad(bad) => row(InvalidArgument, bad.reason),
        Failure::WrongCredentials => row(Unauthenticated, "WRONG_CREDENTIALS"),
        Failure::InvalidToken => row(Unauthenticated, "INVALID_TOKEN"),
        Failure::ExpiredToken => row(Unauthenticated, "EXPIRED_TOKEN"),
        Failure::AccountGone => row(Unauthenticated, "ACCOUNT_GONE"),
        Failure::NameTaken(_) => row(AlreadyExists, "NAME_TAKEN"),
        Failure::UnknownRecipient(_) => row(NotFound, "UNKNOWN_RECIPIENT"),
        Failure::ScopeMissing(_) => row(PermissionDenied, "SCOPE_MISSING"),
        Failure::SessionNeeded => row(PermissionDenied, "SESSION_NEEDED"),
        Failure::TokenNameTaken(_) => row(AlreadyExists, "TOKEN_NAME_TAKEN"),
        Failure::TooManyTokens => row(FailedPrecondition, "TOO_MANY_TOKENS"),
        Failure::UnknownToken(_) => row(NotFound, "UNKNOWN_TOKEN"),
        Failure::UnknownSession => row(NotFound, "UNKNOWN_SESSION"),
        Failure::UnknownAccount(_) => row(NotFound, "UNKNOWN_ACCOUNT"),
        Failure::OwnName => row(InvalidArgument, "OWN_NAME"),
        Failure::TooManyBlocks => row(FailedPrecondition, "TOO_MANY_BLOCKS"),
        Failure::UnknownPeer => row(NotFound, "UNKNOWN_PEER"),
        Failure::UnknownRoom(_) => row(NotFound, "UNKNOWN_ROOM"),
        Failure::RoomNameTaken(_) => row(AlreadyExists, "ROOM_NAME_TAKEN"),
        Failure::NotAMember(_) => row(FailedPrecondition, "NOT_A_MEMBER"),
        Failure::RoleMayNot(_) => row(PermissionDenied, "ROLE_MAY_NOT"),
        Failure::TooManyMembers(_) => row(ResourceExhausted, "TOO_MANY_MEMBERS"),
        Failure::UnknownMessage(_) => row(NotFound, "UNKNOWN_MESSAGE"),
        Failure::NotYourMessage => row(PermissionDenied, "NOT_YOUR_MESSAGE"),
        Failure::MessageDeleted => row(FailedPrecondition, "MESSAGE_DELETED"),
        Failure::NotAText => row(FailedPrecondition, "NOT_A_TEXT"),
        Failure::TooManyReactions => row(ResourceExhausted, "TOO_MANY_REACTIONS"),
        Failure::TooManyKeywords => row(ResourceExhausted, "TOO_MANY_KEYWORDS"),
        Failure::TooManyPins => row(ResourceExhausted, "TOO_MANY_PINS"),
        Failure::Banned { .. } => row(PermissionDenied, "BANNED"),
        Failure::UnknownMember { .. } => row(NotFound, "UNKNOWN_MEMBER"),
        Failure::TooManyBans(_) => row(FailedPrecondition, "TOO_MANY_BANS"),
        Failure::LastOwner(_) => row(FailedPrecondition, "LAST_OWNER"),
        Failure::IsAFeed(_) => row(FailedPrecondition, "IS_A_FEED"),
        Failure::TooManyRooms => row(ResourceExhausted, "TOO_MANY_ROOMS"),
        Failure::Program(error) if error.is_limit => row(InvalidArgument, "PROGRAM_LIMIT"),
        Failure::Program(_) => row(InvalidArgument, "PROGRAM_FAILED"),
        Failure::UnknownKey(_) => row(NotFound, "UNKNOWN_KEY"),
        Failure::TooManyKeys => row(ResourceExhausted, "TOO_MANY_KEYS"),
        Failure::StateFull => row(ResourceExhausted, "STATE_FULL"),
        Failure::RequestIdReused => row(InvalidArgument, "REQUEST_ID_REUSED"),
        Failure::RequestTooOld => row(FailedPrecondition, "REQUEST_TOO_OLD"),
        Failure::LeadLost(_) => retry(Unavailable, "NOT_LEADER", 5),
        Failure::SlowSubscriber { .. } => retry(ResourceExhausted, "SLOW_SUBSCRIBER", 5),
        Failure::Resync { .. } => row(OutOfRange, "RESYNC"),
        Failure::TooManyStreams => row(ResourceExhausted, "TOO_MANY_STREAMS"),
        Failure::NotAdmin(NotAdmin::NotConfigured) => row(FailedPrecondition, "NO_ADMIN_TOKEN"),
        Failure::NotAdmin(NotAdmin::Wrong) => row(Unauthenticated, "WRONG_ADMIN_TOKEN"),
        Failure::UnknownReplica(_) => row(NotFound, "UNKNOWN_REPLICA"),
        Failure::ReplicaExists(_) => row(AlreadyExists, "REPLICA_EXISTS"),
        Failure::AddressTaken(_) => row(AlreadyExists, "ADDRESS_TAKEN"),
        Failure::TooManyReplicas => row(FailedPrecondition, "TOO_MANY_REPLICAS"),
        Failure::TooFewReplicas => row(FailedPrecondition, "TOO_FEW_REPLICAS"),
        Failure::NotInStep(_) => row(FailedPrecondition, "NOT_IN_STEP"),
        Failure::TooFewLeft => row(FailedPrecondition, "TOO_FEW_REPLICAS"),
        Failure::LeaderKnown(_) => row(FailedPrecondition, "LEADER_KNOWN"),
        Failure::ReplicaAnswers(_) => row(FailedPrecondition, "REPLICA_ANSWERS"),
        Failure::NoSuchCheckpoint(_) => row(NotFound, "NO_SUCH_CHECKPOINT"),
        Failure::CheckpointPending(_) => retry(Unavailable, "CHECKPOINT_PENDING", 100),
        Failure::Limited(limited) => Row {
            retry: Some(limited.retry),
            ..row(ResourceExhausted, "RATE_LIMITED")
        },
        Failure::Malformed(_) => row(InvalidArgument, "INVALID_REQUEST"),
        Failure::RequestTooLarge => row(OutOfRange, "REQUEST_TOO_LARGE"),
        Failure::RequestTooSlow => retry(Unavailable, "REQUEST_TOO_SLOW", 20),
        Failure::UnknownMethod => row(Unimplemented, "UNKNOWN_METHOD"),
        Failure::Compressed => row(Unimplemented, "COMPRESSED_REQUEST"),
        Failure::Store(_) | Failure::Internal(_) => row(Internal, "INTERNAL"),
    }
}

/// Makes the gRPC status of a failure. Failures of this replica itself are logged here, and only here.
#[must_use]
pub fn status(failure: &Failure, roster: &Roster) -> Status {
    let Row {
        code,
        reason,
        retry,
    } = table(failure);
    let message = match failure {
        Failure::Store(_) | Failure::Internal(_) => {
            tracing::error!(error = %failure, "answer a call");
            "this replica failed; its log has the reason".to_owned()
        }
        Failure::Unavailable(Unavailability::OutcomeUnknown) => {
            format!("{failure}: ask again with the same request_id")
        }
        Failure::Unavailable(Unavailability::NotLeader(Some(leader))) => {
            format!("{failure}; replica {leader} does")
        }
        other => other.to_string(),
    };
    tracing::debug!(?code, reason, %message, "refused");
    let mut details = ErrorDetails::new();
    let metadata: Vec<(String, String)> = metadata(failure, roster);
    details.set_error_info(
        reason,
        DOMAIN,
        metadata
            .into_iter()
            .collect::<std::collections::HashMap<_, _>>(),
    );
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    match failure {
        Failure::Bad(bad) => {
            details.add_bad_request_violation(bad.field, &bad.description);
        }
        Failure::Program(error) => {
            details.add_bad_request_violation("program", error.to_string());
        }
        Failure::OwnName => {
            details.add_bad_request_violation("username", failure.to_string());
        }
        Failure::RequestIdReused => {
            details.add_bad_request_violation("request_id", failure.to_string());
        }
        _ => {}
    }
    Status::with_error_details(code, message, details)
}

/// Makes the same status as a message, for one of many in a call.
#[must_use]
pub fn rpc_status(failure: &Failure, roster: &Roster) -> tonic_types::Status {
    let status = status(failure, roster);
    // The status was made a line above, with its details.
    tonic_types::Status::decode(status.details()).unwrap_or_default()
}

fn metadata(failure: &Failure, roster: &Roster) -> Vec<(String, String)> {
    match failure {
        Failure::Unavailable(Unavailability::NotLeader(Some(leader)))
        | Failure::LeadLost(Some(leader)) => {
            let mut known = vec![("leader_id".into(), leader.to_string())];
            if let Some(member) = roster.get(*leader) {
                known.push(("leader_address".into(), member.address.clone()));
            }
            known
        }
        Failure::NotInStep(replicas)
        | Failure::Unavailable(Unavailability::OlderReplicas(replicas)) => {
            let ids: Vec<String> = replicas.iter().map(ToString::to_string).collect();
            vec![("replica_ids".into(), ids.join(","))]
        }
        Failure::Program(error) if error.line > 0 => vec![
            ("line".into(), error.line.to_string()),
            ("column".into(), error.column.to_string()),
        ],
        Failure::ScopeMissing(scope) => vec![("scope".into(), scope.name().into())],
        Failure::LeaderKnown(leader) => vec![("leader_id".into(), leader.to_string())],
        Failure::AddressTaken(Some(owner)) => vec![("replica_id".into(), owner.to_string())],
        Failure::SlowSubscriber { cursor } | Failure::Resync { cursor } => {
            vec![("cursor".into(), cursor.to_string())]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_store::roster::Member;

    fn roster() -> Roster {
        Roster::configured([(
            ReplicaId(2),
            Member {
                address: "localhost:5002".into(),
                peer_address: "localhost:6002".into(),
            },
        )])
    }

    fn told(failure: Failure) -> (Code, String, Option<Duration>, Status) {
        let status = status(&failure, &roster());
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.domain, "tercet");
        let retry = details.retry_info().and_then(|info| info.retry_delay);
        (status.code(), info.reason.clone(), retry, status)
    }

    #[test]
    fn every_failure_has_its_code_and_reason() {
        use Code::*;
        let rows = [
            (
                Unavailability::NotLeader(Some(ReplicaId(2))).into(),
                FailedPrecondition,
                "NOT_LEADER",
            ),
            (
                Unavailability::NotLeader(None).into(),
                Unavailable,
                "NO_LEADER",
            ),
            (
                Unavailability::InTransition.into(),
                Unavailable,
                "IN_TRANSITION",
            ),
            (Unavailability::Busy.into(), ResourceExhausted, "BUSY"),
            (Unavailability::NoQuorum.into(), Unavailable, "NO_QUORUM"),
            (
                Unavailability::OutcomeUnknown.into(),
                Unavailable,
                "OUTCOME_UNKNOWN",
            ),
            (
                Unavailability::DiskFull.into(),
                ResourceExhausted,
                "DISK_FULL",
            ),
            (StoreError::Full.into(), ResourceExhausted, "DISK_FULL"),
            (Unavailability::Stopping.into(), Unavailable, "STOPPING"),
            (
                Unavailability::OlderReplicas(vec![ReplicaId(3)]).into(),
                FailedPrecondition,
                "OLDER_REPLICAS",
            ),
            (
                Failure::WrongCredentials,
                Unauthenticated,
                "WRONG_CREDENTIALS",
            ),
            (Failure::InvalidToken, Unauthenticated, "INVALID_TOKEN"),
            (Failure::ExpiredToken, Unauthenticated, "EXPIRED_TOKEN"),
            (Failure::AccountGone, Unauthenticated, "ACCOUNT_GONE"),
            (
                Failure::NameTaken("ann".into()),
                AlreadyExists,
                "NAME_TAKEN",
            ),
            (
                Failure::UnknownRecipient("ann".into()),
                NotFound,
                "UNKNOWN_RECIPIENT",
            ),
            (
                Failure::UnknownAccount("ann".into()),
                NotFound,
                "UNKNOWN_ACCOUNT",
            ),
            (Failure::OwnName, InvalidArgument, "OWN_NAME"),
            (
                Failure::TooManyBlocks,
                FailedPrecondition,
                "TOO_MANY_BLOCKS",
            ),
            (
                Failure::Banned {
                    room: "tea".into(),
                    account: "ann".into(),
                },
                PermissionDenied,
                "BANNED",
            ),
            (
                Failure::UnknownMember {
                    room: "tea".into(),
                    account: "ann".into(),
                },
                NotFound,
                "UNKNOWN_MEMBER",
            ),
            (
                Failure::TooManyBans("tea".into()),
                FailedPrecondition,
                "TOO_MANY_BANS",
            ),
            (
                Failure::LastOwner("tea".into()),
                FailedPrecondition,
                "LAST_OWNER",
            ),
            (Failure::UnknownPeer, NotFound, "UNKNOWN_PEER"),
            (Failure::UnknownKey("k".into()), NotFound, "UNKNOWN_KEY"),
            (Failure::TooManyKeys, ResourceExhausted, "TOO_MANY_KEYS"),
            (Failure::StateFull, ResourceExhausted, "STATE_FULL"),
            (
                Failure::ScopeMissing(Scope::Send),
                PermissionDenied,
                "SCOPE_MISSING",
            ),
            (Failure::SessionNeeded, PermissionDenied, "SESSION_NEEDED"),
            (
                Failure::TokenNameTaken("bot".into()),
                AlreadyExists,
                "TOKEN_NAME_TAKEN",
            ),
            (
                Failure::TooManyTokens,
                FailedPrecondition,
                "TOO_MANY_TOKENS",
            ),
            (
                Failure::UnknownToken("bot".into()),
                NotFound,
                "UNKNOWN_TOKEN",
            ),
            (Failure::UnknownSession, NotFound, "UNKNOWN_SESSION"),
            (
                Failure::RequestIdReused,
                InvalidArgument,
                "REQUEST_ID_REUSED",
            ),
            (
                Failure::RequestTooOld,
                FailedPrecondition,
                "REQUEST_TOO_OLD",
            ),
            (Failure::LeadLost(None), Unavailable, "NOT_LEADER"),
            (
                Failure::SlowSubscriber { cursor: 7 },
                ResourceExhausted,
                "SLOW_SUBSCRIBER",
            ),
            (
                Failure::TooManyStreams,
                ResourceExhausted,
                "TOO_MANY_STREAMS",
            ),
            (
                NotAdmin::NotConfigured.into(),
                FailedPrecondition,
                "NO_ADMIN_TOKEN",
            ),
            (NotAdmin::Wrong.into(), Unauthenticated, "WRONG_ADMIN_TOKEN"),
            (
                Failure::UnknownReplica(ReplicaId(4)),
                NotFound,
                "UNKNOWN_REPLICA",
            ),
            (
                Failure::ReplicaExists(ReplicaId(4)),
                AlreadyExists,
                "REPLICA_EXISTS",
            ),
            (Failure::AddressTaken(None), AlreadyExists, "ADDRESS_TAKEN"),
            (
                Failure::TooManyReplicas,
                FailedPrecondition,
                "TOO_MANY_REPLICAS",
            ),
            (
                Failure::TooFewReplicas,
                FailedPrecondition,
                "TOO_FEW_REPLICAS",
            ),
            (
                Failure::NotInStep(vec![ReplicaId(3)]),
                FailedPrecondition,
                "NOT_IN_STEP",
            ),
            (Failure::TooFewLeft, FailedPrecondition, "TOO_FEW_REPLICAS"),
            (
                Failure::LeaderKnown(ReplicaId(2)),
                FailedPrecondition,
                "LEADER_KNOWN",
            ),
            (
                Failure::ReplicaAnswers(ReplicaId(2)),
                FailedPrecondition,
                "REPLICA_ANSWERS",
            ),
            (Failure::NoSuchCheckpoint(7), NotFound, "NO_SUCH_CHECKPOINT"),
            (
                Failure::CheckpointPending(7),
                Unavailable,
                "CHECKPOINT_PENDING",
            ),
            (Failure::Internal("secret".into()), Internal, "INTERNAL"),
        ];
        for (failure, code, reason) in rows {
            let (told_code, told_reason, _, _) = told(failure);
            assert_eq!((told_code, told_reason.as_str()), (code, reason));
        }
    }

    #[test]
    fn who_does_not_lead_names_the_leader_and_its_address() {
        let (_, _, retry, status) = told(Unavailability::NotLeader(Some(ReplicaId(2))).into());
        let details = status.get_error_details();
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!(metadata["leader_id"], "2");
        assert_eq!(metadata["leader_address"], "localhost:5002");
        assert_eq!(retry, None);
    }

    #[test]
    fn leader_without_a_known_address_is_named_by_id_alone() {
        let (_, _, _, status) = told(Unavailability::NotLeader(Some(ReplicaId(9))).into());
        let details = status.get_error_details();
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!(metadata["leader_id"], "9");
        assert!(!metadata.contains_key("leader_address"));
    }

    #[test]
    fn what_may_pass_says_when_to_ask_again_and_a_full_disk_does_not() {
        let delay = |failure| told(failure).2;
        assert_eq!(
            delay(Unavailability::InTransition.into()),
            Some(Duration::from_millis(5))
        );
        for failure in [
            Unavailability::NotLeader(None),
            Unavailability::Busy,
            Unavailability::NoQuorum,
            Unavailability::OutcomeUnknown,
        ] {
            assert!(delay(failure.into()).is_some());
        }
        assert_eq!(delay(Unavailability::DiskFull.into()), None);
    }

    #[test]
    fn a_call_that_older_replicas_do_not_know_names_them() {
        let older = |ids: &[u32]| {
            let ids = ids.iter().map(|&id| ReplicaId(id)).collect();
            let (_, _, retry, status) = told(Unavailability::OlderReplicas(ids).into());
            assert_eq!(retry, None, "it lasts until an operator acts");
            status
        };
        let one = older(&[3]);
        let details = one.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.metadata["replica_ids"], "3");
        let words = "replica 3 runs an older build";
        assert!(one.message().starts_with(words), "{}", one.message());
        let words = "replicas 2, 3 run older builds";
        assert!(older(&[2, 3]).message().starts_with(words));
    }

    #[test]
    fn unknown_outcome_says_to_ask_again_with_the_same_request_id() {
        let (_, _, _, status) = told(Unavailability::OutcomeUnknown.into());
        assert!(status.message().contains("same request_id"));
    }

    #[test]
    fn bad_input_names_its_field() {
        let bad = BadField {
            field: "username",
            reason: "INVALID_USERNAME",
            description: "is empty".into(),
        };
        let (code, reason, _, status) = told(bad.into());
        assert_eq!(
            (code, reason.as_str()),
            (Code::InvalidArgument, "INVALID_USERNAME")
        );
        let details = status.get_error_details();
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(violation.field, "username");
        assert_eq!(violation.description, "is empty");
    }

    #[test]
    fn slow_subscriber_is_told_where_to_go_on() {
        let (_, _, _, status) = told(Failure::SlowSubscriber { cursor: 42 });
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["cursor"], "42");
    }

    #[test]
    fn inner_failures_are_not_told_to_clients() {
        let (_, _, _, status) = told(Failure::Internal("secret path".into()));
        assert!(!format!("{status:?}").contains("secret"));
    }
}
