//! The inputs and the actions of a line-mode chat, as plain values.
//!
//! Knows nothing of the state in `app`, which turns the one into the other.

use tercet_client::{Account, Event, Hit, Message, SentMessage};

/// An input is an event that the chat must react to.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The user typed a line; its line ending is removed. A line with line endings inside was
    /// pasted, and is text, never a command.
    Line(String),
    /// The reader rejected a line; the text is the reason.
    BadLine(String),
    /// Standard input ended: no more lines will come.
    NoMoreLines,
    /// The subscription delivered an event.
    Event(Event),
    /// The server returned a page of waiting messages; `last` is true on the last page.
    Waiting { messages: Vec<Message>, last: bool },
    /// The server answered [`Action::Send`].
    Sent {
        to: String,
        body: String,
        result: Result<SentMessage, String>,
    },
    /// The server answered [`Action::Who`]; `more` is true if accounts were left out.
    Accounts {
        result: Result<Vec<Account>, String>,
        more: bool,
    },
    /// The server answered [`Action::History`].
    History {
        peer: String,
        result: Result<Vec<Message>, String>,
    },
    /// The server answered [`Action::Search`], the newest hit first; `more` is true if some were left out.
    Found {
        result: Result<Vec<Hit>, String>,
        more: bool,
    },
    /// The server answered [`Action::Block`]: a notice, or why it refused.
    BlockAnswered(Result<String, String>),
    /// The server answered [`Action::Change`]: why it refused.
    Changed(Result<(), String>),
    /// The server answered [`Action::Acknowledge`].
    Acknowledged(Result<(), String>),
    /// The client has no connection yet and goes on trying; the text is the last error.
    StillLost(String),
    /// The session ended and cannot be resumed; the text is the reason.
    Over(String),
}

/// An action is one thing that the worker must do.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few actions exist at a time")]
pub enum Action {
    /// Write a message or an answer to stdout.
    Show(Shown),
    /// Write a notice about the state of the chat to stderr.
    Notice(String),
    /// Write the failure of a request to stderr.
    Failed(String),
    Send {
        to: String,
        body: String,
    },
    /// Fetch the messages that wait for this account, page by page.
    FetchWaiting,
    Who(String),
    History(String),
    Search(String),
    /// Block the account of that name, or unblock it.
    Block {
        name: String,
        block: bool,
    },
    /// Change a message in the conversation with an account, or of a room.
    Change {
        to: String,
        seq: u64,
        change: Change,
    },
    Acknowledge(Vec<String>),
    Quit,
}

/// A change of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Edit(String),
    Delete,
    React(String),
}

/// A shown item is one message, account or text on the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// The account received this message.
    Received(Message),
    /// The server accepted this message of the account.
    Sent(Message),
    /// A history contains this message; `mine` is true if the account sent it.
    Past {
        message: Message,
        mine: bool,
    },
    /// A search found this message.
    Found(Hit),
    Account(Account),
    Text(&'static str),
}
