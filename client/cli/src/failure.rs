//! The failure of a command: its reason, its text, and the advice for it.

use std::io;

use tercet_client::{Error, RefusedKind, StateFileError};

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
    Reported,
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

    /// Makes a failure of an error of the operating system; `doing` names the operation.
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

/// Gives the advice for an error.
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
                kind: RefusedKind::NotAuthenticated,
                ..
            } => "Log in again: `tercet login NAME`.",
            _ => "",
        },
    };
    text.to_owned()
}
