//! Calls about the state beside conversations: reading, listing, compare-and-set, and submitting programs.

use bytes::Bytes;
use tercet_core::id::Lsn;
use tercet_proto::{log, v1};
use tercet_store::{
    commands::{
        Request as _,
        set_state::{self, NewValue, Submission},
    },
    fields, name_key,
    queries::{
        ListState, NoConversation, PageLimit, ProgramStart, StateAt, StateOf, StateRow,
        ValueForProgram,
    },
};
use tercet_types::{fair::Key, limits::PAGE_STATE_MAX, name::is_of_room};

use super::{
    caller::Caller,
    chat::{self, Chat},
    page,
    status::Failure,
};
use crate::{
    auth::Session,
    programs::{NotRun, Program},
    reply::Unavailability,
};

/// Keys on a page unless the request says how many.
const PAGE_DEFAULT: usize = 100;
/// Bytes of keys and values on a page, beyond its first key.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Runs of a program whose key is changed by others meanwhile.
const RUNS_MAX: usize = 16;

impl Chat {
    pub(super) async fn do_get_state(
        &self,
        caller: &Caller,
        request: v1::GetStateRequest,
    ) -> Result<v1::GetStateResponse, Failure> {
        let conversation = fields::conversation("conversation", &request.conversation)?;
        let key = fields::state_key(&request.key)?;
        let (permit, session) = self.permit(caller).await?;
        let query = StateOf {
            account_id: session.account_id,
            conversation,
            key,
        };
        let turn = Key::account(session.account_id);
        let found = self.read_under(permit, turn, query).await?;
        let found = found.map_err(Failure::of_no_conversation)?;
        let (conversation_id, row) = found.ok_or(Failure::UnknownKey(request.key))?;
        Ok(v1::GetStateResponse {
            entry: Some(entry(row)),
            conversation_id,
        })
    }

    pub(super) async fn do_list_state(
        &self,
        caller: &Caller,
        request: v1::ListStateRequest,
    ) -> Result<v1::ListStateResponse, Failure> {
        let conversation = fields::conversation("conversation", &request.conversation)?;
        let prefix = fields::state_prefix(&request.prefix)?;
        let rows = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_STATE_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::State {
            account_id,
            conversation: &conversation,
            prefix: &prefix,
        };
        let query = ListState {
            account_id,
            conversation: conversation.clone(),
            prefix: prefix.clone(),
            after: of_token.name(&request.page_token)?,
            limit: PageLimit {
                rows,
                bytes: PAGE_BYTES_MAX,
            },
        };
        let turn = Key::account(account_id);
        let found = self.read_under(permit, turn, query).await?;
        let found = found.map_err(Failure::of_no_conversation)?;
        let next_page_token = page::next(&found.page, |last| of_token.after_name(&last.key));
        Ok(v1::ListStateResponse {
            entries: found.page.rows.into_iter().map(entry).collect(),
            next_page_token,
            conversation_id: found.conversation_id,
        })
    }

    pub(super) async fn do_compare_and_set(
        &self,
        caller: &Caller,
        request: v1::CompareAndSetRequest,
    ) -> Result<v1::CompareAndSetResponse, Failure> {
        let NewValue {
            request_id,
            conversation,
            key,
            expected_version,
            value,
        } = set_state::validate(request)?;
        let account_id = self.session(caller).await?.account_id;
        let command = log::SetState {
            account_id,
            conversation,
            key: key.clone(),
            expected_version,
            value,
            program_run: None,
        };
        let done = self
            .submit(Key::account(account_id), request_id, command)
            .await?;
        Ok(v1::CompareAndSetResponse {
            matched: done.matched,
            version: done.version,
            cursor: done.lsn,
            conversation_id: done.conversation_id,
            current: done.current.map(|current| v1::StateEntry {
                key,
                version: current.version,
                value: current.value,
                changed_at_ms: current.changed_at_ms,
                changed_by: current.changed_by,
            }),
        })
    }
}

impl Chat {
    pub(super) async fn do_submit(
        &self,
        caller: &Caller,
        request: v1::SubmitRequest,
    ) -> Result<v1::SubmitResponse, Failure> {
        let submission = set_state::validate_submission(request)?;
        let session = self.session(caller).await?;
        let place = place(&session, &submission);
        let _turn = self.programs.turn(place).await?;
        for _ in 0..RUNS_MAX {
            let done = self.run_once(&session, &submission).await?;
            if done.matched {
                return Ok(v1::SubmitResponse {
                    answer: done.answer,
                    version: done.version,
                    cursor: done.lsn,
                    conversation_id: done.conversation_id,
                });
            }
        }
        Err(Unavailability::Busy.into())
    }

    /// Runs a program on the value as it is, and proposes what it made of it. Gives the answer to an earlier attempt, if
    /// there is one.
    async fn run_once(
        &self,
        session: &Session,
        submission: &Submission,
    ) -> Result<Box<log::StateSet>, Failure> {
        let account_id = session.account_id;
        let turn = Key::account(account_id);
        let mut command = log::SetState {
            account_id,
            conversation: submission.conversation.clone(),
            key: submission.key.clone(),
            expected_version: None,
            value: None,
            program_run: Some(log::ProgramRun {
                digest: Bytes::copy_from_slice(&submission.digest),
                ..log::ProgramRun::default()
            }),
        };
        let query = ValueForProgram {
            request_id: submission.request_id,
            command: command.clone(),
        };
        let input = self.read(turn, query).await?;
        let (version, value) = match input.map_err(Failure::of_no_conversation)? {
            ProgramStart::Answered(outcome) => {
                let subject = command.subject();
                return chat::done::<log::SetState>(Ok((Lsn::ZERO, outcome)), subject);
            }
            ProgramStart::Value(version, value) => (version, value),
        };
        let program = Program {
            text: submission.program.clone(),
            arguments: submission.arguments.clone(),
            caller: session.username.to_string(),
            value: value.clone(),
        };
        let run = self.programs.run(turn, program).await??;
        command.expected_version = Some(version);
        command.program_run = Some(log::ProgramRun {
            digest: Bytes::copy_from_slice(&submission.digest),
            answer: run.answer,
            unchanged: run.value == value,
        });
        command.value = run.value;
        self.submit(turn, submission.request_id, command).await
    }

    /// Adds to an event what is read when it is delivered: the name of the conversation, and the key. Tells whether the
    /// account reads the conversation.
    pub(super) async fn add_value(
        &self,
        account_id: u64,
        changed: &mut v1::StateChanged,
    ) -> Result<bool, Failure> {
        let query = StateAt {
            account_id,
            conversation_id: changed.conversation_id,
            key: changed.key.clone(),
        };
        let found = self.read(Key::account(account_id), query).await?;
        let Some((name, row)) = found else {
            return Ok(false);
        };
        changed.conversation = name;
        changed.entry = row.map(entry);
        Ok(true)
    }
}

impl From<NotRun> for Failure {
    fn from(error: NotRun) -> Self {
        match error {
            NotRun::Busy => Failure::Unavailable(Unavailability::Busy),
            NotRun::Broken => Failure::Internal(error.to_string()),
        }
    }
}

impl Failure {
    /// Makes the failure for a read of the state of a conversation.
    fn of_no_conversation(why: NoConversation) -> Failure {
        match why {
            NoConversation::Room(denied, room) => Failure::of_denied(denied, room),
            NoConversation::UnknownAccount(name) => Failure::UnknownAccount(name),
        }
    }
}

fn entry(row: StateRow) -> v1::StateEntry {
    v1::StateEntry {
        key: row.key,
        version: row.version,
        value: row.value,
        changed_at_ms: row.changed_at_ms,
        changed_by: row.changed_by,
    }
}

/// Names the key of a submission, the same for both accounts of a direct conversation.
fn place(session: &Session, submission: &Submission) -> String {
    let key = &submission.key;
    let conversation = name_key(&submission.conversation);
    if is_of_room(&conversation) {
        return format!("{conversation} {key}");
    }
    let mut pair = [name_key(&session.username), conversation];
    pair.sort_unstable();
    format!("{} {} {key}", pair[0], pair[1])
}
