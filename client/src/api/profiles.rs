//! The calls about what accounts show of themselves.

use tercet_proto::v1::{GetProfileRequest, UpdateProfileRequest};

use super::types::FromWire as _;
use super::{Account, Client, Error, ProfileChange};

impl Client {
    /// Returns what the account of that name shows of itself; the own account for the empty name.
    ///
    /// # Errors
    /// `UNKNOWN_ACCOUNT`; `INVALID_USERNAME`; no leader until the deadline.
    pub async fn profile(&self, username: &str) -> Result<Account, Error> {
        let request = GetProfileRequest {
            username: username.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(answer.account.map(Account::from_wire).unwrap_or_default())
    }

    /// Changes what this client's account shows of itself.
    ///
    /// # Errors
    /// `INVALID_DISPLAY_NAME`; `INVALID_STATUS_TEXT`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the
    /// deadline.
    pub async fn update_profile(&self, change: ProfileChange) -> Result<(), Error> {
        let make = |request_id| UpdateProfileRequest {
            request_id,
            display_name: change.display_name.clone(),
            status_text: change.status_text.clone(),
        };
        self.call_with_new_id(make).await?;
        Ok(())
    }
}
