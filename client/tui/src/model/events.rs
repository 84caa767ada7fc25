//! The events and the effects of the chat, as plain values.
//!
//! Knows nothing of the model, which turns the ones into the others, and of the worker, which carries effects out.

use tercet_client::{
    Conversation as Listed, HistoryPage, Message, NotificationLevel, PresenceState, ProfileChange,
    RoomEdit, SentMessage,
};

use crate::conversation::Member;
use crate::key::Key;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    Key(Key),
    /// The terminal pasted a text.
    Paste(String),
    Resize {
        columns: u16,
        rows: u16,
    },
    /// The terminal got the focus, or lost it.
    Focus(bool),
    /// The mouse wheel moved: lines up, or down if negative.
    Wheel(i32),
    /// Time passed.
    Tick,
    /// The model is drawn next: what is on the screen is seen by a person who looks at it.
    Frame,
    /// The person left the editor with this text.
    Edited(Result<String, String>),
    Net(Net),
}

/// Something that the worker reports.
#[derive(Debug, Clone)]
pub enum Net {
    /// Nobody is logged in: the form is needed. `is_empty` says that the cluster has no accounts yet.
    NeedsLogin {
        name: String,
        is_empty: bool,
        why: String,
    },
    /// The form's answer was refused; `why` is for the person.
    LoginFailed {
        why: String,
    },
    /// A session is open. `is_new` says that the person has just logged in or registered.
    LoggedIn {
        name: String,
        is_new: bool,
    },
    /// The subscription is open at this replica.
    Connected {
        replica: u32,
        resumed: bool,
        cursor: u64,
    },
    /// The connection is lost, or still lost.
    Lost {
        why: String,
    },
    /// The session ended and cannot be resumed.
    Over {
        why: String,
    },
    /// Messages up to this cursor may be missing: load what is open anew.
    Gap {
        cursor: u64,
    },
    Cluster(ClusterState),
    /// A message came.
    Message(Box<Message>),
    /// A message has another text, or was deleted, by the event with this cursor.
    Changed {
        cursor: u64,
        message: Box<Message>,
    },
    /// A message got a reaction, or lost one.
    Reacted {
        cursor: u64,
        name: String,
        seq: u64,
        username: String,
        reaction: String,
        removed: bool,
        count: u32,
    },
    /// A change of a message was carried out, or not.
    Change {
        name: String,
        seq: u64,
        result: Result<(), String>,
    },
    /// Messages that waited for this account.
    Waiting(Vec<Message>),
    /// The conversations as of this cursor.
    Conversations {
        listed: Vec<Listed>,
        cursor: u64,
    },
    /// An account has read up to a message: this one, perhaps on another device, or the other one of a direct
    /// conversation.
    Read {
        cursor: u64,
        name: String,
        username: String,
        seq: u64,
    },
    /// A marker was moved to a message by the event with this cursor (0: by none), or not.
    Marked {
        name: String,
        result: Result<(u64, u64), String>,
    },
    /// An account came, went, or is away.
    Presence {
        name: String,
        state: PresenceState,
    },
    /// An account is writing in a conversation.
    Writing {
        conversation: String,
        name: String,
        shown_ms: u32,
    },
    /// The person wants to be notified of something else in a conversation.
    Level {
        name: String,
        level: NotificationLevel,
    },
    Keywords(Vec<String>),
    /// The names of accounts, and of the rooms that the person may join.
    People {
        names: Vec<String>,
        rooms: Vec<String>,
    },
    /// A page of a conversation.
    Page {
        name: String,
        is_older: bool,
        page: Result<HistoryPage, String>,
    },
    /// The newest messages of a conversation, for what has changed.
    Newest {
        name: String,
        messages: Vec<Message>,
    },
    /// A message and its replies.
    Thread {
        name: String,
        seq: u64,
        messages: Result<Vec<Message>, String>,
    },
    Members {
        room: String,
        members: Vec<Member>,
    },
    Sent {
        id: String,
        to: String,
        result: Result<SentMessage, SendFailure>,
    },
    /// A request was carried out or refused; the text tells which.
    Done(Result<String, String>),
    /// A list that was asked for.
    Listing {
        title: String,
        rows: Vec<(String, Choice)>,
    },
    /// A conversation to open, as after joining a room.
    Open(String),
    /// The room was left.
    Left(String),
}

/// The reason why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    pub why: String,
    /// Whether the message may have been stored all the same.
    pub is_unknown: bool,
}

/// The effect of choosing a row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Nothing,
    Open(String),
    Join(String),
    /// Put the text into the input.
    Insert(String),
    /// Show a message in its conversation, by its cursor.
    Message {
        name: String,
        cursor: u64,
    },
    /// Do something.
    Do(Effect),
}

/// The state of the cluster, as its leader reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    pub leader: u32,
    pub mode: String,
    pub replicas: Vec<ReplicaState>,
}

/// The state of one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaState {
    pub id: u32,
    pub address: String,
    /// A word: leader, backup, …
    pub role: String,
    pub is_member: bool,
    /// The LSN up to which it has the log.
    pub lsn: u64,
    /// The number of entries that it is behind the leader.
    pub lag: u64,
}

impl ClusterState {
    /// Returns how many replicas are in step.
    #[must_use]
    pub fn members(&self) -> usize {
        self.replicas.iter().filter(|one| one.is_member).count()
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Quit,
    /// Stop the process until the shell continues it.
    Suspend,
    /// Draw the whole screen anew.
    Repaint,
    /// Open an editor on this text.
    OpenEditor(String),
    Bell,
    /// Copy a text to the clipboard of the terminal.
    Copy(String),
    /// Open a link with the desktop, or copy it where there is none.
    OpenLink(String),
    /// Load a message of a conversation and its replies.
    Thread {
        name: String,
        seq: u64,
    },
    /// Show a notification of the terminal.
    Notify {
        title: String,
        body: String,
    },
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Write the cache soon.
    Save,
    Login {
        name: String,
        password: String,
    },
    Register {
        name: String,
        password: String,
    },
    /// End the session, and remove everything of it from this machine.
    Logout,
    Send {
        id: String,
        to: String,
        text: String,
        /// The number of the message that it replies to; 0 for none.
        reply_to: u64,
    },
    /// Give an own message another text.
    Edit {
        to: String,
        seq: u64,
        text: String,
    },
    /// Erase the text of a message.
    Delete {
        to: String,
        seq: u64,
    },
    /// Add a reaction of the person, or remove it.
    React {
        to: String,
        seq: u64,
        reaction: String,
        remove: bool,
    },
    /// Load the newest messages of a direct conversation again: whether they were received.
    Newest(String),
    /// Pin a message, or take its pin back.
    Pin {
        to: String,
        seq: u64,
        remove: bool,
    },
    /// List the earlier texts of a message.
    Edits {
        name: String,
        seq: u64,
    },
    /// List the pinned messages of a conversation.
    Pins(String),
    History {
        name: String,
        token: Option<String>,
    },
    Acknowledge(Vec<String>),
    /// Ask for the list of conversations.
    Conversations,
    /// Mark the messages up to this one as read, on all devices.
    MarkRead {
        name: String,
        seq: u64,
    },
    /// Mark this message and all later ones as unread.
    MarkUnread {
        name: String,
        seq: u64,
    },
    Members(String),
    People,
    Who(String),
    Rooms(String),
    /// List the keys of the state of a conversation that begin so, or set one.
    State {
        name: String,
        key: String,
        value: Option<String>,
    },
    /// Find messages in all conversations.
    Search(String),
    /// List the messages that mention the person.
    Mentions,
    /// Ask which accounts are connected.
    Presence(Vec<String>),
    /// Tell the others of a conversation that the person is writing.
    Typing(String),
    /// Set what the person wants to be notified of in a conversation.
    Level {
        name: String,
        level: NotificationLevel,
    },
    /// Ask for the keywords, to know them or to show them.
    Keywords {
        is_shown: bool,
    },
    /// Add a keyword, or remove it.
    Keyword {
        word: String,
        remove: bool,
    },
    Blocks,
    Sessions,
    EndSession(String),
    Create {
        name: String,
        topic: String,
        is_private: bool,
    },
    Join {
        name: String,
        may_create: bool,
    },
    Leave(String),
    Invite {
        room: String,
        name: String,
    },
    ChangeRoom {
        room: String,
        edit: RoomEdit,
    },
    Bans(String),
    /// Show what an account shows of itself; the own for the empty name.
    Profile(String),
    SetProfile(ProfileChange),
    /// Write the data of the account into a file, or that of a room.
    Export {
        room: Option<String>,
        file: String,
    },
    Block {
        name: String,
        refuse: bool,
    },
    Unblock(String),
    /// Ask for the state of the cluster often, or seldom.
    WatchCluster(bool),
}
