//! The commands `state` and `submit`: keys with values beside a conversation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tercet_client::{Event, Expected, Start, StateEntry, Written};

use super::connect::Connect;
use super::identity::Identity;
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{notice, object, print};
use crate::times::rfc3339;

/// The number of keys that a page has at most.
const PAGE_MAX: u32 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub enum State {
    /// Show the value of a key
    Get(Named),
    /// Set a key
    Set(Set),
    /// Remove a key
    Delete(Delete),
    /// List the keys with their values
    List(List),
    /// Show a key, or all keys, and each change from then on
    Watch(Watch),
}

#[derive(Debug, clap::Args)]
pub struct Named {
    /// '#' and the name of a room, or the name of an account; your own: notes to yourself
    #[arg(allow_hyphen_values = true)]
    conversation: String,
    /// 1 to 128 letters, digits, `_`, `.`, `-`, `/` or `:`
    #[arg(allow_hyphen_values = true)]
    key: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Set {
    /// '#' and the name of a room, or the name of an account; your own: notes to yourself
    #[arg(allow_hyphen_values = true)]
    conversation: String,
    /// 1 to 128 letters, digits, `_`, `.`, `-`, `/` or `:`
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// The new value, at most 16 KiB
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// Only over this version; 0: only if the key does not exist
    #[arg(long, value_name = "VERSION")]
    expect: Option<u64>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Delete {
    #[command(flatten)]
    named: Named,
    /// Only this version
    #[arg(long, value_name = "VERSION")]
    expect: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// '#' and the name of a room, or the name of an account; your own: notes to yourself
    #[arg(allow_hyphen_values = true)]
    conversation: String,
    /// Only keys that begin like this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Watch {
    /// '#' and the name of a room, or the name of an account; your own: notes to yourself
    #[arg(allow_hyphen_values = true)]
    conversation: String,
    /// Only this key [default: all]
    key: Option<String>,
    /// Stop after this many changes
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Submit {
    /// '#' and the name of a room, or the name of an account; your own: notes to yourself
    #[arg(allow_hyphen_values = true)]
    conversation: String,
    /// 1 to 128 letters, digits, `_`, `.`, `-`, `/` or `:`
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// The program in Rhai, such as 'value = (value ?? 0) + 1'; @FILE reads it from a file
    #[arg(allow_hyphen_values = true)]
    program: String,
    /// The arguments that the program has as `args`: each JSON, or text
    arguments: Vec<String>,
    #[command(flatten)]
    identity: Identity,
}

pub async fn submit(args: Submit, connect: &Connect) -> Result<(), Failure> {
    let program = match args.program.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::io(&format!("read {file}"), &error))?,
        None => args.program,
    };
    let me = args.identity.logged_in(connect).await?.client;
    let arguments: Vec<&str> = args.arguments.iter().map(String::as_str).collect();
    let done = me.submit_to_key(&args.conversation, &args.key, &program, &arguments);
    let done = done.await?;
    // The server gives JSON; a text is shown without its quotes.
    let answer: Value = serde_json::from_str(&done.answer).unwrap_or(Value::Null);
    let text = answer.as_str().unwrap_or(&done.answer).to_owned();
    let object = json!({
        "conversation": args.conversation,
        "conversation_id": done.conversation_id,
        "key": args.key,
        "answer": answer,
        "version": done.version,
        "cursor": done.cursor,
    });
    print(connect.json, &object, &text)
}

pub async fn run(command: State, connect: &Connect) -> Result<(), Failure> {
    match command {
        State::Get(args) => get(args, connect).await,
        State::Set(args) => {
            let me = args.identity.logged_in(connect).await?.client;
            let (place, key) = (&args.conversation, &args.key);
            let value = Some(args.value.as_str());
            let done = me.compare_and_set(place, key, expected(args.expect), value);
            report(place, key, done.await?, connect)
        }
        State::Delete(args) => {
            let named = args.named;
            let me = named.identity.logged_in(connect).await?.client;
            let (place, key) = (&named.conversation, &named.key);
            let done = me.compare_and_set(place, key, expected(args.expect), None);
            report(place, key, done.await?, connect)
        }
        State::List(args) => list(args, connect).await,
        State::Watch(args) => watch(args, connect).await,
    }
}

fn expected(version: Option<u64>) -> Expected {
    match version {
        None => Expected::Any,
        Some(0) => Expected::Absent,
        Some(version) => Expected::Version(version),
    }
}

async fn get(args: Named, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    match me.get(&args.conversation, &args.key).await? {
        Some(entry) => print(
            connect.json,
            &entry_json(&args.conversation, &entry),
            &entry.value,
        ),
        None => {
            let what = format!("{} has no key {}", args.conversation, args.key);
            Err(Failure::failed("UNKNOWN_KEY", what, ""))
        }
    }
}

/// Prints what became of a change. A version that was not the expected one is a failure.
fn report(place: &str, key: &str, done: Written, connect: &Connect) -> Result<(), Failure> {
    let current = done.current.as_ref();
    if connect.json {
        object(&json!({
            "conversation": place,
            "conversation_id": done.conversation_id,
            "key": key,
            "matched": done.matched,
            "version": done.version,
            "cursor": done.cursor,
            "current": current.map(|entry| entry_json(place, entry)),
        }))?;
        return match done.matched {
            true => Ok(()),
            false => Err(Failure::Reported),
        };
    }
    match (done.matched, current) {
        (true, _) if done.version == 0 => print(false, &(), &format!("{key} does not exist now")),
        (true, _) => print(false, &(), &format!("{key} has version {}", done.version)),
        (false, None) => {
            let what = format!("{key} does not exist");
            Err(Failure::failed("VERSION_MISMATCH", what, ""))
        }
        (false, Some(current)) => {
            let what = format!("{key} has version {}: {}", current.version, current.value);
            Err(Failure::failed("VERSION_MISMATCH", what, ""))
        }
    }
}

async fn list(args: List, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut token = String::new();
    let mut is_empty = true;
    loop {
        let page = me.list_state(&args.conversation, &args.prefix, PAGE_MAX, &token);
        let page = page.await?;
        for entry in &page.entries {
            is_empty = false;
            let fields = event_json("state", entry_json(&args.conversation, entry));
            print(connect.json, &fields, &entry_text(entry))?;
        }
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    if connect.json {
        return object(&event_json("end", json!({})));
    }
    if is_empty {
        notice("no keys");
    }
    Ok(())
}

/// Prints the keys as they are, then each change. A key that changes faster than it is read is printed as it is then.
async fn watch(args: Watch, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let watched = |key: &str| args.key.as_deref().is_none_or(|wanted| wanted == key);
    let mut events = me.subscribe(Start::Now);
    let mut shown: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = 0;
    let mut is_stale = true;
    loop {
        let event = match events.next().await {
            Ok(event) => event,
            Err(error) if !is_stale && error.may_pass() => {
                notice(&format!("{error}; trying on"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match event {
            // The subscription is open, so every later change comes as an event.
            Event::Subscribed { .. } if is_stale => {
                is_stale = false;
                let prefix = args.key.as_deref().unwrap_or_default();
                let mut token = String::new();
                loop {
                    let page = me.list_state(&args.conversation, prefix, PAGE_MAX, &token);
                    let page = page.await?;
                    for entry in page.entries.iter().filter(|entry| watched(&entry.key)) {
                        let last = shown.insert(entry.key.clone(), entry.version);
                        if last != Some(entry.version) {
                            print_state(&args.conversation, entry, connect)?;
                        }
                    }
                    token = page.next_page_token;
                    if token.is_empty() {
                        break;
                    }
                }
            }
            Event::Resync { .. } => is_stale = true,
            Event::StateChanged {
                cursor,
                conversation,
                key,
                version,
                entry,
                ..
            } if conversation.eq_ignore_ascii_case(&args.conversation) && watched(&key) => {
                if shown.get(&key).is_some_and(|last| *last >= cursor) {
                    continue;
                }
                match &entry {
                    Some(entry) => {
                        shown.insert(key, entry.version);
                        print_state(&args.conversation, entry, connect)?;
                    }
                    None if version > 0 => continue,
                    None => {
                        shown.insert(key.clone(), cursor);
                        let gone = json!({"conversation": conversation, "key": key, "version": 0});
                        let text = changed_text(&conversation, &key, None);
                        print(connect.json, &event_json("state", gone), &text)?;
                    }
                }
                seen += 1;
                if args.count.is_some_and(|count| seen >= count) {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}

fn print_state(place: &str, entry: &StateEntry, connect: &Connect) -> Result<(), Failure> {
    let fields = event_json("state", entry_json(place, entry));
    print(connect.json, &fields, &entry_text(entry))
}

/// Gives a key as JSON.
pub fn entry_json(place: &str, entry: &StateEntry) -> Value {
    json!({
        "conversation": place,
        "key": entry.key,
        "version": entry.version,
        "value": entry.value,
        "changed_at_ms": entry.changed_at_ms,
        "changed_at": rfc3339(entry.changed_at_ms),
        "changed_by": entry.changed_by,
    })
}

fn entry_text(entry: &StateEntry) -> String {
    format!("{} = {}", entry.key, entry.value)
}

/// Gives a change of a key as text.
pub fn changed_text(conversation: &str, key: &str, entry: Option<&StateEntry>) -> String {
    match entry {
        Some(entry) => format!("{conversation} {}", entry_text(entry)),
        None => format!("{conversation} {key} does not exist now"),
    }
}
