//! The commands `profile` and `profile set`.

use tercet_client::{Client, ProfileChange};

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::{account_json, account_text};
use crate::output::print;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Profile {
    #[command(subcommand)]
    command: Option<Command>,
    /// The account whose profile is shown [default: your own]
    #[arg(value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Change your own profile
    Set(Set),
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The display name: at most 64 characters; '' clears it
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "status",
        allow_hyphen_values = true
    )]
    display_name: Option<String>,
    /// The status text: at most 140 characters; '' clears it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    status: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

pub async fn run(args: Profile, connect: &Connect) -> Result<(), Failure> {
    if let Some(Command::Set(args)) = args.command {
        return set(args, connect).await;
    }
    let me = args.identity.logged_in(connect).await?;
    show(
        &me.client,
        args.account.as_deref().unwrap_or_default(),
        connect,
    )
    .await
}

async fn show(client: &Client, name: &str, connect: &Connect) -> Result<(), Failure> {
    let account = client.profile(name).await?;
    print(
        connect.json,
        &account_json(&account),
        &account_text(&account),
    )
}

async fn set(args: Set, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?;
    let change = ProfileChange {
        display_name: args.display_name,
        status_text: args.status,
    };
    me.client.update_profile(change).await?;
    show(&me.client, "", connect).await
}
