//! The commands of `room` that change a room, or what an account is in it.

use serde_json::json;
use tercet_client::{MemberRole, RoomEdit};

use super::connect::Connect;
use super::identity::Identity;
use super::room::{Pages, change_json};
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::print;
use crate::times::rfc3339;

#[derive(Debug, clap::Subcommand)]
pub enum Change {
    /// Remove a member, who may join again (admins and owners)
    Kick(Named),
    /// Keep an account out (admins and owners)
    Ban(Named),
    /// End a ban (admins and owners)
    Unban(Named),
    /// List the banned accounts (admins and owners)
    Bans(Bans),
    /// Give a member another role (owners)
    Promote(Promote),
    /// Set the topic (admins and owners)
    Topic(Topic),
    /// Give a room another name; the old one is free at once (owners)
    Rename(Rename),
    /// Set who finds a room, who writes in it, whether it keeps earlier texts (owners), or who mentions all members
    Set(Set),
    /// Close a room for good: its members read it, nobody writes, its name is free (owners)
    Archive(Archive),
}

#[derive(Debug, clap::Args)]
pub struct Named {
    /// The name of the room, with its '#'
    room: String,
    /// The account
    #[arg(allow_hyphen_values = true)]
    account: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Bans {
    /// The name of the room, with its '#'
    room: String,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Promote {
    /// The name of the room, with its '#'
    room: String,
    /// The account
    #[arg(allow_hyphen_values = true)]
    account: String,
    /// The new role
    role: NewRole,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum NewRole {
    Member,
    Admin,
    Owner,
}

#[derive(Debug, clap::Args)]
pub struct Topic {
    /// The name of the room, with its '#'
    room: String,
    /// At most 250 characters; '' clears it
    #[arg(allow_hyphen_values = true)]
    topic: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Rename {
    /// The name of the room, with its '#'
    room: String,
    /// The new name, with its '#'
    #[arg(value_name = "NEW_NAME")]
    new_name: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Set {
    /// The name of the room, with its '#'
    room: String,
    setting: Setting,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Setting {
    /// Anybody finds the room and may join it
    Public,
    /// The room is found by its members alone; joining takes an invitation
    Private,
    /// Only admins and owners write
    AnnounceOnly,
    /// All members write
    Open,
    /// Earlier texts of messages that are edited from now on are kept, for all members to read
    KeepEdits,
    /// They are not kept
    ForgetEdits,
    /// Only admins and owners mention all members, by @here and @room (admins and owners set it)
    MentionsRestricted,
    /// All members mention all members (admins and owners set it)
    MentionsOpen,
}

#[derive(Debug, clap::Args)]
pub struct Archive {
    /// The name of the room, with its '#'
    room: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(command: Change, connect: &Connect) -> Result<(), Failure> {
    let (room, edit, identity, done) = match command {
        Change::Bans(args) => return bans(args, connect).await,
        Change::Kick(args) => {
            let done = format!("{} is not in {} any more", args.account, args.room);
            (args.room, RoomEdit::Kick(args.account), args.identity, done)
        }
        Change::Ban(args) => {
            let done = format!("{} is banned from {}", args.account, args.room);
            (args.room, RoomEdit::Ban(args.account), args.identity, done)
        }
        Change::Unban(args) => {
            let done = format!("{} is not banned from {}", args.account, args.room);
            let edit = RoomEdit::Unban(args.account);
            (args.room, edit, args.identity, done)
        }
        Change::Promote(args) => {
            let role = match args.role {
                NewRole::Member => MemberRole::Member,
                NewRole::Admin => MemberRole::Admin,
                NewRole::Owner => MemberRole::Owner,
            };
            let done = format!("{} is {} in {}", args.account, role.name(), args.room);
            let edit = RoomEdit::Role(args.account, role);
            (args.room, edit, args.identity, done)
        }
        Change::Topic(args) => {
            let done = format!("the topic of {} is set", args.room);
            (args.room, RoomEdit::Topic(args.topic), args.identity, done)
        }
        Change::Rename(args) => {
            let done = format!("{} is {} now", args.room, args.new_name);
            (
                args.room,
                RoomEdit::Name(args.new_name),
                args.identity,
                done,
            )
        }
        Change::Set(args) => {
            let (edit, what) = match args.setting {
                Setting::Public => (RoomEdit::Private(false), "public"),
                Setting::Private => (RoomEdit::Private(true), "private"),
                Setting::AnnounceOnly => (RoomEdit::AnnounceOnly(true), "announce-only"),
                Setting::Open => (RoomEdit::AnnounceOnly(false), "open to all members"),
                Setting::KeepEdits => (RoomEdit::KeepsEdits(true), "keeping earlier texts"),
                Setting::ForgetEdits => (RoomEdit::KeepsEdits(false), "keeping no earlier texts"),
                Setting::MentionsRestricted => {
                    let what = "a room where only admins and owners mention all members";
                    (RoomEdit::MentionsRestricted(true), what)
                }
                Setting::MentionsOpen => {
                    let what = "a room where all members mention all members";
                    (RoomEdit::MentionsRestricted(false), what)
                }
            };
            let done = format!("{} is {what}", args.room);
            (args.room, edit, args.identity, done)
        }
        Change::Archive(args) => {
            let done = format!("{} is archived", args.room);
            (args.room, RoomEdit::Archive, args.identity, done)
        }
    };
    let me = identity.logged_in(connect).await?.client;
    let change = me.change_room(&room, edit).await?;
    print(connect.json, &change_json(&room, change), &done)
}

async fn bans(args: Bans, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut pages = args.pages;
    loop {
        let page = me.list_bans(&args.room, pages.page_size(), &pages.page_token);
        let page = page.await?;
        for ban in &page.bans {
            let fields = json!({
                "username": ban.username,
                "account_id": ban.account_id,
                "banned_by": ban.banned_by,
                "banned_at_ms": ban.banned_at_ms,
                "banned_at": rfc3339(ban.banned_at_ms),
            });
            let text = format!("{} (by {})", ban.username, ban.banned_by);
            print(connect.json, &event_json("ban", fields), &text)?;
        }
        if !pages.go_on(page.bans.len(), page.next_page_token) {
            return pages.end(connect.json);
        }
    }
}
