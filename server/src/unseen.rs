//! The readable file of what only one store has: one JSON object a line, for people, and for scripts
//! that put it back.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tercet_core::id::Lsn;
use tercet_store::{Readers, StoreError, Unseen, What};
use tercet_types::durable::NewFile;
use uuid::Uuid;

/// A file that was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub path: PathBuf,
    pub entries: u64,
    /// Messages among them.
    pub messages: u64,
}

/// Writes everything that a store has after `after` to `path`, whole and durable. What is there is
/// replaced. `None`, and no file, if it has nothing.
///
/// # Errors
/// When the store cannot be read, or the file not written.
pub(crate) fn write(
    readers: &Readers,
    after: Lsn,
    path: &Path,
) -> Result<Option<Written>, StoreError> {
    let failed = |error: io::Error| {
        let what = format!("write {}", path.display());
        StoreError::from_io(&what, &error)
    };
    let new = NewFile::create(path).map_err(failed)?;
    let mut file = BufWriter::new(new.file());
    let (mut entries, mut messages) = (0, 0);
    readers.unseen(after, &mut |unseen| {
        entries += 1;
        messages += u64::from(matches!(unseen.what, What::Message { .. }));
        writeln!(file, "{}", line(&unseen)).map_err(failed)
    })?;
    if entries == 0 {
        return Ok(None);
    }
    file.flush().map_err(failed)?;
    drop(file);
    new.finish().map_err(failed)?;
    Ok(Some(Written {
        path: path.to_owned(),
        entries,
        messages,
    }))
}

/// One entry as an object.
fn line(unseen: &Unseen) -> Value {
    let mut object = about(&unseen.what);
    object["lsn"] = json!(unseen.lsn.0);
    object["epoch"] = json!(unseen.epoch.to_string());
    object["acknowledged"] = match unseen.applied {
        true => json!(true),
        false => json!("unknown"),
    };
    object["time"] = json!(unseen.time.as_ref().map(|(_, text)| text));
    if let (What::Message { .. }, Some((ms, text))) = (&unseen.what, &unseen.time) {
        object["sent_at_ms"] = json!(ms);
        object["sent_at"] = json!(text);
    }
    object
}

/// Describes the subject of an entry, in the words of the command line where it has them.
fn about(what: &What) -> Value {
    let uuid = |id: &[u8; 16]| Uuid::from_bytes(*id).to_string();
    match what {
        What::Message {
            id,
            sender,
            sender_id,
            recipient,
            body,
            delivered,
        } => json!({
            "kind": "message",
            "message_id": uuid(id),
            "sender": sender,
            "sender_id": sender_id,
            "recipient": recipient,
            "body": body,
            "delivered": delivered,
        }),
        What::AccountCreated { username } => {
            json!({"kind": "account_created", "username": username})
        }
        What::AccountDeleted { username } => {
            json!({"kind": "account_deleted", "username": username})
        }
        What::MessagesAcknowledged { username, ids } => json!({
            "kind": "messages_acknowledged",
            "username": username,
            "message_ids": ids.iter().map(uuid).collect::<Vec<_>>(),
        }),
        What::Other(kind) => json!({ "kind": kind }),
    }
}

#[cfg(test)]
mod tests {
    use tercet_core::id::{Epoch, ReplicaId};

    use super::*;

    fn unseen(applied: bool, time: Option<i64>, what: What) -> Unseen {
        Unseen {
            lsn: Lsn(7),
            epoch: Epoch {
                number: 3 << 24 | 5,
                proposer: ReplicaId(1),
            },
            applied,
            time: time.map(|ms| (ms, "2026-11-21T12:00:00.001Z".into())),
            what,
        }
    }

    #[test]
    fn a_message_is_a_line_with_everything_that_people_need_to_send_it_again() {
        let message = What::Message {
            id: [1; 16],
            sender: "ann".into(),
            sender_id: 2,
            recipient: "bob".into(),
            body: "two\nlines \u{1f984}".into(),
            delivered: None,
        };
        let told = line(&unseen(false, Some(1), message));
        let expected = json!({
            "lsn": 7,
            "epoch": "3.1",
            "acknowledged": "unknown",
            "time": "2026-11-21T12:00:00.001Z",
            "kind": "message",
            "message_id": "01010101-0101-0101-0101-010101010101",
            "sender": "ann",
            "sender_id": 2,
            "recipient": "bob",
            "body": "two\nlines \u{1f984}",
            "delivered": null,
            "sent_at": "2026-11-21T12:00:00.001Z",
            "sent_at_ms": 1,
        });
        assert_eq!(told, expected);
        assert!(!told.to_string().contains('\n'), "one line");
    }

    #[test]
    fn what_is_no_message_says_what_it_is() {
        let view = line(&unseen(true, None, What::Other("view")));
        let expected = json!({
            "lsn": 7, "epoch": "3.1", "acknowledged": true, "time": null, "kind": "view",
        });
        assert_eq!(view, expected);
        let username = "ann".to_owned();
        let ids = vec![[1; 16]];
        let read = line(&unseen(
            true,
            None,
            What::MessagesAcknowledged { username, ids },
        ));
        assert_eq!(read["username"], "ann");
        let id = "01010101-0101-0101-0101-010101010101";
        assert_eq!(read["message_ids"], json!([id]));
    }
}
