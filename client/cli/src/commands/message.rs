//! The commands `edit`, `delete`, `react` and `unreact`.

use serde_json::json;
use tercet_client::MessageChange;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::output::print;

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
