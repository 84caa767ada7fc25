//! The command `send`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};

use clap::Args as _;
use serde_json::json;
use tercet_client::new_request_id;
use uuid::Uuid;

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::output::{line, notice, print};
use crate::times::rfc3339;
use tercet_types::limits::BODY_BYTES_MAX;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Send {
    #[arg(required_unless_present = "help")]
    recipient: Option<String>,
    /// The message; it may begin with a dash if it is no option of this command. All after `--` is text.
    /// `-` or nothing reads the message from stdin
    text: Vec<String>,
    /// Print help, if nothing else is given
    #[arg(long)]
    help: bool,
    /// Send with this request id (a UUID), to repeat a message whose outcome is unknown
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    /// Reply to the message of that number in the conversation
    #[arg(
        long,
        value_name = "SEQ",
        default_value_t = 0,
        hide_default_value = true
    )]
    reply_to: u64,
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
        None if args.reply_to == 0 => me.client.send_message(recipient, &body).await?,
        given => {
            let id = given.unwrap_or_else(new_request_id);
            let (client, reply_to) = (&me.client, args.reply_to);
            client.send_reply_as(id, recipient, &body, reply_to).await?
        }
    };
    let object = json!({
        "message_id": sent.message_id,
        "cursor": sent.cursor,
        "sent_at_ms": sent.sent_at_ms,
        "sent_at": rfc3339(sent.sent_at_ms),
        "instant": sent.instant,
        "seq": sent.seq,
        "conversation": recipient,
        "conversation_id": sent.conversation_id,
    });
    if sent.conversation_id > 0 {
        let text = format!("sent to {recipient} (number {})", sent.seq);
        return print(connect.json, &object, &text);
    }
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
