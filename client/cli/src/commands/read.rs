//! The command `read`.

use serde_json::json;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::output::print;

#[derive(Debug, clap::Args)]
pub struct Read {
    /// The room, '#ROOM', or the other account
    conversation: String,
    /// The number of the last message that you have read [default: the last one]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: Option<u64>,
    /// Mark this message and all later ones as unread instead
    #[arg(long, value_name = "SEQ", conflicts_with = "seq",
          value_parser = clap::value_parser!(u64).range(1..))]
    unread_from: Option<u64>,
    #[command(flatten)]
    identity: Identity,
}

pub async fn read(args: Read, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let name = &args.conversation;
    let marked = match args.unread_from {
        Some(seq) => me.mark_unread(name, seq).await?,
        None => me.mark_read(name, args.seq).await?,
    };
    let object = json!({
        "conversation": name,
        "conversation_id": marked.conversation_id,
        "read_seq": marked.read_seq,
        "cursor": marked.cursor,
    });
    let text = format!("read {name} up to message {}", marked.read_seq);
    print(connect.json, &object, &text)
}
