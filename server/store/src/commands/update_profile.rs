//! UpdateProfile: changes what an account shows of itself.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::{
    log::{
        ProfileChanged, ProfileUpdated, Refusal, UpdateProfile, change, command::Action, outcome,
    },
    v1,
};
use tercet_types::limits::{DISPLAY_NAME_CHARS_MAX, STATUS_TEXT_CHARS_MAX};
use unicode_normalization::UnicodeNormalization as _;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What, fingerprint, refused,
};
use crate::{
    changes::{self, To},
    fields::{self, BadField},
};

/// A checked request. `None` leaves a field as it is.
pub struct NewProfile {
    pub request_id: [u8; 16],
    pub display_name: Option<String>,
    pub status_text: Option<String>,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::UpdateProfileRequest) -> Result<NewProfile, BadField> {
    let name = |text: String| {
        let (field, reason) = ("display_name", "INVALID_DISPLAY_NAME");
        fields::line(field, reason, text.nfc().collect(), DISPLAY_NAME_CHARS_MAX)
    };
    let status = |text: String| {
        let (field, reason) = ("status_text", "INVALID_STATUS_TEXT");
        fields::line(field, reason, text.nfc().collect(), STATUS_TEXT_CHARS_MAX)
    };
    Ok(NewProfile {
        request_id: fields::request_id(&request.request_id)?,
        display_name: request.display_name.map(name).transpose()?,
        status_text: request.status_text.map(status).transpose()?,
    })
}

impl Request for UpdateProfile {
    type Outcome = ProfileUpdated;

    fn into_action(self) -> Action {
        Action::UpdateProfile(self)
    }

    fn outcome(result: outcome::Result) -> Option<ProfileUpdated> {
        match result {
            outcome::Result::ProfileUpdated(updated) => Some(updated),
            _ => None,
        }
    }
}

impl Command for UpdateProfile {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let before: Option<(String, String)> = state
            .connection
            .prepare_cached("SELECT display_name, status_text FROM profiles WHERE account_id = ?1")?
            .query_row([account.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (name_before, status_before) = before.unwrap_or_default();
        let display_name = self.display_name.as_ref().unwrap_or(&name_before).clone();
        let status_text = self.status_text.as_ref().unwrap_or(&status_before).clone();
        if display_name.is_empty() && status_text.is_empty() {
            remove(state, account.id)?;
        } else {
            state
                .connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO profiles (account_id, display_name, status_text)
                     VALUES (?1, ?2, ?3)",
                )?
                .execute(params![account.id, display_name, status_text])?;
        }
        if (&display_name, &status_text) != (&name_before, &status_before) {
            let what = change::What::ProfileChanged(ProfileChanged {});
            changes::record(state, To::Account(account.id), what)?;
        }
        Ok(outcome::Result::ProfileUpdated(ProfileUpdated {}))
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        let given = [
            u8::from(self.display_name.is_some()),
            u8::from(self.status_text.is_some()),
        ];
        let name = self.display_name.as_deref().unwrap_or_default().as_bytes();
        let status = self.status_text.as_deref().unwrap_or_default().as_bytes();
        fingerprint("update_profile", [&account_id[..], &given, name, status])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("profile"))
    }
}

/// Removes the profile of an account, if it has one.
pub(super) fn remove(state: &Applier<'_, '_>, account_id: u64) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM profiles WHERE account_id = ?1")?
        .execute([account_id])?;
    Ok(())
}
