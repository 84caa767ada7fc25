//! This file writes results and errors: lines for people, JSON for programs.
//!
//! Owns stdout and the shape of everything printed there; nothing that others wrote gets past it as
//! it is (`plain_text`). A closed stdout ends the command quietly: whoever read it has seen enough.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Local, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tercet_client::{Account, Error, Message, StateFileError};

use crate::plain_text::{harmless, harmless_json};

/// The line editor takes all text through this channel while it owns the terminal.
static DIVERTED: Mutex<Option<Sender<Print>>> = Mutex::new(None);

/// A printed item goes to the line editor in place of stdout and stderr.
pub enum Print {
    /// Whole lines.
    Text(String),
    /// The sender waits for an answer, given once every earlier item is printed.
    Flush(Sender<()>),
}

/// A failure ends a command, and sets its exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user gave invalid arguments: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A request failed or was refused: exit code 1.
    #[error("{message}")]
    Failed {
        reason: String,
        message: String,
        /// The advice names the next step; may be empty.
        advice: String,
    },
    /// The printed result already reports the failure: exit code 1.
    #[error("")]
    Told,
    /// The printed result reports that the cluster serves without some replica: exit code 3.
    #[error("")]
    Degraded,
    /// The reader closed stdout: exit code 0.
    #[error("")]
    OutputClosed,
}

impl Failure {
    pub fn failed(reason: &str, message: impl Into<String>, advice: impl Into<String>) -> Failure {
        Failure::Failed {
            reason: reason.to_owned(),
            message: message.into(),
            advice: advice.into(),
        }
    }

    /// The failure contains an error of the operating system, and the operation that met it.
    pub fn io(doing: &str, error: &io::Error) -> Failure {
        Failure::failed("IO", format!("{doing}: {error}"), "")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let mut message = match &error {
            Error::Refused {
                field: Some(field),
                message,
                ..
            } if !field.is_empty() && !message.starts_with(&format!("{field}: ")) => {
                format!("{field}: {message}")
            }
            other => other.to_string(),
        };
        if message.is_empty() {
            message = error.reason().to_owned();
        }
        Failure::failed(error.reason(), message, advice(&error))
    }
}

impl From<StateFileError> for Failure {
    fn from(error: StateFileError) -> Failure {
        let advice = match error {
            StateFileError::Corrupt { .. } => {
                "Remove the file and log in again, or name another with --session-file."
            }
            _ => "Name a file that can be written with --session-file.",
        };
        Failure::failed("SESSION_FILE", error.to_string(), advice)
    }
}

/// The advice tells the user what to do about an error.
fn advice(error: &Error) -> String {
    let text = match error.reason() {
        "NO_LEADER" => {
            "Check that the replicas run and that the list is right (--replicas, TERCET_REPLICAS); \
             `tercet local` starts three here."
        }
        "WRONG_CREDENTIALS" => "Check the name and the password; `tercet register` makes accounts.",
        "NAME_TAKEN" => "Choose another name.",
        "UNKNOWN_RECIPIENT" => "`tercet accounts` lists who is there.",
        "OUTCOME_UNKNOWN" => {
            "Send it again under the same id (`send --request-id`): it is carried out once at most."
        }
        "WRONG_ADMIN_TOKEN" => {
            "Name the file with the replicas' admin token: --admin-token-file; `tercet local` keeps \
             it in its data directory."
        }
        "NO_ANSWER" => "Try again; --timeout sets how long to wait.",
        _ => match error {
            Error::Refused {
                kind: tercet_client::RefusedKind::NotAuthenticated,
                ..
            } => "Log in again: `tercet login NAME`.",
            _ => "",
        },
    };
    text.to_owned()
}

/// The function writes a failure to stderr and returns the exit code.
pub fn report(failure: &Failure, json: bool) -> u8 {
    let (reason, advice, code) = match failure {
        Failure::OutputClosed => return 0,
        Failure::Told => return 1,
        Failure::Degraded => return 3,
        Failure::Usage(_) => ("USAGE", "See --help.", 2),
        Failure::Failed { reason, advice, .. } => (reason.as_str(), advice.as_str(), 1),
    };
    if json {
        let error = json!({"reason": reason, "message": failure.to_string()});
        json_notice(&json!({ "error": error }));
        return code;
    }
    let message = indent(&failure.to_string());
    if advice.is_empty() {
        notice(&format!("error: {message}"));
    } else {
        notice(&format!("error: {message}\n{advice}"));
    }
    code
}

/// From here on text goes there, or to stdout and stderr again.
pub fn divert(to: Option<Sender<Print>>) {
    *DIVERTED.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

/// Whether the text went where it is diverted to.
fn diverted(text: &str) -> bool {
    let to = DIVERTED.lock().unwrap_or_else(PoisonError::into_inner);
    let print = |to: &Sender<Print>| to.send(Print::Text(format!("{text}\n"))).is_ok();
    to.as_ref().is_some_and(print)
}

fn write_line(text: &str) -> Result<(), Failure> {
    if diverted(text) {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::io("write to stdout", &error),
    })
}

fn write_notice(text: &str) {
    // A stderr that is a file is no part of the terminal that is edited on.
    if !io::stderr().is_terminal() || !diverted(text) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Writes text for people to stdout at once, and what ends a line.
pub fn line(text: &str) -> Result<(), Failure> {
    write_line(&harmless(text))
}

/// Writes a notice to stderr; nobody may be reading it.
pub fn notice(text: &str) {
    write_notice(&harmless(text));
}

/// As [`notice`], for programs.
pub fn json_notice(value: &Value) {
    write_notice(&json_line(value));
}

/// Writes one object as one line.
pub fn object(value: &impl Serialize) -> Result<(), Failure> {
    write_line(&json_line(value))
}

/// Writes a result to stdout: the object for programs, or the text for people.
pub fn print(json: bool, object: &impl Serialize, text: &str) -> Result<(), Failure> {
    if json {
        self::object(object)
    } else {
        line(text)
    }
}

/// Gives an object as one line, its fields in alphabetical order.
pub fn json_line(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("the fields of an object have names");
    harmless_json(&value.to_string())
}

/// Milliseconds since the Unix epoch as RFC 3339, in UTC, to the millisecond.
pub fn rfc3339(ms: i64) -> Value {
    let time = DateTime::<Utc>::from_timestamp_millis(ms);
    time.map_or(Value::Null, |time| {
        json!(time.to_rfc3339_opts(SecondsFormat::Millis, true))
    })
}

/// A message as an object: the fields of the contract, and `sent_at` in RFC 3339.
pub fn message_json(message: &Message) -> Value {
    json!({
        "message_id": message.message_id,
        "cursor": message.cursor,
        "sender": message.sender,
        "sender_id": message.sender_id,
        "sender_deleted": message.sender_deleted,
        "recipient": message.recipient,
        "recipient_id": message.recipient_id,
        "recipient_deleted": message.recipient_deleted,
        "body": message.body,
        "sent_at_ms": message.sent_at_ms,
        "sent_at": rfc3339(message.sent_at_ms),
        "instant": message.instant,
        "delivered": message.delivered,
    })
}

pub fn account_json(account: &Account) -> Value {
    json!({
        "username": account.username,
        "account_id": account.account_id,
        "created_at_ms": account.created_at_ms,
        "created_at": rfc3339(account.created_at_ms),
    })
}

/// The time of a message where the reader is, to the second.
pub fn local_time(ms: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    let time = time.with_timezone(&Local);
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A message as lines for people: `2026-01-02 03:04:05 alice: text`, later lines indented.
pub fn message_text(message: &Message) -> String {
    let deleted = if message.sender_deleted {
        " (deleted)"
    } else {
        ""
    };
    format!(
        "{} {}{deleted}: {}",
        local_time(message.sent_at_ms),
        message.sender,
        indent(&message.body)
    )
}

/// A message of a chat: `10:42 bob → you: text`, or, of this person's own, `10:42 you → bob: text`.
/// One of another day has its date as well.
pub fn chat_text(message: &Message, mine: bool) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(message.sent_at_ms).unwrap_or_default();
    let time = time.with_timezone(&Local);
    let is_of_today = time.date_naive() == Local::now().date_naive();
    let time = time.format(if is_of_today {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    });
    let deleted = |deleted| if deleted { " (deleted)" } else { "" };
    let body = indent(&message.body);
    if mine {
        let to = deleted(message.recipient_deleted);
        format!("{time} you → {}{to}: {body}", message.recipient)
    } else {
        let from = deleted(message.sender_deleted);
        format!("{time} {}{from} → you: {body}", message.sender)
    }
}

/// Later lines of a text, set off so that they cannot pass for another message.
pub fn indent(text: &str) -> String {
    text.replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_line_cannot_pass_for_another_message() {
        let message = Message {
            sender: "eve".to_owned(),
            body: "hi\nalice: forged".to_owned(),
            ..Message::default()
        };
        let text = message_text(&message);
        assert!(text.ends_with("eve: hi\n    alice: forged"), "{text}");
    }

    #[test]
    fn exit_codes_are_one_for_failures_and_two_for_wrong_usage() {
        assert_eq!(report(&Failure::Usage("x".to_owned()), true), 2);
        assert_eq!(report(&Failure::failed("X", "x", ""), true), 1);
        assert_eq!(report(&Failure::Told, false), 1);
        assert_eq!(report(&Failure::OutputClosed, false), 0);
    }
}
