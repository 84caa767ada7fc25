//! A line of a conversation: a message, what became of it, and what the system tells. Knows nothing of conversations.

use serde::{Deserialize, Serialize};
use tercet_client::{Message, MessageKind};

/// The mark of a message of the reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// A message of somebody else, or of the system.
    #[default]
    None,
    /// The message is on its way.
    Sending,
    /// The cluster has stored the message.
    Sent,
    /// The recipient's client has the message.
    Delivered,
    /// The cluster refused the message, or it is not known whether it took it; the text is the reason.
    Failed { why: String, is_unknown: bool },
}

/// A reaction to a message, of all who have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reaction {
    pub text: String,
    pub count: u32,
    /// Whether the reader is one of them.
    pub is_mine: bool,
}

/// One line of a conversation: a message, or a message of the system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The request id of a message, a UUID in text form; empty in messages of the system.
    pub id: String,
    /// The position in the one order of all messages; 0 until the cluster has given it.
    pub cursor: u64,
    /// The number in the conversation; 0 until the cluster has given it.
    #[serde(default)]
    pub seq: u64,
    pub sender: String,
    pub text: String,
    pub at_ms: i64,
    #[serde(default)]
    pub mark: Mark,
    #[serde(default)]
    pub is_mine: bool,
    /// Whether the text tells of a change of the room.
    #[serde(default)]
    pub is_system: bool,
    /// The number of the message that this one replies to; 0 for none.
    #[serde(default)]
    pub reply_to: u64,
    #[serde(default)]
    pub is_edited: bool,
    #[serde(default)]
    pub is_deleted: bool,
    #[serde(default)]
    pub reactions: Vec<Reaction>,
    /// Whether the cluster says that the text mentions the reader.
    #[serde(default)]
    pub mentions_me: bool,
    /// Whether a change by the reader is on its way.
    #[serde(skip)]
    pub is_changing: bool,
}

impl Item {
    /// Tells whether it is a text of somebody that is still there.
    #[must_use]
    pub fn is_text(&self) -> bool {
        !self.is_system && !self.is_deleted
    }

    /// Takes over what a change can change.
    pub fn change(&mut self, new: Item) {
        // An event is the same for all who get it: it does not tell which reactions are the reader's.
        let mut reactions = new.reactions;
        for one in &mut reactions {
            let mut old = self.reactions.iter();
            one.is_mine |= old.any(|old| old.is_mine && old.text == one.text);
        }
        self.text = new.text;
        self.mentions_me = new.mentions_me;
        self.is_edited = new.is_edited;
        self.is_deleted = new.is_deleted;
        self.reactions = reactions;
        self.is_changing = false;
    }

    /// Takes over the number of accounts with a reaction. `mine` tells whether the reader has it, if the reader changed.
    pub fn react(&mut self, text: &str, count: u32, mine: Option<bool>) {
        let place = self
            .reactions
            .binary_search_by(|one| one.text.as_str().cmp(text));
        match place {
            Ok(at) if count == 0 => _ = self.reactions.remove(at),
            Ok(at) => {
                let old = &mut self.reactions[at];
                old.count = count;
                old.is_mine = mine.unwrap_or(old.is_mine);
            }
            Err(_) if count == 0 => {}
            Err(at) => self.reactions.insert(
                at,
                Reaction {
                    text: text.to_owned(),
                    count,
                    is_mine: mine.unwrap_or(false),
                },
            ),
        }
        self.is_changing = false;
    }
}

/// Makes a line of a message.
#[must_use]
pub fn item_of(message: Message, me: &str) -> Item {
    let is_mine = message.sender.eq_ignore_ascii_case(me);
    let is_direct = message.conversation_id == 0;
    let is_system = message.kind != MessageKind::Text;
    // The line shows what was pinned, as a reply shows what it answers.
    let pinned = match message.kind {
        MessageKind::Pinned | MessageKind::Unpinned => message.body.parse().unwrap_or(0),
        _ => 0,
    };
    let text = if is_system {
        system_text(&message)
    } else {
        message.body
    };
    let mark = match (is_mine && !is_system, is_direct && message.delivered) {
        (false, _) => Mark::None,
        (true, false) => Mark::Sent,
        (true, true) => Mark::Delivered,
    };
    let reactions = message.reactions.into_iter().map(|one| Reaction {
        text: one.reaction,
        count: one.count,
        is_mine: one.own,
    });
    let mut reactions: Vec<Reaction> = reactions.collect();
    reactions.sort_by(|one, other| one.text.cmp(&other.text));
    Item {
        id: message.message_id,
        cursor: message.cursor,
        seq: message.seq,
        sender: message.sender,
        text,
        at_ms: message.sent_at_ms,
        mark,
        is_mine,
        is_system,
        reply_to: message.reply_to.max(pinned),
        is_edited: message.edited_at_ms > 0,
        is_deleted: message.deleted_at_ms > 0,
        reactions,
        mentions_me: message.mentions_me,
        is_changing: false,
    }
}

fn system_text(message: &Message) -> String {
    let (who, whom, body) = (&message.sender, &message.subject, &message.body);
    match message.kind {
        MessageKind::Created => format!("{who} made the room"),
        MessageKind::Joined => format!("{who} joined"),
        MessageKind::Left if whom.is_empty() => format!("{who} left"),
        MessageKind::Left => format!("{who} left; {whom} is an owner now"),
        MessageKind::Invited => format!("{who} brought {whom} in"),
        MessageKind::Kicked => format!("{who} removed {whom}"),
        MessageKind::Banned => format!("{who} banned {whom}"),
        MessageKind::Unbanned => format!("{who} ended the ban of {whom}"),
        MessageKind::MadeMember => format!("{who} made {whom} a member without a role"),
        MessageKind::MadeAdmin => format!("{who} made {whom} an admin"),
        MessageKind::MadeOwner => format!("{who} made {whom} an owner"),
        MessageKind::Topic if body.is_empty() => format!("{who} cleared the topic"),
        MessageKind::Topic => format!("{who} set the topic: {body}"),
        MessageKind::Renamed => format!("{who} renamed the room to {body}"),
        MessageKind::MadePublic => format!("{who} made the room public"),
        MessageKind::MadePrivate => format!("{who} made the room private"),
        MessageKind::AnnounceOnly => format!("{who} lets only admins and owners write"),
        MessageKind::Open => format!("{who} lets all members write"),
        MessageKind::Pinned => format!("{who} pinned this message: /pins lists all"),
        MessageKind::Unpinned => format!("{who} took the pin of this message back"),
        MessageKind::KeepsEdits => {
            format!("{who} has the room keep earlier texts of edited messages")
        }
        MessageKind::ForgetsEdits => format!("{who} has the room keep earlier texts no more"),
        MessageKind::MentionsRestricted => {
            format!("{who} lets only admins and owners mention all members")
        }
        MessageKind::MentionsOpen => format!("{who} lets all members mention all members"),
        MessageKind::Archived => format!("{who} archived the room: nobody writes here any more"),
        _ => format!("{who} changed the room"),
    }
}

/// Returns the name of the conversation that a message belongs to.
#[must_use]
pub fn conversation_of(message: &Message, me: &str) -> String {
    if message.conversation_id > 0 {
        message.conversation.clone()
    } else if message.sender.eq_ignore_ascii_case(me) {
        message.recipient.clone()
    } else {
        message.sender.clone()
    }
}
