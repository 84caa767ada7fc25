//! Calls about what accounts show of themselves.

use tercet_proto::{log, v1};
use tercet_store::{
    commands::update_profile::{self, NewProfile},
    fields,
    queries::{ProfileOf, ProfileRow},
};
use tercet_types::fair::Key;

use super::{caller::Caller, chat::Chat, status::Failure};

impl Chat {
    pub(super) async fn do_get_profile(
        &self,
        caller: &Caller,
        request: v1::GetProfileRequest,
    ) -> Result<v1::GetProfileResponse, Failure> {
        let named = match request.username.as_str() {
            "" => None,
            name => Some(fields::username("username", name)?),
        };
        let (permit, session) = self.permit(caller).await?;
        let id = session.account_id;
        let query = named.clone().map_or(ProfileOf::Id(id), ProfileOf::Name);
        let found = self.read_under(permit, Key::account(id), query).await?;
        let profile = found.ok_or_else(|| match named {
            Some(name) => Failure::UnknownAccount(name),
            None => Failure::AccountGone,
        })?;
        Ok(v1::GetProfileResponse {
            account: Some(account(profile)),
        })
    }

    pub(super) async fn do_update_profile(
        &self,
        caller: &Caller,
        request: v1::UpdateProfileRequest,
    ) -> Result<v1::UpdateProfileResponse, Failure> {
        let NewProfile {
            request_id,
            display_name,
            status_text,
        } = update_profile::validate(request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::UpdateProfile {
            account_id,
            display_name,
            status_text,
        };
        let key = Key::account(account_id);
        self.submit(key, request_id, command).await?;
        Ok(v1::UpdateProfileResponse {})
    }
}

/// An account as clients see it.
pub(super) fn account(row: ProfileRow) -> v1::Account {
    v1::Account {
        username: row.username,
        account_id: row.account_id,
        created_at_ms: row.created_at_ms,
        display_name: row.display_name,
        status_text: row.status_text,
    }
}
