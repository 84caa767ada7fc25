//! Page tokens: opaque to clients, and valid only for the query that gave them.
//! base64url of: version (1 byte), hash of the query (16 bytes, SHA-256 cut), position. The query
//! includes the account, so a token does not pass from one account to another. A token is no
//! secret and no proof: one that is forged well only leads to another page of the same query.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tercet_store::{
    fields::{BadField, LSN_MAX, bad},
    queries::{ExportPlace, Page, Step},
};

const VERSION: u8 = 1;
const HASH_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + HASH_BYTES;
/// Characters of the longest token, which holds the longest key of state.
const TOKEN_CHARS_MAX: usize = 200;

/// The query that a page belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Query<'a> {
    Accounts {
        account_id: u64,
        pattern: &'a str,
    },
    Messages {
        account_id: u64,
        peer_id: u64,
        oldest_first: bool,
    },
    Undelivered {
        account_id: u64,
    },
    Blocks {
        account_id: u64,
    },
    Rooms {
        account_id: u64,
        feeds_only: bool,
        pattern: &'a str,
    },
    Members {
        account_id: u64,
        room_id: u64,
    },
    Bans {
        account_id: u64,
        room_id: u64,
    },
    Conversations {
        account_id: u64,
    },
    Mentions {
        account_id: u64,
    },
    Export {
        account_id: u64,
        /// The name of the room; "" for all conversations of the account.
        room: &'a str,
    },
    Search {
        account_id: u64,
        query: &'a str,
    },
    State {
        account_id: u64,
        conversation: &'a str,
        prefix: &'a str,
    },
    RoomMessages {
        account_id: u64,
        room_id: u64,
        oldest_first: bool,
    },
    /// A thread of the messages of another query.
    Thread {
        of: &'a Query<'a>,
        seq: u64,
    },
}

/// Makes the token of the page after this one, from its last row; empty when no more rows follow.
#[must_use]
pub fn next<T>(page: &Page<T>, after: impl FnOnce(&T) -> String) -> String {
    match page.rows.last() {
        Some(last) if page.more => after(last),
        _ => String::new(),
    }
}

impl Query<'_> {
    fn hash(&self) -> [u8; HASH_BYTES] {
        let mut hasher = Sha256::new();
        match self {
            Query::Accounts {
                account_id,
                pattern,
            } => {
                hasher.update([1]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(pattern.to_lowercase());
            }
            Query::Messages {
                account_id,
                peer_id,
                oldest_first,
            } => {
                // Tokens of 2 had the positions of messages; these have their seqs.
                hasher.update([130]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(peer_id.to_be_bytes());
                hasher.update([u8::from(*oldest_first)]);
            }
            Query::Undelivered { account_id } => {
                hasher.update([3]);
                hasher.update(account_id.to_be_bytes());
            }
            Query::Blocks { account_id } => {
                hasher.update([8]);
                hasher.update(account_id.to_be_bytes());
            }
            Query::Rooms {
                account_id,
                feeds_only,
                pattern,
            } => {
                hasher.update([if *feeds_only { 46 } else { 4 }]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(pattern.to_lowercase());
            }
            Query::Members {
                account_id,
                room_id,
            } => {
                hasher.update([5]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(room_id.to_be_bytes());
            }
            Query::Bans {
                account_id,
                room_id,
            } => {
                hasher.update([45]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(room_id.to_be_bytes());
            }
            Query::Conversations { account_id } => {
                // Tokens of 6 had the ids of conversations; these have the positions of their last messages.
                hasher.update([131]);
                hasher.update(account_id.to_be_bytes());
            }
            Query::Mentions { account_id } => {
                hasher.update([132]);
                hasher.update(account_id.to_be_bytes());
            }
            Query::Export { account_id, room } => {
                hasher.update([73]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(room.to_lowercase());
            }
            Query::Search { account_id, query } => {
                hasher.update([72]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(query);
            }
            Query::State {
                account_id,
                conversation,
                prefix,
            } => {
                hasher.update([120]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(conversation.to_lowercase());
                hasher.update([0]);
                hasher.update(prefix);
            }
            Query::Thread { of, seq } => {
                hasher.update([100]);
                hasher.update(of.hash());
                hasher.update(seq.to_be_bytes());
            }
            Query::RoomMessages {
                account_id,
                room_id,
                oldest_first,
            } => {
                hasher.update([7]);
                hasher.update(account_id.to_be_bytes());
                hasher.update(room_id.to_be_bytes());
                hasher.update([u8::from(*oldest_first)]);
            }
        }
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&hasher.finalize()[..HASH_BYTES]);
        hash
    }

    fn token(&self, position: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + position.len());
        bytes.push(VERSION);
        bytes.extend(self.hash());
        bytes.extend(position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes the position in a token of this query.
    fn position(&self, token: &str) -> Result<Vec<u8>, BadField> {
        let (hash, position) = decode(token)?;
        if hash == self.hash() {
            Ok(position)
        } else {
            Err(wrong())
        }
    }

    /// Makes a token that continues after this name, lower-cased.
    #[must_use]
    pub fn after_name(&self, name: &str) -> String {
        self.token(name.as_bytes())
    }

    /// Decodes the name to continue after; "" without a token.
    ///
    /// # Errors
    /// When the token is not one of this query.
    pub fn name(&self, token: &str) -> Result<String, BadField> {
        if token.is_empty() {
            return Ok(String::new());
        }
        String::from_utf8(self.position(token)?).map_err(|_| wrong())
    }

    /// Makes a token that continues an export.
    #[must_use]
    pub fn at_export_place(&self, place: ExportPlace) -> String {
        let numbers = [place.through, place.conversation_id, place.after];
        self.token(&numbers.map(u64::to_be_bytes).concat())
    }

    /// Decodes the place at which an export goes on; `None` without a token.
    ///
    /// # Errors
    /// When the token is not one of this query.
    pub fn export_place(&self, token: &str) -> Result<Option<ExportPlace>, BadField> {
        if token.is_empty() {
            return Ok(None);
        }
        let position = self.position(token)?;
        let (numbers, rest) = position.as_chunks::<8>();
        match (numbers, rest) {
            (&[through, conversation_id, after], []) => Ok(Some(ExportPlace {
                through: u64::from_be_bytes(through),
                conversation_id: u64::from_be_bytes(conversation_id),
                after: u64::from_be_bytes(after),
            })),
            _ => Err(wrong()),
        }
    }

    /// Makes a token that continues from a position in that direction.
    #[must_use]
    pub fn at(&self, step: Step) -> String {
        let (direction, lsn) = match step {
            Step::Before(lsn) => (0, lsn),
            Step::After(lsn) => (1, lsn),
        };
        let mut position = [direction; 9];
        position[1..].copy_from_slice(&lsn.to_be_bytes());
        self.token(&position)
    }

    /// Decodes the position to continue from; `None` without a token.
    ///
    /// # Errors
    /// When the token is not one of this query.
    pub fn step(&self, token: &str) -> Result<Option<Step>, BadField> {
        if token.is_empty() {
            return Ok(None);
        }
        self.position(token)?;
        step_of_any(token)
    }
}

/// Decodes the position to continue from, of whichever query the token is; `None` without a token. For a query
/// that is not known before the page is read: the caller must check the token with [`Query::step`] then.
///
/// # Errors
/// When the token has another form.
pub fn step_of_any(token: &str) -> Result<Option<Step>, BadField> {
    if token.is_empty() {
        return Ok(None);
    }
    let (_, position) = decode(token)?;
    let position: [u8; 9] = position.try_into().map_err(|_| wrong())?;
    let [direction, lsn @ ..] = position;
    let lsn = u64::from_be_bytes(lsn);
    match direction {
        _ if lsn > LSN_MAX => Err(wrong()),
        0 => Ok(Some(Step::Before(lsn))),
        1 => Ok(Some(Step::After(lsn))),
        _ => Err(wrong()),
    }
}

/// Decodes a token to the hash of its query and the position.
fn decode(token: &str) -> Result<([u8; HASH_BYTES], Vec<u8>), BadField> {
    let bytes = (token.len() <= TOKEN_CHARS_MAX)
        .then(|| URL_SAFE_NO_PAD.decode(token).ok())
        .flatten()
        .ok_or_else(wrong)?;
    let (head, position) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(wrong)?;
    let hash = head[1..].try_into().map_err(|_| wrong())?;
    if head[0] == VERSION {
        Ok((hash, position.to_vec()))
    } else {
        Err(wrong())
    }
}

fn wrong() -> BadField {
    bad(
        "page_token",
        "WRONG_PAGE_TOKEN",
        "is not from an answer to this query; start again without one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Query<'_> = Query::Messages {
        account_id: 7,
        peer_id: 8,
        oldest_first: false,
    };

    fn refused<T: std::fmt::Debug>(result: Result<T, BadField>) {
        let bad = result.unwrap_err();
        assert_eq!((bad.field, bad.reason), ("page_token", "WRONG_PAGE_TOKEN"));
    }

    #[test]
    fn token_leads_back_to_its_position() {
        for step in [Step::Before(42), Step::After(0), Step::Before(LSN_MAX)] {
            assert_eq!(OWN.step(&OWN.at(step)).unwrap(), Some(step));
        }
        assert_eq!(OWN.step("").unwrap(), None);
        let names = Query::Accounts {
            account_id: 7,
            pattern: "A*",
        };
        let longest = "x".repeat(32);
        assert_eq!(names.name(&names.after_name(&longest)).unwrap(), longest);
        let same = Query::Accounts {
            account_id: 7,
            pattern: "a*",
        };
        assert_eq!(same.name(&names.after_name("ann")).unwrap(), "ann");
        assert_eq!(names.name("").unwrap(), "");
    }

    #[test]
    fn token_of_an_export_leads_back_to_its_place() {
        let own = Query::Export {
            account_id: 7,
            room: "",
        };
        let place = ExportPlace {
            through: 9,
            conversation_id: 3,
            after: u64::MAX,
        };
        let token = own.at_export_place(place);
        assert_eq!(own.export_place(&token).unwrap(), Some(place));
        assert_eq!(own.export_place("").unwrap(), None);
        let room = Query::Export {
            account_id: 7,
            room: "#tea",
        };
        refused(room.export_place(&token));
        refused(own.export_place(&own.at(Step::After(1))));
    }

    #[test]
    fn token_of_another_query_is_refused() {
        let token = OWN.at(Step::Before(42));
        refused(
            Query::Messages {
                account_id: 7,
                peer_id: 9,
                oldest_first: false,
            }
            .step(&token),
        );
        refused(
            Query::Messages {
                account_id: 7,
                peer_id: 8,
                oldest_first: true,
            }
            .step(&token),
        );
        refused(Query::Undelivered { account_id: 7 }.step(&token));
        refused(
            Query::Accounts {
                account_id: 7,
                pattern: "*",
            }
            .name(&token),
        );
        let names = Query::Accounts {
            account_id: 7,
            pattern: "a*",
        }
        .after_name("ann");
        refused(
            Query::Accounts {
                account_id: 7,
                pattern: "b*",
            }
            .name(&names),
        );
    }

    #[test]
    fn token_of_another_account_is_refused() {
        let token = OWN.at(Step::Before(42));
        refused(
            Query::Messages {
                account_id: 6,
                peer_id: 8,
                oldest_first: false,
            }
            .step(&token),
        );
        let own = Query::Undelivered { account_id: 7 }.at(Step::After(1));
        refused(Query::Undelivered { account_id: 8 }.step(&own));
        let names = Query::Accounts {
            account_id: 7,
            pattern: "*",
        }
        .after_name("ann");
        refused(
            Query::Accounts {
                account_id: 8,
                pattern: "*",
            }
            .name(&names),
        );
    }

    #[test]
    fn garbage_is_refused() {
        let token = OWN.at(Step::Before(42));
        let other_version = URL_SAFE_NO_PAD.encode([2; 26]);
        for garbage in [
            "x",
            "=",
            "not a token",
            "é",
            "AQ",
            &token[1..],
            &format!("{token}A"),
            &format!("{token}AAAA"),
            &"A".repeat(10_000),
            &other_version,
            &OWN.token(&[2, 0, 0, 0, 0, 0, 0, 0, 1]),
            &OWN.token(&[0xff; 9]),
            &OWN.token(&[]),
        ] {
            refused(OWN.step(garbage));
        }
        let names = Query::Accounts {
            account_id: 7,
            pattern: "*",
        };
        refused(names.name(&names.token(&[0xff, 0xfe])));
    }
}
