//! SetKeyword: adds a keyword of an account, or removes it.

use rusqlite::params;
use tercet_proto::{
    log::{KeywordSet, KeywordsChanged, Refusal, SetKeyword, change, command::Action, outcome},
    v1,
};
use tercet_types::limits::{ACCOUNT_KEYWORDS_MAX, KEYWORD_CHARS_MAX};
use unicode_normalization::UnicodeNormalization as _;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What, fingerprint, refused,
};
use crate::{
    changes::{self, To},
    fields::{self, BadField, bad},
};

/// Checks a request; gives its id, and the command without the account.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::SetKeywordRequest) -> Result<([u8; 16], SetKeyword), BadField> {
    let (field, reason) = ("keyword", "INVALID_KEYWORD");
    let keyword = request.keyword.nfc().collect();
    let keyword = fields::line(field, reason, keyword, KEYWORD_CHARS_MAX)?;
    if !keyword.chars().any(char::is_alphanumeric) {
        return Err(bad(field, reason, "has no letter and no digit"));
    }
    let command = SetKeyword {
        account_id: 0,
        folded: keyword.to_lowercase(),
        keyword,
        remove: request.remove,
    };
    Ok((fields::request_id(&request.request_id)?, command))
}

impl Request for SetKeyword {
    type Outcome = KeywordSet;

    fn into_action(self) -> Action {
        Action::SetKeyword(self)
    }

    fn outcome(result: outcome::Result) -> Option<KeywordSet> {
        match result {
            outcome::Result::KeywordSet(set) => Some(set),
            _ => None,
        }
    }
}

impl Command for SetKeyword {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (count, is_there): (usize, bool) = state
            .connection
            .prepare_cached(
                "SELECT count(*), coalesce(max(folded = ?2), 0) FROM keywords
                 WHERE account_id = ?1",
            )?
            .query_row(params![account.id, self.folded], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if is_there != self.remove {
            return Ok(outcome::Result::KeywordSet(KeywordSet { lsn: 0 }));
        }
        if self.remove {
            state
                .connection
                .prepare_cached("DELETE FROM keywords WHERE account_id = ?1 AND folded = ?2")?
                .execute(params![account.id, self.folded])?;
        } else if count >= ACCOUNT_KEYWORDS_MAX {
            return Ok(refused(Refusal::TooManyKeywords));
        } else {
            state
                .connection
                .prepare_cached(
                    "INSERT INTO keywords (account_id, folded, keyword) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![account.id, self.folded, self.keyword])?;
        }
        let what = change::What::KeywordsChanged(KeywordsChanged {});
        changes::record(state, To::Account(account.id), what)?;
        Ok(outcome::Result::KeywordSet(KeywordSet { lsn: state.lsn }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint(
            "set_keyword",
            [
                &self.account_id.to_be_bytes()[..],
                self.keyword.as_bytes(),
                &[u8::from(self.remove)],
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("keyword"))
    }
}

/// Removes the keywords of an account.
pub(super) fn remove_all(state: &Applier<'_, '_>, account_id: u64) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM keywords WHERE account_id = ?1")?
        .execute([account_id])?;
    Ok(())
}
