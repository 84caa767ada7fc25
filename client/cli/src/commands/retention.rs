//! The commands `cluster retention` and `room retention`.

use std::time::Duration;

use serde_json::json;
use tercet_client::{Room, RoomEdit};

use super::admin::Admin;
use super::connect::Connect;
use super::identity::Identity;
use super::room::{change_json, room_json};
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::print;
use crate::spans::{self, span};

/// The time that the leader may take to answer.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct OfCluster {
    /// From 1h to 10y, as `36h`, `30d`, `2w`, `1y`; `off`: for ever. Without it, the present one is shown
    #[arg(value_name = "DURATION|off", value_parser = span)]
    duration: Option<i64>,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, clap::Args)]
pub struct OfRoom {
    /// The name of the room, with its '#'
    room: String,
    /// From 1h to 10y, as `36h`, `30d`, `2w`, `1y`; `off`: as long as those of the cluster. Without it, the present one is
    /// shown
    #[arg(value_name = "DURATION|off", value_parser = span)]
    duration: Option<i64>,
    #[command(flatten)]
    identity: Identity,
}

pub async fn of_cluster(args: OfCluster, connect: &Connect) -> Result<(), Failure> {
    let client = connect.client()?;
    let retention_ms = match args.duration {
        Some(ms) => {
            args.admin
                .client(&client, connect)?
                .set_retention(ms)
                .await?;
            ms
        }
        None => client.leader_view(VIEW_TIMEOUT).await?.status.retention_ms,
    };
    let fields = json!({ "retention_ms": retention_ms });
    print(connect.json, &fields, &kept(retention_ms))
}

pub async fn of_room(args: OfRoom, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    if let Some(ms) = args.duration {
        let change = me.change_room(&args.room, RoomEdit::Retention(ms)).await?;
        let text = match ms {
            0 => format!(
                "messages of {} are kept as long as those of the cluster",
                args.room
            ),
            ms => format!("messages of {} are kept for {}", args.room, spans::text(ms)),
        };
        return print(connect.json, &change_json(&args.room, change), &text);
    }
    let page = me.list_rooms(&args.room, 1, "").await?;
    let Some(room) = page.rooms.first() else {
        let message = format!("{} is not there, or you may not see it", args.room);
        return Err(Failure::failed("UNKNOWN_ROOM", message, ""));
    };
    print(
        connect.json,
        &event_json("room", room_json(room)),
        &room_text(room),
    )
}

fn room_text(room: &Room) -> String {
    let text = kept(room.kept_ms);
    match (room.retention_ms, room.kept_ms) {
        (0, 0) => text,
        (own, kept) if own == kept => format!("{text}, as the owners of {} say", room.name),
        (0, _) => format!("{text}, as in the whole cluster"),
        (own, _) => format!(
            "{text}, as in the whole cluster; the owners of {} say {}",
            room.name,
            spans::text(own)
        ),
    }
}

fn kept(ms: i64) -> String {
    match ms {
        0 => "messages are kept for ever".to_owned(),
        ms => format!("messages are kept for {}", spans::text(ms)),
    }
}
