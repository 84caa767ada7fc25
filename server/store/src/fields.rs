//! Checks of the fields of requests. Bad input is rejected here, with the field and what is wrong with it; what passes
//! is within every limit that the log and the store count on.

use std::fmt;

use tercet_types::{
    address::is_address,
    limits::{
        ACKNOWLEDGED_MAX, BODY_BYTES_MAX, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN,
        PATTERN_CHARS_MAX, REACTION_BYTES_MAX, RETENTION_MS_MAX, RETENTION_MS_MIN,
        STATE_KEY_CHARS_MAX, STATE_VALUE_BYTES_MAX, TOPIC_CHARS_MAX, USERNAME_CHARS_MAX,
    },
    name::{self, is_name_char},
};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

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

/// Makes the rejection of a field.
pub fn bad(field: &'static str, reason: &'static str, description: impl Into<String>) -> BadField {
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

/// A replica's id.
///
/// # Errors
/// When it is 0.
pub fn replica_id(id: u32) -> Result<u32, BadField> {
    match id {
        0 => Err(bad("replica_id", "INVALID_REPLICA_ID", "must be 1 or more")),
        id => Ok(id),
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
        return wrong(&format!("is longer than {USERNAME_CHARS_MAX} characters"));
    }
    if !text.chars().all(is_name_char) {
        return wrong("may have only the letters a to z, digits, `_`, `.` and `-`");
    }
    Ok(text.to_owned())
}

/// The name of a room, with its `#`, in the field of that name; gives it without.
///
/// # Errors
/// When no room can have it.
pub fn room_name(field: &'static str, text: &str) -> Result<String, BadField> {
    let what = "must be `#` and 1 to 32 characters of the letters a to z, digits, `_`, `.` and `-`, not beginning \
                with a digit or `-`";
    let name = name::room_name(text).map(str::to_owned);
    name.ok_or_else(|| bad(field, "INVALID_ROOM_NAME", what))
}

/// The topic of a room.
///
/// # Errors
/// When it is too long, or has control characters.
pub fn topic(text: &str) -> Result<String, BadField> {
    let wrong = |what: String| Err(bad("topic", "INVALID_TOPIC", what));
    if text.chars().count() > TOPIC_CHARS_MAX {
        return wrong(format!("is longer than {TOPIC_CHARS_MAX} characters"));
    }
    if text.contains(char::is_control) {
        return wrong("has a control character".into());
    }
    Ok(text.to_owned())
}

/// The name of a conversation in the field of that name: that of a room with its `#`, or of an account.
///
/// # Errors
/// When neither can have it.
pub fn conversation(field: &'static str, text: &str) -> Result<String, BadField> {
    if name::is_of_room(text) {
        room_name(field, text)?;
        return Ok(text.to_owned());
    }
    username(field, text)
}

/// A key of state.
///
/// # Errors
/// When no key is like that.
pub fn state_key(text: &str) -> Result<String, BadField> {
    if text.is_empty() {
        return Err(bad("key", "INVALID_KEY", "is empty"));
    }
    state_key_part("key", "INVALID_KEY", text)
}

/// The beginning of keys of state; may be empty.
///
/// # Errors
/// When no key begins with it.
pub fn state_prefix(text: &str) -> Result<String, BadField> {
    state_key_part("prefix", "INVALID_PREFIX", text)
}

fn state_key_part(
    field: &'static str,
    reason: &'static str,
    text: &str,
) -> Result<String, BadField> {
    let is_of_key = |c: char| is_name_char(c) || matches!(c, '/' | ':');
    if text.len() > STATE_KEY_CHARS_MAX || !text.chars().all(is_of_key) {
        let what = format!(
            "has at most {STATE_KEY_CHARS_MAX} of the letters a to z, digits, `_`, `.`, `-`, `/` and `:`"
        );
        return Err(bad(field, reason, what));
    }
    Ok(text.to_owned())
}

/// A value of state.
///
/// # Errors
/// When it is too long.
pub fn state_value(text: String) -> Result<String, BadField> {
    if text.len() > STATE_VALUE_BYTES_MAX {
        let what = format!(
            "has {} bytes; at most {STATE_VALUE_BYTES_MAX} are allowed",
            text.len()
        );
        return Err(bad("value", "INVALID_VALUE", what));
    }
    Ok(text)
}

/// A password that is to be set.
///
/// # Errors
/// When it is too short or too long.
pub fn new_password(field: &'static str, text: &str) -> Result<String, BadField> {
    if text.len() < PASSWORD_BYTES_MIN {
        let what = format!("must have at least {PASSWORD_BYTES_MIN} bytes");
        return Err(bad(field, "INVALID_PASSWORD", what));
    }
    password(field, text)
}

/// A password that is to be checked: one that is too short to be set is merely wrong.
///
/// # Errors
/// When it is empty or too long.
pub fn password(field: &'static str, text: &str) -> Result<String, BadField> {
    let wrong = |what: String| Err(bad(field, "INVALID_PASSWORD", what));
    match text.len() {
        0 => wrong("is empty".into()),
        1..=PASSWORD_BYTES_MAX => Ok(text.to_owned()),
        _ => wrong(format!("is longer than {PASSWORD_BYTES_MAX} bytes")),
    }
}

/// The number of a message in its conversation.
///
/// # Errors
/// When no message can have it.
pub fn seq(seq: u64) -> Result<u64, BadField> {
    match seq {
        1..=LSN_MAX => Ok(seq),
        _ => Err(bad("seq", "INVALID_SEQ", "must be 1 or more")),
    }
}

/// The time for which messages are kept, milliseconds; 0: no retention.
///
/// # Errors
/// When it is out of range.
pub fn retention(ms: i64) -> Result<i64, BadField> {
    match ms {
        0 | RETENTION_MS_MIN..=RETENTION_MS_MAX => Ok(ms),
        _ => {
            let what = format!(
                "must be 0, or {RETENTION_MS_MIN} (an hour) to {RETENTION_MS_MAX} (10 years)"
            );
            Err(bad("retention_ms", "INVALID_RETENTION", what))
        }
    }
}

/// A reaction, in NFC.
///
/// # Errors
/// When it is empty or too long, or has a space or a control character.
pub fn reaction(text: &str) -> Result<String, BadField> {
    let wrong = |what: String| Err(bad("reaction", "INVALID_REACTION", what));
    let text: String = text.nfc().collect();
    if !(1..=REACTION_BYTES_MAX).contains(&text.len()) {
        let what = format!(
            "has {} bytes; 1 to {REACTION_BYTES_MAX} are allowed",
            text.len()
        );
        return wrong(what);
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return wrong("has a space or a control character".into());
    }
    Ok(text)
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

/// A line of text that people see beside a name: no text of it may pass for something else. Empty is valid.
///
/// # Errors
/// When it is longer than `chars_max` characters, begins or ends with a space, or has a character that is not
/// seen or that moves others.
pub fn line(
    field: &'static str,
    reason: &'static str,
    text: String,
    chars_max: usize,
) -> Result<String, BadField> {
    let wrong = |what: String| Err(bad(field, reason, what));
    if text.chars().count() > chars_max {
        return wrong(format!("is longer than {chars_max} characters"));
    }
    if text.trim() != text {
        return wrong("begins or ends with a space".into());
    }
    if let Some(found) = text.chars().find(|&c| is_deceptive(c)) {
        return wrong(format!(
            "has U+{:04X}: control characters, characters without width and changes of direction are not allowed",
            found as u32
        ));
    }
    Ok(text)
}

/// Tells whether a character is not seen, ends a line, or changes the direction of the text around it.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, joiners and fillers.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}' | '\u{feff}'
            // Zero width, line and paragraph ends, directions, invisible operators.
            | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            // Interlinear annotations, tags.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Ids of messages.
///
/// # Errors
/// When there is none, there are too many, or one is not a UUID.
pub fn message_ids(texts: &[String]) -> Result<Vec<[u8; 16]>, BadField> {
    let wrong = |what: String| Err(bad("message_ids", "INVALID_MESSAGE_IDS", what));
    if texts.is_empty() || texts.len() > ACKNOWLEDGED_MAX {
        return wrong(format!(
            "has {} ids; 1 to {ACKNOWLEDGED_MAX} are allowed",
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

/// A pattern of names; `*` where none is given.
///
/// # Errors
/// When it is too long, or has control characters: the store would read it up to a NUL only.
pub fn pattern(text: &str) -> Result<String, BadField> {
    if text.chars().count() > PATTERN_CHARS_MAX {
        let what = format!("is longer than {PATTERN_CHARS_MAX} characters");
        return Err(bad("pattern", "INVALID_PATTERN", what));
    }
    if text.contains(char::is_control) {
        let what = "has a control character, which no name has";
        return Err(bad("pattern", "INVALID_PATTERN", what));
    }
    Ok(if text.is_empty() { "*" } else { text }.to_owned())
}

/// Gives the number of items that a page may have: `default` for 0, at most `max`.
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
    fn a_line_beside_a_name_shows_all_that_it_has() {
        let check = |text: &str| line("display_name", "INVALID_DISPLAY_NAME", text.into(), 10);
        for good in [
            "",
            "Ann",
            "Ann Lee",
            "Ærøskøbing",
            "李",
            "ann 🙂",
            &"é".repeat(10),
        ] {
            assert_eq!(check(good).unwrap(), good);
        }
        for wrong in [
            " ann",
            "ann ",
            "a\nb",
            "a\tb",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{feff}b",
            "\u{3164}",
            "a\u{2028}b",
            "a\u{7f}b",
            "a\u{e0041}b",
            &"é".repeat(11),
        ] {
            rejected(check(wrong), "display_name", "INVALID_DISPLAY_NAME");
        }
    }

    #[test]
    fn request_id_is_a_hyphenated_uuid_and_not_nil() {
        assert_eq!(Uuid::from_bytes(request_id(ID).unwrap()).to_string(), ID);
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
        assert_eq!(replica_id(4).unwrap(), 4);
        rejected(replica_id(0), "replica_id", "INVALID_REPLICA_ID");
        assert_eq!(address("address", "host:5004").unwrap(), "host:5004");
        rejected(address("address", "host"), "address", "INVALID_ADDRESS");
        let empty = address("peer_address", "");
        rejected(empty, "peer_address", "INVALID_ADDRESS");
    }
}
