//! The commands `pin`, `unpin` and `pins`.

use serde_json::json;

use super::connect::Connect;
use super::identity::Identity;
use super::message::tell;
use crate::failure::Failure;
use crate::messages::{event_json, message_text, pin_json};
use crate::output::{notice, object, print};

#[derive(Debug, clap::Args)]
pub struct Pin {
    /// The other account, or a room: '#ROOM'
    conversation: String,
    /// The number of the message
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Pins {
    /// The other account, or a room: '#ROOM'
    conversation: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn pin(args: Pin, remove: bool, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let (conversation, seq) = (&args.conversation, args.seq);
    let change = match remove {
        true => me.unpin_message(conversation, seq).await?,
        false => me.pin_message(conversation, seq).await?,
    };
    let what = if remove { "unpinned" } else { "pinned" };
    let text = format!("{what} {conversation} {seq}");
    tell(connect, conversation, change, &text)
}

pub async fn pins(args: Pins, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let pins = me.list_pins(&args.conversation).await?;
    for pin in &pins {
        let text = format!(
            "{} (number {}, pinned by {})",
            message_text(&pin.message),
            pin.message.seq,
            pin.pinned_by
        );
        print(connect.json, &event_json("pin", pin_json(pin)), &text)?;
    }
    if connect.json {
        return object(&event_json("end", json!({})));
    }
    if pins.is_empty() {
        notice("nothing is pinned");
    }
    Ok(())
}
