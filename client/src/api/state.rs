//! The calls about the state beside conversations.

use tercet_proto::v1::{CompareAndSetRequest, GetStateRequest, ListStateRequest, SubmitRequest};

use super::types::FromWire as _;
use super::{Client, Error, Expected, StateEntry, StatePage, Submitted, Written};

impl Client {
    /// Reads one key of a conversation; `None` when it does not exist. `conversation` is the name of a room with its `#`,
    /// or that of the other account of a direct conversation; the own name means notes to oneself.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `UNKNOWN_ACCOUNT`; `INVALID_KEY`; no leader until the deadline.
    pub async fn get(&self, conversation: &str, key: &str) -> Result<Option<StateEntry>, Error> {
        let request = GetStateRequest {
            conversation: conversation.to_owned(),
            key: key.to_owned(),
        };
        match self.call(None, request).await {
            Ok(answer) => Ok(answer.entry.map(StateEntry::from_wire)),
            Err(error) if error.reason() == "UNKNOWN_KEY" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists one page of the keys of a conversation that begin with `prefix`, in order of their bytes. `page_size` 0 means
    /// 100; above 1,000 is 1,000. `page_token` is empty for the first page.
    ///
    /// # Errors
    /// As [`Client::get`]; `INVALID_PREFIX`; `WRONG_PAGE_TOKEN`.
    pub async fn list_state(
        &self,
        conversation: &str,
        prefix: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<StatePage, Error> {
        let request = ListStateRequest {
            conversation: conversation.to_owned(),
            prefix: prefix.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(StatePage::from_wire(answer))
    }

    /// Sets a key, whatever its version.
    ///
    /// # Errors
    /// As [`Client::compare_and_set`].
    pub async fn put(&self, conversation: &str, key: &str, value: &str) -> Result<Written, Error> {
        self.compare_and_set(conversation, key, Expected::Any, Some(value))
            .await
    }

    /// Sets a key, or removes it when `value` is `None`, if it has the expected version. [`Written::matched`] tells
    /// whether it had; a mismatch is no error.
    ///
    /// # Errors
    /// `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `ROLE_MAY_NOT`; `UNKNOWN_ACCOUNT`; `INVALID_KEY`; `INVALID_VALUE`;
    /// `TOO_MANY_KEYS`; `STATE_FULL`; `OLDER_REPLICAS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn compare_and_set(
        &self,
        conversation: &str,
        key: &str,
        expected: Expected,
        value: Option<&str>,
    ) -> Result<Written, Error> {
        let make = |request_id| CompareAndSetRequest {
            request_id,
            conversation: conversation.to_owned(),
            key: key.to_owned(),
            expected_version: match expected {
                Expected::Any => None,
                Expected::Absent => Some(0),
                Expected::Version(version) => Some(version),
            },
            value: value.map(str::to_owned),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(Written::from_wire(answer))
    }

    /// Runs a small program beside a key, on the leader, and sets the key to what the program makes of the value. It runs on
    /// the value as it is, is applied once, and gives its answer. `docs/state.md` has examples.
    ///
    /// # Errors
    /// As [`Client::compare_and_set`]; `INVALID_PROGRAM`; `INVALID_ARGUMENTS`; `PROGRAM_FAILED`; `PROGRAM_LIMIT`.
    pub async fn submit_to_key(
        &self,
        conversation: &str,
        key: &str,
        program: &str,
        arguments: &[&str],
    ) -> Result<Submitted, Error> {
        let make = |request_id| SubmitRequest {
            request_id,
            conversation: conversation.to_owned(),
            key: key.to_owned(),
            program: program.to_owned(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(Submitted::from_wire(answer))
    }
}
