//! SetState: sets, changes or removes one key of the state beside a conversation, if it has the expected version. What a
//! program made of a value is logged as this command, too.

use sha2::{Digest as _, Sha256};
use tercet_proto::{
    log::{Refusal, SetState, StateChanged, StateSet, change, command::Action, outcome},
    v1,
};
use tercet_types::{
    limits::{PROGRAM_ARGUMENT_BYTES_MAX, PROGRAM_ARGUMENTS_MAX, PROGRAM_BYTES_MAX},
    name::{is_of_room, room_name},
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, Request, StoreError, Subject, What,
    blocks::{self, Block},
    direct_messages, fingerprint, name_key, refused, rooms, state_rows,
};
use crate::{
    changes::{self, To},
    fields::{self, BadField},
    queries::conversation_of,
    rooms::Act,
    seqs,
};

/// A checked request.
pub struct NewValue {
    pub request_id: [u8; 16],
    pub conversation: String,
    pub key: String,
    pub expected_version: Option<u64>,
    /// `None` removes the key.
    pub value: Option<String>,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::CompareAndSetRequest) -> Result<NewValue, BadField> {
    Ok(NewValue {
        request_id: fields::request_id(&request.request_id)?,
        conversation: fields::conversation("conversation", &request.conversation)?,
        key: fields::state_key(&request.key)?,
        expected_version: request.expected_version,
        value: request.value.map(fields::state_value).transpose()?,
    })
}

/// A checked submission of a program.
pub struct Submission {
    pub request_id: [u8; 16],
    pub conversation: String,
    pub key: String,
    pub program: String,
    pub arguments: Vec<String>,
    /// SHA-256 over the program and the arguments.
    pub digest: [u8; 32],
}

/// Checks a request to submit a program.
///
/// # Errors
/// When a field is rejected.
pub fn validate_submission(request: v1::SubmitRequest) -> Result<Submission, BadField> {
    let v1::SubmitRequest {
        program, arguments, ..
    } = request;
    if program.is_empty() || program.len() > PROGRAM_BYTES_MAX {
        let what = format!("must have 1 to {PROGRAM_BYTES_MAX} bytes");
        return Err(fields::bad("program", "INVALID_PROGRAM", what));
    }
    let too_long = |argument: &String| argument.len() > PROGRAM_ARGUMENT_BYTES_MAX;
    if arguments.len() > PROGRAM_ARGUMENTS_MAX || arguments.iter().any(too_long) {
        let what = format!(
            "at most {PROGRAM_ARGUMENTS_MAX} are allowed, of at most {PROGRAM_ARGUMENT_BYTES_MAX} bytes each"
        );
        return Err(fields::bad("arguments", "INVALID_ARGUMENTS", what));
    }
    let mut digest = Sha256::new();
    for part in std::iter::once(&program).chain(&arguments) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Ok(Submission {
        request_id: fields::request_id(&request.request_id)?,
        conversation: fields::conversation("conversation", &request.conversation)?,
        key: fields::state_key(&request.key)?,
        program,
        arguments,
        digest: digest.finalize().into(),
    })
}

impl Request for SetState {
    type Outcome = Box<StateSet>;

    fn into_action(self) -> Action {
        Action::SetState(self)
    }

    fn subject(&self) -> Subject {
        Subject::of_conversation(&self.conversation)
    }

    fn outcome(result: outcome::Result) -> Option<Box<StateSet>> {
        match result {
            outcome::Result::StateSet(set) => Some(set),
            _ => None,
        }
    }
}

/// The conversation whose state is changed.
enum Place {
    Room(u64),
    Direct {
        /// `None` while the two have no conversation.
        id: Option<u64>,
        other: Living,
    },
}

impl Command for SetState {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let place = match find(state, &account, &self.conversation)? {
            Ok(place) => place,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let id = match place {
            Place::Room(id) => Some(id),
            Place::Direct { id, .. } => id,
        };
        let before = match id {
            Some(id) => state_rows::find(state, id, &self.key)?,
            None => None,
        };
        let version = before.map_or(0, |(version, _)| version);
        if self
            .expected_version
            .is_some_and(|wanted| wanted != version)
        {
            return mismatch(state, self, id.unwrap_or(0), version);
        }
        let answer = self.program_run.as_ref();
        let mut set = StateSet {
            matched: true,
            version,
            lsn: 0,
            conversation_id: id.unwrap_or(0),
            current: None,
            answer: answer.map_or_else(String::new, |run| run.answer.clone()),
        };
        let removes_nothing = self.value.is_none() && before.is_none();
        if removes_nothing || answer.is_some_and(|run| run.unchanged) {
            return Ok(outcome::Result::StateSet(Box::new(set)));
        }
        let id = match &place {
            Place::Room(id) => *id,
            Place::Direct { other, .. } => seqs::conversation(state, account.id, other.id)?,
        };
        let after = self.value.as_ref();
        let after = after.map(|value| (self.key.len() + value.len()) as u64);
        let before = before.map(|(_, bytes)| bytes);
        if let Err(refusal) = state_rows::count(state, id, before, after)? {
            return Ok(refused(refusal));
        }
        state_rows::write(state, id, &self.key, self.value.as_deref(), account.id)?;
        set.conversation_id = id;
        set.lsn = state.lsn;
        set.version = match self.value {
            Some(_) => state.lsn,
            None => 0,
        };
        let change = StateChanged {
            conversation_id: id,
            key: self.key.clone(),
            version: set.version,
        };
        let what = change::What::StateChanged(change);
        match &place {
            Place::Room(id) => changes::record(state, To::Room(*id), what)?,
            Place::Direct { other, .. } => {
                let ids = direct_messages::audience(state, account.id, other.id, false)?;
                changes::record(state, To::Accounts(&ids), what)?;
            }
        }
        Ok(outcome::Result::StateSet(Box::new(set)))
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        let conversation = name_key(&self.conversation);
        let place = [
            &account_id[..],
            conversation.as_bytes(),
            self.key.as_bytes(),
        ];
        if let Some(run) = &self.program_run {
            return fingerprint("submit", place.into_iter().chain([&run.digest[..]]));
        }
        let given = [
            u8::from(self.expected_version.is_some()),
            u8::from(self.value.is_some()),
        ];
        let expected = self.expected_version.unwrap_or(0).to_be_bytes();
        let value = self.value.as_deref().unwrap_or_default().as_bytes();
        let asked = [&given[..], &expected, value];
        fingerprint("set_state", place.into_iter().chain(asked))
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("state"))
    }
}

/// Gives the outcome for a key that has another version than the expected one.
fn mismatch(
    state: &mut Applier<'_, '_>,
    command: &SetState,
    conversation_id: u64,
    version: u64,
) -> Applying {
    // A program runs again with the newer value.
    let is_run = command.program_run.is_some();
    state.effects.forgets_request = is_run;
    let current = match version {
        0 => None,
        _ if is_run => None,
        _ => Some(state_rows::read(state, conversation_id, &command.key)?),
    };
    Ok(outcome::Result::StateSet(Box::new(StateSet {
        matched: false,
        version,
        conversation_id,
        current,
        ..StateSet::default()
    })))
}

/// Finds the conversation of that name in which an account wants to write, or why it may not.
fn find(
    state: &mut Applier<'_, '_>,
    account: &Living,
    conversation: &str,
) -> Result<Result<Place, Refusal>, StoreError> {
    if is_of_room(conversation) {
        let name = room_name(conversation).unwrap_or_default();
        let permitted = rooms::permit(state, name, account.id, Act::WriteState)?;
        return Ok(permitted.map(|(id, _)| Place::Room(id)));
    }
    let Some(other) = state.living_by_name(conversation)? else {
        return Ok(Err(Refusal::UnknownAccount));
    };
    if blocks::find(state, other.id, account.id)? == Some(Block::Refuse) {
        return Ok(Err(Refusal::UnknownAccount));
    }
    let id = conversation_of(state.connection, account.id, other.id)?;
    Ok(Ok(Place::Direct { id, other }))
}
