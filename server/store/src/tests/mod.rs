//! Tests of the store against real files in temporary directories.

mod apply;
mod aside;
mod blocks;
mod changes;
mod cleanup;
mod conversations;
mod deletion;
mod direct_messages;
mod early_outcomes;
mod edits;
mod export;
mod feeds;
mod harm;
mod index;
mod levels;
mod log;
mod markers;
mod measure;
mod mentions;
mod message_threads;
mod messages;
mod open;
mod pins;
mod place;
mod plans;
mod presence;
mod profiles;
mod queries;
mod reads;
mod requests;
mod retention;
mod room_changes;
mod rooms;
mod roster;
mod search;
mod seqs;
mod sessions;
mod snapshot;
mod starts;
mod state;
mod state_keys;
mod threads;
mod tokens;
mod trim;
mod unseen;
mod week;
mod window;

use std::{fs, path::Path};

use bytes::Bytes;
use prost::Message as _;
use rusqlite::Connection;
use tempfile::TempDir;
use tercet_core::{
    config::{Config, LoggedConfig, Mode},
    effect::Write,
    epochs::EpochHistory,
    id::{ClusterId, Epoch, Lsn, ReplicaId, StoreId, WriteId},
    log::{Entry, Payload, Recovered},
};
use tercet_proto::log::{
    AcknowledgeMessages, AddReplica, BlockAccount, BlockChanged, ChangePassword, ChangeRoom,
    Checkpoint, CleanUp, Command, CreateAccount, CreateApiToken, CreateRoom, CreateSession,
    DeleteAccount, DeleteMessage, EditMessage, EndOtherSessions, EndSession, FoundRoster,
    InviteToRoom, JoinRoom, LeaveRoom, MarkRead, MarkersMoved, MessagesDropped, MoveReplica,
    PinMessage, Refusal, RemoveExpired, RemoveReplica, Replica, RevokeApiToken, RoleOfMember,
    SendMessage, SendToRoom, SetKeyword, SetLevel, SetReaction, SetRetention, SetState,
    UnblockAccount, UpdateProfile, change::What, change_room::Change, command::Action, outcome,
};

use super::{Applied, OpenOptions, Opened, Readers, StoreError, WriteOp, Writer};
use crate::{
    changes::ChangeRow, command::COMMAND_VERSION, event::Event, levels::Level, rooms::Role,
};
const REPLICA: ReplicaId = ReplicaId(2);
const STORE: StoreId = StoreId(0xabcd);
const EPOCH: Epoch = Epoch {
    number: 1,
    proposer: ReplicaId(1),
};

/// Makes of a store, or of a snapshot, one of schema 3.
const AS_IN_SCHEMA_3: &str = "ALTER TABLE requests RENAME TO ids;
    CREATE TABLE requests (lsn INTEGER PRIMARY KEY, request_id BLOB NOT NULL UNIQUE,
        fingerprint BLOB NOT NULL, outcome BLOB NOT NULL) STRICT;
    INSERT INTO requests SELECT ids.lsn, ids.request_id, coalesce(answers.fingerprint, x'07'),
        coalesce(outcome, x'07') FROM ids LEFT JOIN answers USING (lsn);
    DROP TABLE state;
    DROP TABLE state_totals;
    DROP TABLE retention;
    DROP TABLE history_starts;
    DROP TABLE rooms;
    DROP TABLE members;
    DROP TABLE room_messages;
    DROP TABLE room_index;
    ALTER TABLE identity DROP COLUMN seal;
    DROP TABLE blocks;
    DROP TABLE changes;
    DROP TABLE markers;
    DROP TABLE deleted_messages;
    DROP TABLE room_senders;
    DROP TABLE replies;
    DROP TABLE edits;
    DROP TABLE reactions;
    DROP TABLE direct_parts;
    DROP TABLE pins;
    DROP TABLE earlier_texts;
    DROP TABLE changes_forgotten;
    DROP TABLE hidden_messages;
    DROP TABLE request_marks;
    ALTER TABLE position DROP COLUMN request_clock_ms;
    ALTER TABLE position DROP COLUMN request_floor;
    ALTER TABLE position DROP COLUMN request_floor_ms;
    DROP TABLE cleanups;
    DROP INDEX sessions_by_expiry;
    DROP TABLE profiles;
    DROP TABLE bans;
    DROP TABLE mentions;
    DROP TABLE mention_limits;
    DROP TABLE levels;
    DROP TABLE keywords;
    DROP TABLE api_tokens;
    ALTER TABLE sessions DROP COLUMN label;
    ALTER TABLE sessions DROP COLUMN generation;
    ALTER TABLE users DROP COLUMN session_generation;
    ALTER TABLE position DROP COLUMN command_version;
    DROP TABLE store_use;
    ALTER TABLE position DROP COLUMN settled_lsn;
    DROP TABLE ids;
    DROP TABLE answers;
    DROP INDEX conversations_by_high;
    DROP TABLE indexed;
    DROP TABLE conversation_messages;
    DROP TABLE conversation_counts;
    DROP TABLE hidden_index;
    ALTER TABLE messages DROP COLUMN seq;
    DROP TABLE waiting_messages;
    CREATE INDEX messages_by_conversation ON messages (conversation_id);
    CREATE INDEX messages_waiting ON messages (recipient_id) WHERE delivered = 0;
    CREATE INDEX messages_by_recipient ON messages (recipient_id);
    PRAGMA user_version = 3";

fn options(dir: &Path) -> OpenOptions {
    OpenOptions {
        accept_missing_wal: false,
        dir: dir.to_owned(),
        replica: REPLICA,
        new_store: STORE,
    }
}

fn reopen(dir: &Path) -> Result<Opened, StoreError> {
    super::open(&options(dir))
}

fn refusal(dir: &Path) -> StoreError {
    reopen(dir).err().expect("refused")
}

/// A directory as it would be after a power loss right now: the files, without what closing
/// would do to them.
fn crashed(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in ["tercet.db", "tercet.db-wal"] {
        fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// The database file of a store that is not open, for doing harm to it.
fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join("tercet.db")).unwrap()
}

/// A store that one test drives: it logs and applies at once.
struct TestStore {
    dir: TempDir,
    writer: Writer,
    readers: Readers,
    recovered: Recovered,
    expects_note: bool,
    last: u64,
    /// Counts up, so that each command's request id is its own.
    requests: u128,
    now_ms: i64,
    /// Of the commands that are made.
    version: u32,
}

impl TestStore {
    fn new() -> TestStore {
        let dir = TempDir::new().unwrap();
        let mut opened = reopen(dir.path()).unwrap();
        // Reads find some of the messages by the indexes, some not.
        opened.writer.at.indexed.behind_max = 3;
        TestStore {
            dir,
            writer: opened.writer,
            readers: opened.readers,
            recovered: opened.recovered,
            expects_note: opened.expects_note,
            last: 0,
            requests: 0,
            now_ms: 1_000,
            version: COMMAND_VERSION,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command with a request id that was not used before.
    fn command(&mut self, mut action: Action) -> Command {
        self.requests += 1;
        self.now_ms += 1;
        let now_ms = match &mut action {
            Action::CreateSession(create) => Some(&mut create.made_at_ms),
            Action::EndOtherSessions(end) => Some(&mut end.now_ms),
            Action::ChangePassword(change) => Some(&mut change.now_ms),
            _ => None,
        };
        if let Some(now_ms) = now_ms
            && *now_ms == 0
        {
            *now_ms = self.now_ms;
        }
        Command {
            request_id: request_id(self.requests),
            stamp_ms: self.now_ms,
            version: self.version,
            stamp_ahead_ms: 0,
            action: Some(action),
        }
    }

    fn entries(&mut self, commands: &[Command]) -> Vec<Entry> {
        let entries = entries(self.last + 1, commands);
        self.last += commands.len() as u64;
        entries
    }

    fn apply_all(&mut self, commands: &[Command]) -> Vec<Applied> {
        let entries = self.entries(commands);
        let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
        self.writer.execute(&ops).unwrap().applied
    }

    fn apply(&mut self, command: &Command) -> Applied {
        let mut applied = self.apply_all(std::slice::from_ref(command));
        assert_eq!(applied.len(), 1);
        applied.remove(0)
    }

    fn act(&mut self, action: Action) -> Applied {
        let command = self.command(action);
        self.apply(&command)
    }

    fn register(&mut self, username: &str) -> u64 {
        match result(&self.act(create(username))) {
            outcome::Result::AccountCreated(created) => created.account_id,
            other => panic!("{other:?}"),
        }
    }

    /// Gives the message's id and LSN.
    fn send(&mut self, sender: u64, recipient: &str, body: &str) -> (Bytes, u64) {
        let command = self.command(send(sender, recipient, body));
        match result(&self.apply(&command)) {
            outcome::Result::MessageSent(sent) => (command.request_id, sent.lsn),
            other => panic!("{other:?}"),
        }
    }

    fn acknowledge(&mut self, account_id: u64, ids: &[&Bytes]) -> u64 {
        match result(&self.act(acknowledge(account_id, ids))) {
            outcome::Result::MessagesAcknowledged(acknowledged) => acknowledged.count,
            other => panic!("{other:?}"),
        }
    }

    fn state_hash(&self) -> [u8; 32] {
        let snapshot = super::StateSnapshot::pin(self.path()).unwrap();
        snapshot.hash().unwrap()
    }

    fn waiting(&self, account: u64) -> Vec<String> {
        let rows = self.readers.undelivered(account, 0, 1_000).unwrap();
        rows.into_iter().map(|row| row.body).collect()
    }
}

fn request_id(number: u128) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn entry(lsn: u64, epoch: Epoch, payload: Payload) -> Entry {
    Entry {
        lsn: Lsn(lsn),
        epoch,
        payload,
    }
}

fn entries(first: u64, commands: &[Command]) -> Vec<Entry> {
    (first..)
        .zip(commands)
        .map(|(lsn, command)| entry(lsn, EPOCH, Payload::Command(command.encode_to_vec().into())))
        .collect()
}

fn write(entries: Vec<Entry>) -> Write {
    Write {
        id: WriteId(0),
        promised: None,
        truncate_from: None,
        entries,
    }
}

fn persist(entries: Vec<Entry>) -> WriteOp {
    WriteOp::Persist(write(entries))
}

fn logged_config(lsn: u64, members: &[u32]) -> LoggedConfig {
    LoggedConfig {
        lsn: Lsn(lsn),
        config: config(members),
    }
}

fn config(members: &[u32]) -> Config {
    Config {
        cluster: ClusterId(77),
        mode: Mode::Available,
        members: members
            .iter()
            .map(|id| (ReplicaId(*id), StoreId(u128::from(*id))))
            .collect(),
        dead: Default::default(),
    }
}

fn create(username: &str) -> Action {
    Action::CreateAccount(CreateAccount {
        username: username.to_owned(),
        password_hash: format!("hash of {username}"),
    })
}

fn log_in(account_id: u64, token_hash: u8, expires_at_ms: i64) -> Action {
    log_in_with(account_id, [token_hash; 32], expires_at_ms)
}

fn log_in_with(account_id: u64, token_hash: [u8; 32], expires_at_ms: i64) -> Action {
    Action::CreateSession(CreateSession {
        label: String::new(),
        account_id,
        token_hash: Bytes::copy_from_slice(&token_hash),
        expires_at_ms,
        password_digest: Bytes::new(),
        made_at_ms: 0,
    })
}

fn update_profile(account_id: u64, name: Option<&str>, status: Option<&str>) -> Action {
    Action::UpdateProfile(UpdateProfile {
        account_id,
        display_name: name.map(str::to_owned),
        status_text: status.map(str::to_owned),
    })
}

fn create_token(account_id: u64, name: &str, token_hash: u8) -> Action {
    Action::CreateApiToken(CreateApiToken {
        account_id,
        name: name.to_owned(),
        token_hash: Bytes::copy_from_slice(&[token_hash; 32]),
        scopes: 3,
        valid_days: u32::from(token_hash % 2),
        made_at_ms: 1_000,
    })
}

fn revoke_token(account_id: u64, name: &str) -> Action {
    Action::RevokeApiToken(RevokeApiToken {
        account_id,
        name: name.to_owned(),
    })
}

fn end_others(account_id: u64, token_hash: u8) -> Action {
    Action::EndOtherSessions(EndOtherSessions {
        now_ms: 0,
        account_id,
        token_hash: Bytes::copy_from_slice(&[token_hash; 32]),
    })
}

/// Hashes of passwords, as they are stored.
fn change_password(account_id: u64, token_hash: u8, old: &str, new: &str) -> Action {
    Action::ChangePassword(ChangePassword {
        revoke_api_tokens: false,
        now_ms: 0,
        account_id,
        token_hash: Bytes::copy_from_slice(&[token_hash; 32]),
        password_digest: Bytes::copy_from_slice(&super::password_digest(old)),
        password_hash: new.to_owned(),
    })
}

/// As a leader of command version 1 proposes it by itself.
fn clean_up() -> Command {
    Command {
        request_id: Bytes::new(),
        stamp_ms: 0,
        version: 1,
        stamp_ahead_ms: 0,
        action: Some(Action::CleanUp(CleanUp {})),
    }
}

fn set_retention(retention_ms: i64) -> Action {
    Action::SetRetention(SetRetention { retention_ms })
}

fn remove_expired(room_id: u64) -> Command {
    Command {
        version: 3,
        action: Some(Action::RemoveExpired(RemoveExpired { room_id })),
        ..clean_up()
    }
}

fn log_out(account_id: u64, token_hash: u8) -> Action {
    Action::EndSession(EndSession {
        account_id,
        token_hash: Bytes::copy_from_slice(&[token_hash; 32]),
    })
}

fn delete(account_id: u64) -> Action {
    Action::DeleteAccount(DeleteAccount { account_id })
}

fn send(sender_id: u64, recipient: &str, body: &str) -> Action {
    Action::SendMessage(SendMessage {
        sender_id,
        recipient: recipient.to_owned(),
        body: body.to_owned(),
        instant: false,
        reply_to: 0,
    })
}

fn create_room(account_id: u64, name: &str, is_public: bool) -> Action {
    Action::CreateRoom(CreateRoom {
        account_id,
        name: name.to_owned(),
        topic: String::new(),
        is_public,
        is_announce_only: false,
        is_feed: false,
    })
}

fn join(account_id: u64, room: &str) -> Action {
    Action::JoinRoom(JoinRoom {
        account_id,
        room: room.to_owned(),
    })
}

fn leave(account_id: u64, room: &str) -> Action {
    Action::LeaveRoom(LeaveRoom {
        account_id,
        room: room.to_owned(),
    })
}

fn invite(account_id: u64, room: &str, invited: &str) -> Action {
    Action::InviteToRoom(InviteToRoom {
        account_id,
        room: room.to_owned(),
        invited: invited.to_owned(),
    })
}

fn change_room(account_id: u64, room: &str, change: Change) -> Action {
    Action::ChangeRoom(ChangeRoom {
        account_id,
        room: room.to_owned(),
        change: Some(change),
    })
}

fn kick(account_id: u64, room: &str, other: &str) -> Action {
    change_room(account_id, room, Change::Kick(other.to_owned()))
}

fn ban(account_id: u64, room: &str, other: &str) -> Action {
    change_room(account_id, room, Change::Ban(other.to_owned()))
}

fn unban(account_id: u64, room: &str, other: &str) -> Action {
    change_room(account_id, room, Change::Unban(other.to_owned()))
}

fn promote(account_id: u64, room: &str, other: &str, role: Role) -> Action {
    let change = RoleOfMember {
        username: other.to_owned(),
        role: role as u32,
    };
    change_room(account_id, room, Change::Role(change))
}

fn send_to_room(sender_id: u64, room: &str, body: &str) -> Action {
    Action::SendToRoom(SendToRoom {
        sender_id,
        room: room.to_owned(),
        body: body.to_owned(),
        ..SendToRoom::default()
    })
}

fn send_while_here(sender_id: u64, room: &str, body: &str, here_ids: &[u64]) -> Action {
    Action::SendToRoom(SendToRoom {
        sender_id,
        room: room.to_owned(),
        body: body.to_owned(),
        here_ids: here_ids.to_vec(),
        ..SendToRoom::default()
    })
}

fn reply(sender_id: u64, room: &str, body: &str, reply_to: u64) -> Action {
    Action::SendToRoom(SendToRoom {
        sender_id,
        room: room.to_owned(),
        body: body.to_owned(),
        reply_to,
        ..SendToRoom::default()
    })
}

fn reply_direct(sender_id: u64, recipient: &str, body: &str, reply_to: u64) -> Action {
    Action::SendMessage(SendMessage {
        sender_id,
        recipient: recipient.to_owned(),
        body: body.to_owned(),
        instant: false,
        reply_to,
    })
}

fn edit(account_id: u64, conversation: &str, seq: u64, body: &str) -> Action {
    Action::EditMessage(EditMessage {
        account_id,
        conversation: conversation.to_owned(),
        seq,
        body: body.to_owned(),
    })
}

fn delete_message(account_id: u64, conversation: &str, seq: u64) -> Action {
    Action::DeleteMessage(DeleteMessage {
        account_id,
        conversation: conversation.to_owned(),
        seq,
    })
}

fn react(account_id: u64, conversation: &str, seq: u64, reaction: &str, remove: bool) -> Action {
    Action::SetReaction(SetReaction {
        account_id,
        conversation: conversation.to_owned(),
        seq,
        reaction: reaction.to_owned(),
        remove,
    })
}

fn pin(account_id: u64, conversation: &str, seq: u64, remove: bool) -> Action {
    Action::PinMessage(PinMessage {
        account_id,
        conversation: conversation.into(),
        seq,
        remove,
    })
}

fn mark_read(account_id: u64, conversation: &str, seq: u64) -> Action {
    Action::MarkRead(MarkRead {
        account_id,
        conversation: conversation.to_owned(),
        conversation_id: 0,
        seq,
        unread_from: 0,
    })
}

fn mark_unread(account_id: u64, conversation: &str, unread_from: u64) -> Action {
    Action::MarkRead(MarkRead {
        account_id,
        conversation: conversation.to_owned(),
        conversation_id: 0,
        seq: 0,
        unread_from,
    })
}

/// Expects any version when `expected` is `None`, and removes the key when `value` is.
fn set_level(account_id: u64, conversation: &str, level: Level) -> Action {
    Action::SetLevel(SetLevel {
        account_id,
        conversation: conversation.to_owned(),
        level: level as u32,
    })
}

fn set_keyword(account_id: u64, keyword: &str, remove: bool) -> Action {
    Action::SetKeyword(SetKeyword {
        account_id,
        keyword: keyword.to_owned(),
        folded: keyword.to_lowercase(),
        remove,
    })
}

fn set_state(
    account_id: u64,
    conversation: &str,
    key: &str,
    expected: Option<u64>,
    value: Option<&str>,
) -> Action {
    Action::SetState(SetState {
        account_id,
        conversation: conversation.to_owned(),
        key: key.to_owned(),
        expected_version: expected,
        value: value.map(str::to_owned),
        program_run: None,
    })
}

fn acknowledge(account_id: u64, ids: &[&Bytes]) -> Action {
    Action::AcknowledgeMessages(AcknowledgeMessages {
        account_id,
        message_ids: ids.iter().map(|id| (*id).clone()).collect(),
        lsns: Vec::new(),
    })
}

fn block(account_id: u64, username: &str, refuse: bool) -> Action {
    Action::BlockAccount(BlockAccount {
        account_id,
        username: username.to_owned(),
        refuse,
    })
}

fn unblock(account_id: u64, username: &str) -> Action {
    Action::UnblockAccount(UnblockAccount {
        account_id,
        username: username.to_owned(),
    })
}

/// Replica `id`, at the addresses of that number.
fn replica(id: u32, at: u32) -> Replica {
    Replica {
        replica_id: id,
        address: format!("host:{at}"),
        peer_address: format!("host:{}", at + 1_000),
    }
}

fn found(ids: &[u32]) -> Action {
    Action::FoundRoster(FoundRoster {
        replicas: ids.iter().map(|&id| replica(id, id)).collect(),
    })
}

fn add(id: u32, at: u32) -> Action {
    Action::AddReplica(AddReplica {
        replica: Some(replica(id, at)),
    })
}

fn move_to(id: u32, at: u32) -> Action {
    Action::MoveReplica(MoveReplica {
        replica: Some(replica(id, at)),
    })
}

fn remove(id: u32, replicas_min: u32) -> Action {
    Action::RemoveReplica(RemoveReplica {
        replica_id: id,
        replicas_min,
    })
}

fn checkpoint() -> Command {
    Command {
        request_id: Bytes::new(),
        stamp_ms: 0,
        version: 0,
        stamp_ahead_ms: 0,
        action: Some(Action::Checkpoint(Checkpoint {})),
    }
}

/// The event of a change that concerns one account.
fn change_event(lsn: u64, account_id: u64, what: What) -> Event {
    Event::Change {
        row: ChangeRow { lsn, what }.into(),
        members: [account_id].into(),
    }
}

fn result(applied: &Applied) -> outcome::Result {
    applied.outcome.result.clone().expect("an outcome")
}

fn refused(applied: &Applied) -> Refusal {
    assert_eq!(applied.events, []);
    match result(applied) {
        outcome::Result::Refused(refused) => refused.reason(),
        other => panic!("{other:?}"),
    }
}
