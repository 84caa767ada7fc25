//! The commands `edit`, `edits`, `delete`, `react` and `unreact`.

use serde_json::json;
use tercet_client::MessageChange;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{notice, object, print};
use crate::plain_text::indent;
use crate::times::{local_time, rfc3339};

#[derive(Debug, clap::Args)]
pub struct Edit {
    /// The other account, or a room: '#ROOM'
    conversation: String,
    /// The number of the message
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    /// The new text
    #[arg(required = true)]
    text: Vec<String>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Edits {
    /// The name of the room, with its '#'
    room: String,
    /// The number of the message
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The other account, or a room: '#ROOM'
    conversation: String,
    /// The number of the message
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct React {
    /// The other account, or a room: '#ROOM'
    conversation: String,
    /// The number of the message
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    /// An emoji, or a short text without spaces: at most 32 bytes
    reaction: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn edit(args: Edit, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let body = args.text.join(" ");
    let change = me.edit_message(&args.conversation, args.seq, &body).await?;
    let text = format!("edited {} {}", args.conversation, args.seq);
    tell(connect, &args.conversation, change, &text)
}

pub async fn edits(args: Edits, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let texts = me.list_edits(&args.room, args.seq).await?;
    for text in &texts {
        let fields = json!({
            "body": text.body,
            "written_at_ms": text.written_at_ms,
            "written_at": rfc3339(text.written_at_ms),
            "replaced_at_ms": text.replaced_at_ms,
            "replaced_at": rfc3339(text.replaced_at_ms),
        });
        let line = format!("{} {}", local_time(text.written_at_ms), indent(&text.body));
        print(connect.json, &event_json("earlier_text", fields), &line)?;
    }
    if connect.json {
        return object(&event_json("end", json!({})));
    }
    if texts.is_empty() {
        notice("no earlier text is kept");
    }
    Ok(())
}

pub async fn delete(args: Delete, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let change = me.delete_message(&args.conversation, args.seq).await?;
    let text = format!("deleted {} {}", args.conversation, args.seq);
    tell(connect, &args.conversation, change, &text)
}

pub async fn react(args: React, remove: bool, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let change = me.set_reaction(&args.conversation, args.seq, &args.reaction, remove);
    let change = change.await?;
    let what = if remove { "removed" } else { "added" };
    let text = format!(
        "{what} {} at {} {}",
        args.reaction, args.conversation, args.seq
    );
    tell(connect, &args.conversation, change, &text)
}

/// Prints a change of a message.
pub(super) fn tell(
    connect: &Connect,
    conversation: &str,
    change: MessageChange,
    text: &str,
) -> Result<(), Failure> {
    let object = json!({
        "conversation": conversation,
        "conversation_id": change.conversation_id,
        "seq": change.seq,
        "cursor": change.cursor,
    });
    print(connect.json, &object, text)
}
