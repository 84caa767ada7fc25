//! A bot that sends each message back to its sender.
//!
//! 1. Start a cluster: `cargo run -- local --no-chat`.
//! 2. Start the bot in a second terminal: `cargo run -p tercet-client --example echo`.
//! 3. Send it a message from a third terminal: `cargo run -- register alice --login`, then `cargo run -- send echo
//!   hello`.
//! 4. Read its answer: `cargo run -- inbox`.
//!
//! The bot talks to the cluster of `TERCET_REPLICAS`, by default the one of step 1. It registers the account `echo`
//! at its first run, and goes on through failovers. Stop it with Ctrl-C.

use std::error::Error;

use tercet_client::{Client, DEFAULT_REPLICAS, Event, Start};

const NAME: &str = "echo";
const PASSWORD: &str = "an example, not a secret";
const PAGE_SIZE: u32 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let replicas = std::env::var("TERCET_REPLICAS");
    let client = Client::new(replicas.as_deref().unwrap_or(DEFAULT_REPLICAS).parse()?);
    match client.create_account(NAME, PASSWORD).await {
        Ok(_) => println!("registered {NAME}"),
        Err(error) if error.is_refused_for("NAME_TAKEN") => {}
        Err(error) => return Err(error.into()),
    }
    let session = client.login(NAME, PASSWORD).await?;
    let client = client.with_token(&session.token)?;

    let mut subscription = client.subscribe(Start::Now);
    loop {
        match subscription.next().await {
            Ok(Event::Subscribed { replica, .. }) => {
                println!("connected to replica {replica}");
                // The server keeps the messages that came while the bot was away.
                answer_waiting(&client).await?;
            }
            Ok(Event::Message(message)) => {
                answer(&client, message.message_id, &message.sender, &message.body).await?;
            }
            Ok(Event::Lost { why }) => {
                println!("the connection is lost ({why}): looking for the leader")
            }
            Ok(Event::Resync { .. }) => answer_waiting(&client).await?,
            Ok(_) => {}
            Err(error) if error.may_pass() => println!("{error}: trying again"),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Answers the messages that the bot has not acknowledged, oldest first.
async fn answer_waiting(client: &Client) -> Result<(), tercet_client::Error> {
    loop {
        let page = client.fetch_undelivered(PAGE_SIZE, "").await?;
        if page.messages.is_empty() {
            return Ok(());
        }
        for message in page.messages {
            answer(client, message.message_id, &message.sender, &message.body).await?;
        }
    }
}

/// Sends the text back and marks the message as delivered.
async fn answer(
    client: &Client,
    message_id: String,
    sender: &str,
    body: &str,
) -> Result<(), tercet_client::Error> {
    println!("{sender}: {body}");
    if sender != NAME {
        match client.send_message(sender, body).await {
            Ok(_) => {}
            // The sender's account was deleted.
            Err(error) if error.is_refused_for("UNKNOWN_RECIPIENT") => {}
            Err(error) => return Err(error),
        }
    }
    client.acknowledge_messages(vec![message_id]).await?;
    Ok(())
}
