//! The output of commands: lines for people, JSON for programs.
//!
//! Owns stdout and stderr; text of other people passes `plain_text` before it is printed. A closed stdout
//! ends the command quietly.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::plain_text::{harmless, harmless_json, indent};

/// The line editor takes all text through this channel while it owns the terminal.
static DIVERTED: Mutex<Option<Sender<Print>>> = Mutex::new(None);

/// A printed item goes to the line editor in place of stdout and stderr.
pub enum Print {
    /// Whole lines.
    Text(String),
    /// The sender waits for an answer, given once every earlier item is printed.
    Flush(Sender<()>),
}

/// Writes a failure to stderr, and gives the exit code.
pub fn report(failure: &Failure, json: bool) -> u8 {
    let (reason, advice, code) = match failure {
        Failure::OutputClosed => return 0,
        Failure::Reported => return 1,
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

/// Diverts all text to a channel, or back to stdout and stderr.
pub fn divert(to: Option<Sender<Print>>) {
    *DIVERTED.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

/// Sends the text to the channel of [`divert`]; false if there is none.
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

/// Writes text for people, with a line ending, to stdout.
pub fn line(text: &str) -> Result<(), Failure> {
    write_line(&harmless(text))
}

/// Writes a notice to stderr; a failure to write it is ignored.
pub fn notice(text: &str) {
    write_notice(&harmless(text));
}

/// Writes a notice for programs to stderr.
pub fn json_notice(value: &Value) {
    write_notice(&json_line(value));
}

/// Writes one object as one line to stdout.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_one_for_failures_and_two_for_wrong_usage() {
        assert_eq!(report(&Failure::Usage("x".to_owned()), true), 2);
        assert_eq!(report(&Failure::failed("X", "x", ""), true), 1);
        assert_eq!(report(&Failure::Reported, false), 1);
        assert_eq!(report(&Failure::OutputClosed, false), 0);
    }
}
