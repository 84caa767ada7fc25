//! The commands `send`, `inbox` and `tail`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};

use serde_json::json;
use tercet_client::{Client, Event, Message, Start};
use uuid::Uuid;

use clap::Args as _;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::{BODY_BYTES_MAX, dropped_text, event_json, message_json, message_text};
use crate::output::{line, notice, object, print};
use crate::times::rfc3339;

/// The number of messages that a page has at most.
pub const PAGE_MAX: u32 = 500;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Send {
    #[arg(required_unless_present = "help")]
    recipient: Option<String>,
    /// The message, also when it begins with a dash and is no option of this command; all after `--`
    /// is text. `-` or none reads it from stdin
    text: Vec<String>,
    /// Print help, when nothing else is given
    #[arg(long)]
    help: bool,
    /// Send under this id (a UUID): to ask again for a message whose fate is unknown
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Inbox {
    /// Do not acknowledge: they wait on
    #[arg(long)]
    keep: bool,
    /// At most this many; the rest wait on
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Start after this cursor, 0 for all that is stored [default: from now on]
    #[arg(long)]
    cursor: Option<u64>,
    /// Stop after this many messages
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Acknowledge what is printed
    #[arg(long)]
    acknowledge: bool,
    #[command(flatten)]
    identity: Identity,
}

/// Puts the text of a `send` behind a `--` if some of it begins with a dash. Without it clap would take a
/// word like `-hi` for options. A word after the recipient is an option only if it is the name of one.
pub fn with_text_apart(words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|word| word != "send") {
        return words;
    }
    let send = Connect::augment_args(Send::augment_args(clap::Command::new("send")));
    let option = |word: &str| {
        let (name, value) = match word.strip_prefix("--")?.split_once('=') {
            Some((name, _)) => (name, true),
            None => (&word[2..], false),
        };
        let option = send
            .get_arguments()
            .find(|option| option.get_long() == Some(name))?;
        let wants_word = !value && option.get_action().takes_values();
        Some(wants_word)
    };
    let mut rest = words.iter().skip(2);
    let (mut options, mut texts) = (words[..2].to_vec(), Vec::new());
    let mut has_dash = false;
    while let Some(word) = rest.next() {
        match word.to_str() {
            Some("--") => {
                has_dash = true;
                texts.extend(rest.by_ref().cloned());
            }
            Some(text) if text.starts_with('-') && text != "-" => match option(text) {
                Some(wants_word) => {
                    options.push(word.clone());
                    options.extend(rest.by_ref().take(usize::from(wants_word)).cloned());
                }
                // In place of the recipient it is an option that there is not.
                None if texts.is_empty() => return words,
                None => {
                    has_dash = true;
                    texts.push(word.clone());
                }
            },
            _ => texts.push(word.clone()),
        }
    }
    if !has_dash {
        return words;
    }
    options.push("--".into());
    options.extend(texts);
    options
}

impl Send {
    #[cfg(test)]
    pub fn text_given(&self) -> Vec<String> {
        self.text.clone()
    }
}

pub async fn send(args: Send, connect: &Connect) -> Result<(), Failure> {
    let Some(recipient) = args.recipient.as_deref().filter(|_| !args.help) else {
        return help(args.recipient.as_deref());
    };
    let me = args.identity.logged_in(connect).await?;
    let body = match args.text.as_slice() {
        [] => read_body()?,
        [dash] if dash == "-" => read_body()?,
        words => words.join(" "),
    };
    let sent = match args.request_id {
        Some(id) => me.client.send_message_as(id, recipient, &body).await?,
        None => me.client.send_message(recipient, &body).await?,
    };
    let object = json!({
        "message_id": sent.message_id,
        "cursor": sent.cursor,
        "sent_at_ms": sent.sent_at_ms,
        "sent_at": rfc3339(sent.sent_at_ms),
        "instant": sent.instant,
    });
    let how = if sent.instant {
        "pushed at once"
    } else {
        "waits for them"
    };
    let text = format!("sent to {recipient} ({how})");
    print(connect.json, &object, &text)
}

/// Prints the help of `send`. With a recipient the command is an error instead, so that a message is not
/// lost in a help text with an exit code of success.
fn help(recipient: Option<&str>) -> Result<(), Failure> {
    if let Some(recipient) = recipient {
        return Err(Failure::Usage(format!(
            "nothing was sent; to send a text that is an option's name, write \
             `tercet send {recipient} -- --help`"
        )));
    }
    let command = Connect::augment_args(Send::augment_args(clap::Command::new("tercet send")));
    let mut command = command.about("Send one message").long_about(None);
    line(command.render_long_help().to_string().trim_end())
}

/// Reads all of stdin without the newline that ends it.
fn read_body() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        notice("Write the message; end it with Ctrl-D on a line of its own.");
    }
    let mut bytes = Vec::new();
    let mut limited = io::stdin().lock().take(BODY_BYTES_MAX as u64 + 2);
    let read = limited.read_to_end(&mut bytes);
    read.map_err(|error| Failure::io("read stdin", &error))?;
    let text_bytes = bytes.len() - usize::from(bytes.last() == Some(&b'\n'));
    if text_bytes > BODY_BYTES_MAX {
        let message = format!("the message is longer than {BODY_BYTES_MAX} bytes");
        return Err(Failure::failed(
            "BODY_TOO_LONG",
            message,
            "Send it in parts.",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::failed(
            "BODY_NOT_TEXT",
            "the message is not UTF-8",
            "Send text only.",
        )
    })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

pub async fn inbox(args: Inbox, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut shown = 0_u32;
    let mut page_token = String::new();
    // A page at a time: printed, acknowledged, forgotten.
    while shown < args.limit {
        let page = me
            .fetch_undelivered((args.limit - shown).min(PAGE_MAX), &page_token)
            .await?;
        shown = shown.saturating_add(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
        page_token = page.next_page_token;
        print_messages(&page.messages, connect.json)?;
        acknowledge_unless(args.keep, &me, &page.messages).await?;
        if page_token.is_empty() {
            break;
        }
    }
    let more = !page_token.is_empty();
    if connect.json {
        return object(&event_json("end", json!({ "more": more })));
    }
    if shown == 0 {
        notice("no messages are waiting");
    } else if more {
        notice("more messages are waiting: ask again");
    }
    Ok(())
}

/// Prints messages as text or as JSON.
pub fn print_messages(messages: &[Message], as_json: bool) -> Result<(), Failure> {
    messages.iter().try_for_each(|message| {
        let object = event_json("message", message_json(message));
        print(as_json, &object, &message_text(message))
    })
}

/// Acknowledges messages; only printed messages may be acknowledged.
async fn acknowledge_unless(
    keep: bool,
    client: &Client,
    messages: &[Message],
) -> Result<(), Failure> {
    if keep {
        return Ok(());
    }
    for part in messages.chunks(1000) {
        let ids = part.iter().map(|message| message.message_id.clone());
        client.acknowledge_messages(ids.collect()).await?;
    }
    Ok(())
}

pub async fn tail(args: Tail, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let start = args.cursor.map_or(Start::Now, Start::After);
    let mut subscription = me.subscribe(start);
    let mut stood = false;
    let mut seen = 0;
    loop {
        let event = match subscription.next().await {
            Ok(event) => event,
            Err(error) if stood && error.may_pass() => {
                notice(&format!("{error}; trying on"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        stood = true;
        print_event(&event, connect.json)?;
        if let Event::Message(message) = &event {
            acknowledge_unless(!args.acknowledge, &me, std::slice::from_ref(message)).await?;
            seen += 1;
            if args.count.is_some_and(|count| seen >= count) {
                return Ok(());
            }
        }
    }
}

fn print_event(event: &Event, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return object(&match event {
            Event::Message(message) => event_json("message", message_json(message)),
            Event::Dropped {
                cursor,
                recipient,
                count,
            } => event_json(
                "dropped",
                json!({"cursor": cursor, "recipient": recipient, "count": count}),
            ),
            Event::Subscribed {
                cursor,
                replica,
                resumed,
            } => event_json(
                "subscribed",
                json!({"cursor": cursor, "replica": replica, "resumed": resumed}),
            ),
            Event::Lost { why } => event_json("lost", json!({ "why": why })),
        });
    }
    match event {
        Event::Message(message) => line(&message_text(message))?,
        Event::Dropped {
            recipient, count, ..
        } => notice(&dropped_text(recipient, *count)),
        Event::Subscribed {
            cursor,
            replica,
            resumed,
        } => {
            let what = if *resumed { "resumed" } else { "following" };
            notice(&format!(
                "{what} at replica {replica} after cursor {cursor}"
            ));
        }
        Event::Lost { why } => notice(&format!("connection lost ({why})")),
    }
    Ok(())
}
