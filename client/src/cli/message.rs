//! `send`, `inbox`, `history`, `tail`.

use std::io::{self, IsTerminal as _, Read as _};

use serde_json::json;
use uuid::Uuid;

use super::connect::{Connect, Identity};
use crate::api::{Client, Event, ListMessagesRequest, Message, Start, new_request_id};
use crate::output::{Failure, line, message_json, message_text, notice, object};

/// The server's limit on a body; reading stdin stops soon after it.
const BODY_BYTES_MAX: u64 = 16 * 1024;
const PAGE_MAX: u32 = 500;

#[derive(Debug, clap::Args)]
pub struct Send {
    recipient: String,
    /// The message; `-` or none reads it from stdin
    text: Vec<String>,
    /// Send under this id (a UUID): to ask again for a message whose fate is unknown
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct Inbox {
    /// Do not acknowledge: they wait on
    #[arg(long)]
    keep: bool,
    /// At most this many; the rest wait on
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct History {
    /// The other person
    #[arg(required_unless_present = "account_id")]
    peer: Option<String>,
    /// The other account's id, for one that is deleted
    #[arg(long, value_name = "ID", conflicts_with = "peer")]
    account_id: Option<u64>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on from an earlier answer: its `next_page_token` (or `older_…`, `newer_…`)
    #[arg(
        long,
        alias = "before",
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    page_token: String,
    /// Start at the oldest message instead of the newest
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Start after this cursor, 0 for all that is stored [default: from now on]
    #[arg(long)]
    cursor: Option<u64>,
    /// Stop after this many messages
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Acknowledge what is printed
    #[arg(long)]
    acknowledge: bool,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    pub connect: Connect,
}

pub async fn send(args: Send) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let me = args.identity.logged_in(&client)?;
    let body = match args.text.as_slice() {
        [] => read_body()?,
        [dash] if dash == "-" => read_body()?,
        words => words.join(" "),
    };
    let request_id = args.request_id.unwrap_or_else(new_request_id);
    let sent = me
        .client
        .send_message_as(request_id, &args.recipient, &body);
    let sent = sent.await?;
    if args.connect.json {
        return object(&json!({
            "message_id": sent.message_id,
            "cursor": sent.cursor,
            "sent_at_ms": sent.sent_at_ms,
            "instant": sent.instant,
        }));
    }
    let how = match sent.instant {
        true => "pushed at once",
        false => "waits for them",
    };
    line(&format!("sent to {} ({how})", args.recipient))
}

/// All of stdin without the newline that ends it.
fn read_body() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        notice("Write the message; end it with Ctrl-D on a line of its own.");
    }
    let mut bytes = Vec::new();
    let mut limited = io::stdin().lock().take(BODY_BYTES_MAX + 2);
    let read = limited.read_to_end(&mut bytes);
    read.map_err(|error| Failure::io("read stdin", &error))?;
    let too_long = bytes.len() as u64 > BODY_BYTES_MAX + 1;
    if too_long {
        let message = format!("the message is longer than {BODY_BYTES_MAX} bytes");
        return Err(Failure::failed(
            "BODY_TOO_LONG",
            message,
            "Send it in parts.",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::failed(
            "BODY_NOT_TEXT",
            "the message is not UTF-8",
            "Send text only.",
        )
    })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

pub async fn inbox(args: Inbox) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let me = args.identity.logged_in(&client)?.client;
    let mut waiting = Vec::new();
    let mut page_token = String::new();
    let mut left = args.limit;
    loop {
        let page = me
            .fetch_undelivered(left.min(PAGE_MAX), &page_token)
            .await?;
        left = left.saturating_sub(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
        page_token = page.next_page_token;
        if !args.connect.json {
            for message in &page.messages {
                line(&message_text(message))?;
            }
            acknowledge_unless(args.keep, &me, &page.messages).await?;
        }
        waiting.extend(page.messages);
        if page_token.is_empty() || left == 0 {
            break;
        }
    }
    let more = !page_token.is_empty();
    if args.connect.json {
        let messages: Vec<_> = waiting.iter().map(message_json).collect();
        object(&json!({"messages": messages, "more": more}))?;
        return acknowledge_unless(args.keep, &me, &waiting).await;
    }
    if waiting.is_empty() {
        notice("no messages are waiting");
    } else if more {
        notice("more messages are waiting: ask again");
    }
    Ok(())
}

/// Only after they were printed: a message that nobody saw is not delivered.
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

pub async fn history(args: History) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let me = args.identity.logged_in(&client)?.client;
    let mut request = ListMessagesRequest {
        peer: args.peer.clone().unwrap_or_default(),
        peer_account_id: args.account_id.unwrap_or(0),
        page_size: 0,
        page_token: args.page_token.clone(),
        oldest_first: args.oldest_first,
    };
    let mut left = args.limit;
    let mut messages: Vec<Message> = Vec::new();
    let mut ends: Option<(String, String)> = None;
    let (next, peer_account_id) = loop {
        request.page_size = i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX);
        let page = me.list_messages(request.clone()).await?;
        left = left.saturating_sub(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
        let (older, newer) = (page.older_page_token, page.newer_page_token);
        ends = Some(match ends.take() {
            None => (older, newer),
            Some((first_older, _)) if args.oldest_first => (first_older, newer),
            Some((_, first_newer)) => (older, first_newer),
        });
        if args.oldest_first {
            messages.extend(page.messages);
        } else {
            messages.splice(0..0, page.messages);
        }
        if page.next_page_token.is_empty() || left == 0 {
            break (page.next_page_token, page.peer_account_id);
        }
        request.page_token = page.next_page_token;
    };
    if args.connect.json {
        let (older, newer) = ends.unwrap_or_default();
        let messages: Vec<_> = messages.iter().map(message_json).collect();
        return object(&json!({
            "messages": messages,
            "peer_account_id": peer_account_id,
            "older_page_token": older,
            "newer_page_token": newer,
            "next_page_token": next,
        }));
    }
    for message in &messages {
        line(&message_text(message))?;
    }
    if !next.is_empty() {
        notice(&format!("there are more: --page-token {next}"));
    }
    Ok(())
}

pub async fn tail(args: Tail) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let me = args.identity.logged_in(&client)?.client;
    let start = args.cursor.map_or(Start::Now, Start::After);
    let mut subscription = me.subscribe(start);
    let mut stood = false;
    let mut seen = 0;
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
        print_event(&event, args.connect.json)?;
        if let Event::Message(message) = &event {
            acknowledge_unless(!args.acknowledge, &me, std::slice::from_ref(message)).await?;
            seen += 1;
            if args.count.is_some_and(|count| seen >= count) {
                return Ok(());
            }
        }
    }
}

fn print_event(event: &Event, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return object(&match event {
            Event::Message(message) => json!({
                "event": "message", "cursor": message.cursor, "message": message_json(message),
            }),
            Event::Dropped {
                cursor,
                recipient,
                count,
            } => json!({
                "event": "dropped", "cursor": cursor, "recipient": recipient, "count": count,
            }),
            Event::Subscribed {
                cursor,
                replica,
                resumed,
            } => json!({
                "event": "subscribed", "cursor": cursor, "replica": replica, "resumed": resumed,
            }),
            Event::Lost { why } => json!({"event": "lost", "why": why}),
        });
    }
    match event {
        Event::Message(message) => line(&message_text(message))?,
        Event::Dropped {
            recipient, count, ..
        } => notice(&dropped_text(recipient, *count)),
        Event::Subscribed {
            cursor,
            replica,
            resumed,
        } => {
            let what = if *resumed { "resumed" } else { "following" };
            notice(&format!(
                "{what} at replica {replica} after cursor {cursor}"
            ));
        }
        Event::Lost { why } => notice(&format!("connection lost ({why})")),
    }
    Ok(())
}

/// For the sender of messages that nobody will read.
pub fn dropped_text(recipient: &str, count: u64) -> String {
    let messages = if count == 1 { "message" } else { "messages" };
    format!("{recipient} deleted the account: {count} {messages} of yours were never read")
}
