//! Messages, accounts and events, as objects for programs and as text for people.

use serde_json::{Value, json};
use tercet_client::{Account, Block, Event, Hit, Message, MessageKind, Pin, Reaction};

use crate::plain_text::indent;
use crate::spans;
use crate::times::{chat_time, local_time, rfc3339};

/// Adds the field `event`, which names the kind of an object, to an object of a stream.
pub fn event_json(event: &str, mut fields: Value) -> Value {
    fields["event"] = json!(event);
    fields
}

/// Gives a message as an object.
pub fn message_json(message: &Message) -> Value {
    json!({
        "message_id": message.message_id,
        "cursor": message.cursor,
        "sender": message.sender,
        "sender_id": message.sender_id,
        "sender_deleted": message.sender_deleted,
        "recipient": message.recipient,
        "recipient_id": message.recipient_id,
        "recipient_deleted": message.recipient_deleted,
        "body": message.body,
        "sent_at_ms": message.sent_at_ms,
        "sent_at": rfc3339(message.sent_at_ms),
        "instant": message.instant,
        "delivered": message.delivered,
        "conversation": message.conversation,
        "conversation_id": message.conversation_id,
        "seq": message.seq,
        "kind": message.kind.name(),
        "subject": message.subject,
        "reply_to": message.reply_to,
        "edited": message.edited_at_ms > 0,
        "edited_at": time_or_null(message.edited_at_ms),
        "deleted": message.deleted_at_ms > 0,
        "deleted_at": time_or_null(message.deleted_at_ms),
        "reactions": message.reactions.iter().map(reaction_json).collect::<Vec<_>>(),
        "mentions_me": message.mentions_me,
    })
}

fn time_or_null(ms: i64) -> Value {
    if ms > 0 {
        json!(rfc3339(ms))
    } else {
        Value::Null
    }
}

fn reaction_json(reaction: &Reaction) -> Value {
    json!({"reaction": reaction.reaction, "count": reaction.count, "own": reaction.own})
}

/// Gives an event about a message as text; `None` for an event of another kind.
pub fn message_event_text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Edited { message, .. } => {
            let (place, seq) = (place(message), message.seq);
            format!("{place} {seq} was edited: {}", room_text(message))
        }
        Event::Deleted {
            message,
            deleted_by,
            ..
        } => format!(
            "{} {} was deleted by {deleted_by}",
            place(message),
            message.seq
        ),
        Event::Pin {
            message,
            username,
            removed,
            ..
        } => {
            let what = if *removed { "no longer" } else { "now" };
            let (place, seq) = (place(message), message.seq);
            format!("{place} {seq} is {what} pinned, by {username}")
        }
        Event::Reaction {
            conversation,
            seq,
            username,
            reaction,
            removed,
            ..
        } => {
            let what = if *removed {
                "takes back"
            } else {
                "reacts with"
            };
            format!(
                "{conversation} {seq}: {username} {what} {}",
                indent(reaction)
            )
        }
        _ => return None,
    })
}

/// Gives the conversation of a message: the room, or both accounts.
fn place(message: &Message) -> String {
    if is_in_room(message) {
        message.conversation.clone()
    } else {
        format!("{} -> {}", message.sender, message.recipient)
    }
}

/// Tells whether a message is in a room.
pub fn is_in_room(message: &Message) -> bool {
    message.conversation_id > 0
}

/// Tells whether an account sent a direct message to another one.
pub fn is_sent_by(message: &Message, account_id: u64) -> bool {
    !is_in_room(message) && message.sender_id == account_id && message.recipient_id != account_id
}

/// Gives a message of a room as text, without its time: `alice: text`, or what a message of the system tells of.
fn room_text(message: &Message) -> String {
    let sender = format!("{}{}", message.sender, deleted(message.sender_deleted));
    match (message.kind, message.subject.as_str()) {
        (MessageKind::Text, _) => format!("{sender}: {}", text(message)),
        (MessageKind::Created, _) => format!("* {sender} made the room"),
        (MessageKind::Joined, _) => format!("* {sender} joined"),
        (MessageKind::Left, "") => format!("* {sender} left"),
        (MessageKind::Left, owner) => format!("* {sender} left; {owner} is the owner now"),
        (MessageKind::Invited, subject) => format!("* {sender} invited {subject}"),
        (MessageKind::Kicked, subject) => format!("* {sender} kicked {subject}"),
        (MessageKind::Banned, subject) => format!("* {sender} banned {subject}"),
        (MessageKind::Unbanned, subject) => format!("* {sender} ended the ban of {subject}"),
        (MessageKind::MadeMember, subject) => format!("* {sender} made {subject} a member"),
        (MessageKind::MadeAdmin, subject) => format!("* {sender} made {subject} an admin"),
        (MessageKind::MadeOwner, subject) => format!("* {sender} made {subject} an owner"),
        (MessageKind::Topic, _) if message.body.is_empty() => {
            format!("* {sender} cleared the topic")
        }
        (MessageKind::Topic, _) => format!("* {sender} set the topic: {}", message.body),
        (MessageKind::Renamed, _) => format!("* {sender} renamed the room to {}", message.body),
        (MessageKind::MadePublic, _) => format!("* {sender} made the room public"),
        (MessageKind::MadePrivate, _) => format!("* {sender} made the room private"),
        (MessageKind::AnnounceOnly, _) => {
            format!("* {sender} lets only admins and owners write")
        }
        (MessageKind::Open, _) => format!("* {sender} lets all members write"),
        (MessageKind::Pinned, _) => format!("* {sender} pinned message {}", message.body),
        (MessageKind::Unpinned, _) => {
            format!("* {sender} took the pin of message {} back", message.body)
        }
        (MessageKind::KeepsEdits, _) => {
            format!("* {sender} has the room keep earlier texts of edited messages")
        }
        (MessageKind::ForgetsEdits, _) => {
            format!("* {sender} has the room keep earlier texts no more")
        }
        (MessageKind::MentionsRestricted, _) => {
            format!("* {sender} lets only admins and owners mention all members")
        }
        (MessageKind::MentionsOpen, _) => {
            format!("* {sender} lets all members mention all members")
        }
        (MessageKind::Archived, _) => format!("* {sender} archived the room"),
        (MessageKind::Retention, _) => match message.body.parse() {
            Ok(ms @ 1..) => format!("* {sender} has messages kept for {}", spans::text(ms)),
            _ => format!("* {sender} has messages kept as long as those of the cluster"),
        },
        _ => format!("* {sender} did something that this version does not know"),
    }
}

/// Gives the text of a message with what it replies to, what became of it, and its reactions.
fn text(message: &Message) -> String {
    if message.deleted_at_ms > 0 {
        return "(deleted)".to_owned();
    }
    let mut text = match message.reply_to {
        0 => String::new(),
        seq => format!("(to {seq}) "),
    };
    text.push_str(&indent(&message.body));
    if message.mentions_me {
        text.push_str(" (mentions you)");
    }
    if message.edited_at_ms > 0 {
        text.push_str(" (edited)");
    }
    for reaction in &message.reactions {
        text.push_str(&format!(
            " [{} {}]",
            indent(&reaction.reaction),
            reaction.count
        ));
    }
    text
}

/// Gives an account as an object.
pub fn account_json(account: &Account) -> Value {
    json!({
        "username": account.username,
        "account_id": account.account_id,
        "created_at_ms": account.created_at_ms,
        "created_at": rfc3339(account.created_at_ms),
        "display_name": account.display_name,
        "status_text": account.status_text,
    })
}

/// Gives an account with its profile as text. The name of the account comes first, because others may have the same display name.
pub fn account_text(account: &Account) -> String {
    let mut text = account.username.clone();
    if !account.display_name.is_empty() {
        text.push_str(&format!(" ({})", account.display_name));
    }
    if !account.status_text.is_empty() {
        text.push_str(&format!(": {}", account.status_text));
    }
    text
}

/// Gives a message as text: `2026-01-02 03:04:05 alice: text`, in a room `2026-01-02 03:04:05 #tea alice: text`, later
/// lines indented.
pub fn message_text(message: &Message) -> String {
    if is_in_room(message) {
        let (time, room) = (local_time(message.sent_at_ms), &message.conversation);
        return format!("{time} {room} {}", room_text(message));
    }
    let (sender, deleted) = (&message.sender, deleted(message.sender_deleted));
    let (time, body) = (local_time(message.sent_at_ms), text(message));
    format!("{time} {sender}{deleted}: {body}")
}

/// Gives a pinned message as an object.
pub fn pin_json(pin: &Pin) -> Value {
    let mut fields = message_json(&pin.message);
    fields["pinned_by"] = json!(pin.pinned_by);
    fields["pinned_by_id"] = json!(pin.pinned_by_id);
    fields["pinned_at_ms"] = json!(pin.pinned_at_ms);
    fields["pinned_at"] = json!(rfc3339(pin.pinned_at_ms));
    fields
}

/// Gives a hit as an object.
pub fn hit_json(hit: &Hit) -> Value {
    let mut fields = message_json(&hit.message);
    let spans = hit.spans.iter();
    let spans: Vec<_> = spans
        .map(|span| json!({"start": span.start, "length": span.len()}))
        .collect();
    fields["spans"] = json!(spans);
    fields
}

/// Gives the message of a hit with `**` around each place that matches.
pub fn marked(hit: &Hit) -> Message {
    let (body, mut end) = (&hit.message.body, 0);
    let mut text = String::new();
    for span in &hit.spans {
        text.push_str(&body[end..span.start]);
        text.push_str("**");
        text.push_str(&body[span.clone()]);
        text.push_str("**");
        end = span.end;
    }
    text.push_str(&body[end..]);
    Message {
        body: text,
        ..hit.message.clone()
    }
}

/// Gives a message of a subscription as text: as [`message_text`], and a direct message of the reader as
/// `2026-01-02 03:04:05 you → bob: text`.
pub fn event_text(message: &Message, reader_id: u64) -> String {
    if !is_sent_by(message, reader_id) {
        return message_text(message);
    }
    let (recipient, deleted) = (&message.recipient, deleted(message.recipient_deleted));
    let (time, body) = (local_time(message.sent_at_ms), text(message));
    format!("{time} you → {recipient}{deleted}: {body}")
}

/// Gives a message of a chat as text: `10:42 bob → you: text`, or, if the reader sent it,
/// `10:42 you → bob: text`; in a room `10:42 #tea bob: text`, whoever sent it.
pub fn chat_text(message: &Message, mine: bool) -> String {
    if is_in_room(message) {
        let (time, room) = (chat_time(message.sent_at_ms), &message.conversation);
        return format!("{time} {room} {}", room_text(message));
    }
    let (time, body) = (chat_time(message.sent_at_ms), text(message));
    if mine {
        let deleted = deleted(message.recipient_deleted);
        format!("{time} you → {}{deleted}: {body}", message.recipient)
    } else {
        let deleted = deleted(message.sender_deleted);
        format!("{time} {}{deleted} → you: {body}", message.sender)
    }
}

fn deleted(is_deleted: bool) -> &'static str {
    if is_deleted { " (deleted)" } else { "" }
}

/// Tells a sender that messages were dropped, because their recipient deleted the account.
pub fn dropped_text(recipient: &str, count: u64) -> String {
    let messages = if count == 1 { "message" } else { "messages" };
    format!("{recipient} deleted the account: {count} {messages} of yours were never read")
}

/// Gives a blocked account as an object.
pub fn block_json(block: &Block) -> Value {
    json!({
        "username": block.username,
        "account_id": block.account_id,
        "refuse": block.refuse,
        "blocked_at_ms": block.blocked_at_ms,
        "blocked_at": rfc3339(block.blocked_at_ms),
    })
}

/// Gives a blocked account as text.
pub fn block_text(block: &Block) -> String {
    let since = local_time(block.blocked_at_ms);
    let what = if block.refuse { "refused" } else { "hidden" };
    format!("{} (messages are {what}, since {since})", block.username)
}

/// Tells a person that an account was blocked or unblocked.
pub fn block_changed_text(name: &str, blocked: bool, refuse: bool) -> String {
    match (blocked, refuse) {
        (true, true) => format!("{name} is blocked: messages from there are refused"),
        (true, false) => format!("{name} is blocked: messages from there are hidden from you"),
        (false, _) => format!("{name} is no longer blocked; hidden messages stay hidden"),
    }
}

/// Tells a person that a subscription begins anew.
pub const RESYNC_TEXT: &str = "events may be missing, because the last one is long ago; look at the history of your conversations";

/// Gives the change of a block as an object of a stream.
pub fn block_changed_json(cursor: u64, username: &str, blocked: bool, refuse: bool) -> Value {
    let fields =
        json!({"cursor": cursor, "username": username, "blocked": blocked, "refuse": refuse});
    event_json("block_changed", fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_line_cannot_pass_for_another_message() {
        let message = Message {
            sender: "eve".to_owned(),
            body: "hi\nalice: forged".to_owned(),
            ..Message::default()
        };
        let text = message_text(&message);
        assert!(text.ends_with("eve: hi\n    alice: forged"), "{text}");
    }

    #[test]
    fn an_own_message_of_a_subscription_names_its_recipient() {
        let message = |recipient_id| Message {
            sender: "ann".to_owned(),
            sender_id: 7,
            recipient: "bob".to_owned(),
            recipient_id,
            body: "hi".to_owned(),
            ..Message::default()
        };
        assert!(event_text(&message(8), 7).ends_with(" you → bob: hi"));
        assert!(event_text(&message(8), 8).ends_with(" ann: hi"));
        // A note to oneself.
        assert!(event_text(&message(7), 7).ends_with(" ann: hi"));
    }

    #[test]
    fn a_line_of_a_room_names_the_room_and_what_happened() {
        let message = |kind, subject: &str| Message {
            sender: "ann".to_owned(),
            body: "hi".to_owned(),
            conversation: "#tea".to_owned(),
            conversation_id: 7,
            kind,
            subject: subject.to_owned(),
            ..Message::default()
        };
        for (message, text) in [
            (message(MessageKind::Text, ""), "#tea ann: hi"),
            (message(MessageKind::Joined, ""), "#tea * ann joined"),
            (
                message(MessageKind::Invited, "bob"),
                "#tea * ann invited bob",
            ),
            (
                message(MessageKind::Left, "bob"),
                "#tea * ann left; bob is the owner now",
            ),
        ] {
            assert!(chat_text(&message, true).ends_with(text), "{text}");
            assert!(message_text(&message).ends_with(text), "{text}");
        }
    }
}
