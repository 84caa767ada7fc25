//! The commands `inbox` and `tail`.

use serde_json::json;
use tercet_client::{Client, Event, Message, Start};
use tercet_types::limits::PAGE_MESSAGES_MAX;

use super::connect::Connect;
use super::identity::Identity;
use super::presence::presence_json;
use super::state::{changed_text, entry_json};
use crate::failure::Failure;
use crate::messages::{
    RESYNC_TEXT, block_changed_json, block_changed_text, dropped_text, event_json, event_text,
    is_in_room, is_sent_by, message_event_text, message_json, message_text,
};
use crate::output::{line, notice, object, print};

/// The number of messages that a page has at most.
pub const PAGE_MAX: u32 = PAGE_MESSAGES_MAX as u32;

#[derive(Debug, clap::Args)]
pub struct Inbox {
    /// Do not acknowledge the messages: they stay waiting
    #[arg(long)]
    keep: bool,
    /// The most messages to show; the others stay waiting
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Start after this cursor; 0 for all stored messages [default: from now on]
    #[arg(long, visible_alias = "since")]
    cursor: Option<u64>,
    /// Stop after this many messages, without the direct ones of this account
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Acknowledge the printed messages
    #[arg(long)]
    acknowledge: bool,
    #[command(flatten)]
    identity: Identity,
}

pub async fn inbox(args: Inbox, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut shown = 0_u32;
    let mut page_token = String::new();
    // A page at a time: printed, acknowledged, forgotten.
    while shown < args.limit {
        let page = me
            .fetch_undelivered((args.limit - shown).min(PAGE_MAX), &page_token)
            .await?;
        shown = shown.saturating_add(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
        page_token = page.next_page_token;
        print_messages(&page.messages, connect.json)?;
        acknowledge_unless(args.keep, &me, &page.messages).await?;
        if page_token.is_empty() {
            break;
        }
    }
    let more = !page_token.is_empty();
    if connect.json {
        return object(&event_json("end", json!({ "more": more })));
    }
    if shown == 0 {
        notice("no messages are waiting");
    } else if more {
        notice("more messages are waiting: ask again");
    }
    Ok(())
}

/// Prints messages as text or as JSON.
pub fn print_messages(messages: &[Message], as_json: bool) -> Result<(), Failure> {
    messages.iter().try_for_each(|message| {
        let object = event_json("message", message_json(message));
        print(as_json, &object, &message_text(message))
    })
}

/// Acknowledges messages; only printed messages may be acknowledged.
async fn acknowledge_unless(
    keep: bool,
    client: &Client,
    messages: &[Message],
) -> Result<(), Failure> {
    if keep {
        return Ok(());
    }
    for part in messages.chunks(1000) {
        let ids = part.iter().map(|message| message.message_id.clone());
        client.acknowledge_messages(ids.collect()).await?;
    }
    Ok(())
}

pub async fn tail(args: Tail, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let start = args.cursor.map_or(Start::Now, Start::After);
    let mut subscription = me.subscribe(start);
    if connect.json {
        subscription = subscription.with_presence();
    }
    let mut stood = false;
    let mut seen = 0;
    let mut account_id = 0;
    loop {
        let event = match subscription.next().await {
            Ok(event) => event,
            Err(error) if stood && error.may_pass() => {
                notice(&format!("{error}; trying on"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        stood = true;
        if let Event::Subscribed { account_id: id, .. } = &event {
            account_id = *id;
        }
        print_event(&event, account_id, connect.json)?;
        if let Event::Message(message) = &event {
            let is_own = is_sent_by(message, account_id);
            let keep = !args.acknowledge || is_in_room(message) || is_own;
            acknowledge_unless(keep, &me, std::slice::from_ref(message)).await?;
            seen += u64::from(!is_own);
            if args.count.is_some_and(|count| seen >= count) {
                return Ok(());
            }
        }
    }
}

fn print_event(event: &Event, account_id: u64, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let mut fields = match event {
            Event::Message(message) => event_json("message", message_json(message)),
            Event::Dropped {
                cursor,
                recipient,
                count,
            } => event_json(
                "dropped",
                json!({"cursor": cursor, "recipient": recipient, "count": count}),
            ),
            Event::Subscribed {
                cursor,
                replica,
                resumed,
                account_id,
            } => event_json(
                "subscribed",
                json!({
                    "cursor": cursor,
                    "replica": replica,
                    "resumed": resumed,
                    "account_id": account_id,
                }),
            ),
            Event::BlockChanged {
                cursor,
                username,
                blocked,
                refuse,
            } => block_changed_json(*cursor, username, *blocked, *refuse),
            Event::StateChanged {
                cursor,
                conversation,
                conversation_id,
                key,
                version,
                entry,
            } => event_json(
                "state_changed",
                json!({
                    "cursor": cursor,
                    "conversation": conversation,
                    "conversation_id": conversation_id,
                    "key": key,
                    "version": version,
                    "entry": entry.as_ref().map(|entry| entry_json(conversation, entry)),
                }),
            ),
            Event::Presence(presence) => presence_json(presence),
            Event::Typing {
                conversation,
                username,
                account_id,
                shown_ms,
            } => event_json(
                "typing",
                json!({
                    "conversation": conversation,
                    "username": username,
                    "account_id": account_id,
                    "shown_ms": shown_ms,
                }),
            ),
            Event::KeywordsChanged { cursor } => {
                event_json("keywords_changed", json!({ "cursor": cursor }))
            }
            Event::LevelChanged {
                cursor,
                conversation,
                conversation_id,
                level,
            } => event_json(
                "level_changed",
                json!({
                    "cursor": cursor,
                    "conversation": conversation,
                    "conversation_id": conversation_id,
                    "level": level.name(),
                }),
            ),
            Event::ProfileChanged { cursor } => {
                event_json("profile_changed", json!({ "cursor": cursor }))
            }
            Event::Lost { why } => event_json("lost", json!({ "why": why })),
            Event::Edited { cursor, message } => {
                let mut fields = message_json(message);
                fields["cursor"] = json!(cursor);
                event_json("edited", fields)
            }
            Event::Deleted {
                cursor,
                message,
                deleted_by,
            } => {
                let mut fields = message_json(message);
                fields["cursor"] = json!(cursor);
                fields["deleted_by"] = json!(deleted_by);
                event_json("deleted", fields)
            }
            Event::Pin {
                cursor,
                message,
                username,
                removed,
            } => {
                let mut fields = message_json(message);
                fields["cursor"] = json!(cursor);
                fields["username"] = json!(username);
                fields["removed"] = json!(removed);
                event_json("pin", fields)
            }
            Event::Reaction {
                cursor,
                conversation,
                seq,
                username,
                reaction,
                removed,
                count,
            } => event_json(
                "reaction",
                json!({
                    "cursor": cursor,
                    "conversation": conversation,
                    "seq": seq,
                    "username": username,
                    "reaction": reaction,
                    "removed": removed,
                    "count": count,
                }),
            ),
            Event::Read {
                cursor,
                conversation,
                conversation_id,
                username,
                account_id,
                read_seq,
            } => event_json(
                "read",
                json!({
                    "cursor": cursor,
                    "conversation": conversation,
                    "conversation_id": conversation_id,
                    "username": username,
                    "account_id": account_id,
                    "read_seq": read_seq,
                }),
            ),
            Event::Resync { cursor } => event_json("resync", json!({ "cursor": cursor })),
        };
        fields["type"] = fields["event"].clone();
        return object(&fields);
    }
    match event {
        Event::Message(message) => line(&event_text(message, account_id))?,
        Event::Dropped {
            recipient, count, ..
        } => notice(&dropped_text(recipient, *count)),
        Event::Subscribed {
            cursor,
            replica,
            resumed,
            ..
        } => {
            let what = if *resumed { "resumed" } else { "following" };
            notice(&format!(
                "{what} at replica {replica} after cursor {cursor}"
            ));
        }
        Event::BlockChanged {
            username,
            blocked,
            refuse,
            ..
        } => notice(&block_changed_text(username, *blocked, *refuse)),
        Event::StateChanged {
            conversation,
            key,
            entry,
            ..
        } => line(&changed_text(conversation, key, entry.as_ref()))?,
        Event::ProfileChanged { .. } => notice("your profile was changed"),
        // For programs.
        Event::LevelChanged { .. }
        | Event::KeywordsChanged { .. }
        | Event::Presence(_)
        | Event::Typing { .. } => {}
        Event::Lost { why } => notice(&format!("connection lost ({why})")),
        Event::Resync { .. } => notice(RESYNC_TEXT),
        // For programs.
        Event::Read { .. } => {}
        Event::Edited { .. }
        | Event::Deleted { .. }
        | Event::Reaction { .. }
        | Event::Pin { .. } => {
            line(&message_event_text(event).unwrap_or_default())?;
        }
    }
    Ok(())
}
