//! The commands `level` and `keywords`.

use serde_json::json;
use tercet_client::NotificationLevel;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{self, notice, print};

#[derive(Debug, clap::Args)]
pub struct LevelOf {
    /// The room, '#ROOM', or the other account
    conversation: String,
    /// The messages of which you want to be notified; `none` mutes the conversation
    level: Level,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    All,
    Mentions,
    None,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Keywords {
    #[command(subcommand)]
    command: Option<KeywordCommand>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Subcommand)]
enum KeywordCommand {
    /// List your keywords
    List(Listed),
    /// Add a keyword
    Add(Keyword),
    /// Remove a keyword
    Remove(Keyword),
}

#[derive(Debug, clap::Args)]
struct Listed {
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
struct Keyword {
    /// 1 to 32 characters, found as whole words and without case
    #[arg(allow_hyphen_values = true)]
    keyword: String,
    #[command(flatten)]
    identity: Identity,
}

pub async fn level(args: LevelOf, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let (level, what) = match args.level {
        Level::All => (NotificationLevel::All, "all messages"),
        Level::Mentions => (NotificationLevel::Mentions, "mentions"),
        Level::None => (NotificationLevel::None, "nothing"),
    };
    let name = &args.conversation;
    let cursor = me.set_notification_level(name, level).await?;
    let object = json!({"conversation": name, "level": level.name(), "cursor": cursor});
    let text = format!("you are notified of {what} in {name}");
    print(connect.json, &object, &text)
}

pub async fn keywords(args: Keywords, connect: &Connect) -> Result<(), Failure> {
    match args.command {
        None => list(args.identity, connect).await,
        Some(KeywordCommand::List(args)) => list(args.identity, connect).await,
        Some(KeywordCommand::Add(args)) => {
            let me = args.identity.logged_in(connect).await?.client;
            let cursor = me.add_keyword(&args.keyword).await?;
            let object = json!({"keyword": args.keyword, "cursor": cursor});
            let text = format!("{} is a keyword of yours", args.keyword);
            print(connect.json, &object, &text)
        }
        Some(KeywordCommand::Remove(args)) => {
            let me = args.identity.logged_in(connect).await?.client;
            let cursor = me.remove_keyword(&args.keyword).await?;
            let object = json!({"keyword": args.keyword, "cursor": cursor});
            let text = format!("{} is no keyword of yours", args.keyword);
            print(connect.json, &object, &text)
        }
    }
}

async fn list(identity: Identity, connect: &Connect) -> Result<(), Failure> {
    let me = identity.logged_in(connect).await?.client;
    let keywords = me.list_keywords().await?;
    for keyword in &keywords {
        let object = event_json("keyword", json!({"keyword": keyword}));
        print(connect.json, &object, keyword)?;
    }
    if connect.json {
        return output::object(&event_json("end", json!({})));
    }
    if keywords.is_empty() {
        notice("you have no keywords");
    }
    Ok(())
}
