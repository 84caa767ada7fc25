//! From the wire to the domain, and back. Bad input is rejected here, with the field and what is
//! wrong with it; what passes is within every limit that the log and the store count on.

use std::{collections::BTreeSet, fmt};

use tercet_core::id::ReplicaId;
use tercet_proto::v1;
use uuid::Uuid;

use crate::{event::MessageRow, roster::is_address};

/// Characters of a user name.
pub const USERNAME_CHARS_MAX: usize = 32;
/// Bytes of a password that is set.
pub const PASSWORD_BYTES_MIN: usize = 8;
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Bytes of a message.
pub const BODY_BYTES_MAX: usize = 16_384;
/// Characters of a pattern.
pub const PATTERN_CHARS_MAX: usize = 64;
/// Messages acknowledged by one call.
pub const MESSAGE_IDS_MAX: usize = 1_000;
/// Messages of one frame of a stream, or of one batch.
pub const MESSAGES_MAX: usize = 100;
/// The greatest position that a store can hold.
pub const LSN_MAX: u64 = i64::MAX as u64;

/// A field that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadField {
    /// Its name in the request.
    pub field: &'static str,
    /// Stable, for programs.
    pub reason: &'static str,
    /// For people: what is wrong, and what would be right.
    pub description: String,
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

impl std::error::Error for BadField {}

pub(super) fn bad(
    field: &'static str,
    reason: &'static str,
    description: impl Into<String>,
) -> BadField {
    BadField {
        field,
        reason,
        description: description.into(),
    }
}

/// A client's request id.
///
/// # Errors
/// When it is not a UUID in hyphenated text form, or the nil UUID.
pub fn request_id(text: &str) -> Result<[u8; 16], BadField> {
    uuid(text).ok_or_else(|| {
        bad(
            "request_id",
            "INVALID_REQUEST_ID",
            "must be a UUID in text form, new for each request, the same for each retry",
        )
    })
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    // The parser takes other forms too; one id has one form here.
    let id = (text.len() == 36).then(|| Uuid::try_parse(text).ok())??;
    (!id.is_nil()).then(|| id.into_bytes())
}

/// A UUID in text form.
#[must_use]
pub fn uuid_text(id: [u8; 16]) -> String {
    Uuid::from_bytes(id).to_string()
}

/// A replica's id.
///
/// # Errors
/// When it is 0.
pub fn replica_id(id: u32) -> Result<ReplicaId, BadField> {
    match id {
        0 => Err(bad("replica_id", "INVALID_REPLICA_ID", "must be 1 or more")),
        id => Ok(ReplicaId(id)),
    }
}

/// The ids of replicas, each once.
///
/// # Errors
/// When there is none, or one is 0.
pub fn replica_ids(ids: &[u32]) -> Result<BTreeSet<ReplicaId>, BadField> {
    match ids.is_empty() || ids.contains(&0) {
        true => Err(bad(
            "replica_ids",
            "INVALID_REPLICA_IDS",
            "must be one or more, each 1 or more",
        )),
        false => Ok(ids.iter().copied().map(ReplicaId).collect()),
    }
}

/// A replica's address in the field of that name.
///
/// # Errors
/// When it is not of the form `HOST:PORT`.
pub fn address(field: &'static str, text: &str) -> Result<String, BadField> {
    let what = "must be HOST:PORT, an IPv6 host in brackets, the port from 1 to 65535";
    let good = is_address(text).then(|| text.to_owned());
    good.ok_or_else(|| bad(field, "INVALID_ADDRESS", what))
}

/// A user name in the field of that name.
///
/// # Errors
/// When no account can have it.
pub fn username(field: &'static str, text: &str) -> Result<String, BadField> {
    let wrong = |what: &str| Err(bad(field, "INVALID_USERNAME", what));
    if text.is_empty() {
        return wrong("is empty");
    }
    if text.chars().count() > USERNAME_CHARS_MAX {
        return wrong("is longer than 32 characters");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if !text.bytes().all(allowed) {
        return wrong("may have only the letters a to z, digits, `_`, `.` and `-`");
    }
    Ok(text.to_owned())
}

/// A password that is to be set.
///
/// # Errors
/// When it is too short or too long.
pub fn new_password(field: &'static str, text: &str) -> Result<String, BadField> {
    if text.len() < PASSWORD_BYTES_MIN {
        let what = "must have at least 8 bytes";
        return Err(bad(field, "INVALID_PASSWORD", what));
    }
    password(field, text)
}

/// A password that is to be checked: one that is too short to be set is merely wrong.
///
/// # Errors
/// When it is empty or too long.
pub fn password(field: &'static str, text: &str) -> Result<String, BadField> {
    let wrong = |what: &str| Err(bad(field, "INVALID_PASSWORD", what));
    match text.len() {
        0 => wrong("is empty"),
        1..=PASSWORD_BYTES_MAX => Ok(text.to_owned()),
        _ => wrong("is longer than 256 bytes"),
    }
}

/// The text of a message.
///
/// # Errors
/// When it is empty, too long, or has control characters.
pub fn body(text: String) -> Result<String, BadField> {
    let wrong = |what: String| Err(bad("body", "INVALID_BODY", what));
    if text.is_empty() {
        return wrong("is empty".into());
    }
    if text.len() > BODY_BYTES_MAX {
        return wrong(format!(
            "has {} bytes; at most {BODY_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    // Unicode's controls: C0, DEL and C1.
    let control = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    if let Some(found) = text.chars().find(control) {
        return wrong(format!(
            "has the control character U+{:04X}; only newline and tab are allowed",
            found as u32
        ));
    }
    Ok(text)
}

/// A message that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub request_id: [u8; 16],
    pub recipient: String,
    pub body: String,
}

/// A message to send.
///
/// # Errors
/// See [`request_id`], [`username`] and [`body`].
pub fn send(request: v1::SendMessageRequest) -> Result<Send, BadField> {
    Ok(Send {
        request_id: request_id(&request.request_id)?,
        recipient: username("recipient", &request.recipient)?,
        body: body(request.body)?,
    })
}

/// The number of messages of one frame or one batch.
///
/// # Errors
/// When they are too many.
pub fn message_count(messages: &[v1::SendMessageRequest]) -> Result<(), BadField> {
    match messages.len() {
        0..=MESSAGES_MAX => Ok(()),
        count => Err(bad(
            "messages",
            "INVALID_MESSAGES",
            format!("has {count} messages; at most {MESSAGES_MAX} are allowed"),
        )),
    }
}

/// A pattern of names; `*` where none is given.
///
/// # Errors
/// When it is too long, or has control characters: the store would read it up to a NUL only.
pub fn pattern(text: &str) -> Result<String, BadField> {
    if text.chars().count() > PATTERN_CHARS_MAX {
        let what = "is longer than 64 characters";
        return Err(bad("pattern", "INVALID_PATTERN", what));
    }
    if text.contains(char::is_control) {
        let what = "has a control character, which no name has";
        return Err(bad("pattern", "INVALID_PATTERN", what));
    }
    Ok(if text.is_empty() { "*" } else { text }.to_owned())
}

/// How many items a page may have: `default` for 0, at most `max`.
///
/// # Errors
/// When it is negative.
pub fn page_size(size: i32, default: usize, max: usize) -> Result<usize, BadField> {
    match usize::try_from(size) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(max)),
        Err(_) => Err(bad("page_size", "INVALID_PAGE_SIZE", "is negative")),
    }
}

/// Ids of messages.
///
/// # Errors
/// When there is none, there are too many, or one is not a UUID.
pub fn message_ids(texts: &[String]) -> Result<Vec<[u8; 16]>, BadField> {
    let wrong = |what: String| Err(bad("message_ids", "INVALID_MESSAGE_IDS", what));
    if texts.is_empty() || texts.len() > MESSAGE_IDS_MAX {
        return wrong(format!(
            "has {} ids; 1 to {MESSAGE_IDS_MAX} are allowed",
            texts.len()
        ));
    }
    let mut ids = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match uuid(text) {
            Some(id) => ids.push(id),
            None => return wrong(format!("number {index} is not a UUID in text form")),
        }
    }
    Ok(ids)
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After this position.
    After(u64),
    /// After the newest event.
    Now,
}

/// Where a subscription starts, given the newest position that this replica knows.
///
/// # Errors
/// When the cursor is beyond it, or is given although the start is now.
pub fn start(request: &v1::SubscribeRequest, newest: u64) -> Result<Start, BadField> {
    let wrong = |what: &str| Err(bad("cursor", "INVALID_CURSOR", what));
    match (request.from_now, request.cursor) {
        (true, 0) => Ok(Start::Now),
        (true, _) => wrong("must be 0 with from_now"),
        (false, cursor) if cursor > newest => {
            wrong("is beyond the newest event: it is of another cluster")
        }
        (false, cursor) => Ok(Start::After(cursor)),
    }
}

/// A stored message as clients see it.
#[must_use]
pub fn message(row: MessageRow) -> v1::Message {
    v1::Message {
        message_id: uuid_text(row.id),
        cursor: row.lsn,
        sender: row.sender,
        sender_id: row.sender_id,
        recipient: row.recipient,
        recipient_id: row.recipient_id,
        body: row.body,
        sent_at_ms: row.sent_at_ms,
        instant: row.instant,
        delivered: row.delivered,
        sender_deleted: row.sender_deleted,
        recipient_deleted: row.recipient_deleted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192c1d0-7a5b-7cde-8f01-23456789abcd";

    fn rejected<T: fmt::Debug>(result: Result<T, BadField>, field: &str, reason: &str) {
        let bad = result.unwrap_err();
        assert_eq!((bad.field, bad.reason), (field, reason));
        assert!(!bad.description.is_empty());
    }

    #[test]
    fn request_id_is_a_hyphenated_uuid_and_not_nil() {
        assert_eq!(uuid_text(request_id(ID).unwrap()), ID);
        assert_eq!(
            request_id(&ID.to_uppercase()).unwrap(),
            request_id(ID).unwrap()
        );
        for wrong in [
            "",
            "1",
            "00000000-0000-0000-0000-000000000000",
            "0192c1d07a5b7cde8f0123456789abcd",
            "{0192c1d0-7a5b-7cde-8f01-23456789abcd}",
            "urn:uuid:0192c1d0-7a5b-7cde-8f01-23456789abcd",
            "0192c1d0-7a5b-7cde-8f01-23456789abcg",
            "ééééééééééééééééé-",
        ] {
            rejected(request_id(wrong), "request_id", "INVALID_REQUEST_ID");
        }
    }

    #[test]
    fn username_has_one_to_thirty_two_plain_characters() {
        for right in ["a", "Ann_B.c-9", &"x".repeat(32)] {
            assert_eq!(username("username", right).unwrap(), right);
        }
        for wrong in [
            "",
            &"x".repeat(33),
            "a b",
            "ann!",
            "änne",
            "a\n",
            "a*",
            "a/b",
            "а",
        ] {
            rejected(
                username("recipient", wrong),
                "recipient",
                "INVALID_USERNAME",
            );
        }
    }

    #[test]
    fn new_password_has_eight_to_two_hundred_fifty_six_bytes() {
        for right in ["12345678", "éééé", &"x".repeat(256)] {
            assert!(new_password("password", right).is_ok());
        }
        for wrong in ["", "1234567", &"x".repeat(257), &"é".repeat(129)] {
            rejected(
                new_password("password", wrong),
                "password",
                "INVALID_PASSWORD",
            );
        }
    }

    #[test]
    fn short_password_may_be_tried_but_not_an_empty_or_endless_one() {
        assert!(password("password", "x").is_ok());
        for wrong in [String::new(), "x".repeat(257)] {
            rejected(password("password", &wrong), "password", "INVALID_PASSWORD");
        }
    }

    #[test]
    fn body_has_one_to_sixteen_kib_without_controls() {
        for right in ["x", "two\nlines\tand a tab", "日本語 🎉 \u{a0}\u{200d}"] {
            assert_eq!(body(right.into()).unwrap(), right);
        }
        assert!(body("x".repeat(16_384)).is_ok());
        rejected(body("x".repeat(16_385)), "body", "INVALID_BODY");
        rejected(body("é".repeat(8_193)), "body", "INVALID_BODY");
        for control in [
            "", "\0", "a\r\n", "\x1b[2J", "\x07", "\x7f", "\u{80}", "\u{9b}2J",
        ] {
            rejected(body(control.into()), "body", "INVALID_BODY");
        }
    }

    #[test]
    fn pattern_is_everything_when_empty_and_never_long() {
        assert_eq!(pattern("").unwrap(), "*");
        assert_eq!(pattern("a?b*").unwrap(), "a?b*");
        assert!(pattern(&"é".repeat(64)).is_ok());
        rejected(pattern(&"a".repeat(65)), "pattern", "INVALID_PATTERN");
    }

    #[test]
    fn pattern_with_a_nul_does_not_match_what_stands_before_it() {
        rejected(pattern("*\0"), "pattern", "INVALID_PATTERN");
        rejected(pattern("a\u{85}b"), "pattern", "INVALID_PATTERN");
    }

    #[test]
    fn page_size_has_a_default_and_a_limit_and_is_not_negative() {
        assert_eq!(page_size(0, 50, 500).unwrap(), 50);
        assert_eq!(page_size(7, 50, 500).unwrap(), 7);
        assert_eq!(page_size(i32::MAX, 50, 500).unwrap(), 500);
        rejected(page_size(-1, 50, 500), "page_size", "INVALID_PAGE_SIZE");
    }

    #[test]
    fn message_ids_are_one_to_a_thousand_uuids() {
        assert_eq!(message_ids(&vec![ID.into(); 1000]).unwrap().len(), 1000);
        for wrong in [vec![], vec![ID.into(); 1001], vec![ID.into(), "x".into()]] {
            rejected(message_ids(&wrong), "message_ids", "INVALID_MESSAGE_IDS");
        }
    }

    #[test]
    fn replica_has_an_id_from_one_on_and_addresses_with_a_port() {
        assert_eq!(replica_id(4).unwrap(), ReplicaId(4));
        rejected(replica_id(0), "replica_id", "INVALID_REPLICA_ID");
        assert_eq!(address("address", "host:5004").unwrap(), "host:5004");
        rejected(address("address", "host"), "address", "INVALID_ADDRESS");
        let empty = address("peer_address", "");
        rejected(empty, "peer_address", "INVALID_ADDRESS");
    }

    #[test]
    fn subscription_starts_at_a_known_cursor_or_now() {
        let request = |cursor, from_now| v1::SubscribeRequest { cursor, from_now };
        assert_eq!(start(&request(0, false), 9).unwrap(), Start::After(0));
        assert_eq!(start(&request(9, false), 9).unwrap(), Start::After(9));
        assert_eq!(start(&request(0, true), 9).unwrap(), Start::Now);
        for wrong in [
            request(1, true),
            request(10, false),
            request(u64::MAX, false),
        ] {
            rejected(start(&wrong, 9), "cursor", "INVALID_CURSOR");
        }
    }
}
