//! The command `feed`. Other changes of a feed, such as its topic, are made with `room`.

use serde_json::json;
use tercet_client::NewRoom;

use super::connect::Connect;
use super::identity::Identity;
use super::room::{self, Pages, change_json, room_json};
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::print;

#[derive(Debug, clap::Subcommand)]
pub enum Feed {
    /// Make a feed; you are its owner, and write to it with `send`
    Create(Create),
    /// Follow a public feed
    Follow(Named),
    /// Follow a feed no more
    Unfollow(Named),
    /// List the public feeds and your own
    List(List),
    /// List the followers of a feed of yours
    Followers(room::Members),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// '#' and 1 to 32 letters, digits, `_`, `.` or `-`, not beginning with a digit or `-`
    feed: String,
    /// The topic, at most 250 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    topic: String,
    /// Hide the feed from everybody outside; its admins and owners invite (`room invite`)
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Named {
    /// The name, with its '#'
    feed: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// `*` stands for any run of characters, `?` for one [default: *]
    pattern: Option<String>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(command: Feed, connect: &Connect) -> Result<(), Failure> {
    match command {
        Feed::Create(args) => create(args, connect).await,
        Feed::Follow(args) => {
            let me = args.identity.logged_in(connect).await?.client;
            let change = me.join_room(&args.feed).await?;
            let text = format!("you follow {}", args.feed);
            print(connect.json, &change_json(&args.feed, change), &text)
        }
        Feed::Unfollow(args) => {
            let me = args.identity.logged_in(connect).await?.client;
            let change = me.leave_room(&args.feed).await?;
            let text = format!("you follow {} no more", args.feed);
            print(connect.json, &change_json(&args.feed, change), &text)
        }
        Feed::List(args) => list(args, connect).await,
        Feed::Followers(args) => room::members(args, connect).await,
    }
}

async fn create(args: Create, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let feed = NewRoom {
        name: args.feed.clone(),
        topic: args.topic,
        private: args.private,
        announce_only: false,
        feed: true,
    };
    let conversation_id = me.create_room(feed).await?;
    let made = json!({"conversation": args.feed, "conversation_id": conversation_id});
    print(connect.json, &made, &format!("made {}", args.feed))
}

async fn list(args: List, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let mut pages = args.pages;
    loop {
        let page = me.list_feeds(pattern, pages.page_size(), &pages.page_token);
        let page = page.await?;
        for feed in &page.rooms {
            let of_me = match feed.role {
                Some(role) => format!(" ({})", role.name()),
                None => String::new(),
            };
            let text = format!("{}{of_me} {}", feed.name, feed.topic);
            let object = event_json("room", room_json(feed));
            print(connect.json, &object, text.trim_end())?;
        }
        if !pages.go_on(page.rooms.len(), page.next_page_token) {
            return pages.end(connect.json);
        }
    }
}
