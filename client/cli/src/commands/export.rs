//! The command `export`: JSON Lines, to a file or to standard output.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tercet_client::Client;

use super::connect::Connect;
use super::identity::Identity;
use super::room::{member_json, room_json};
use super::sessions::session_json;
use super::tokens::token_json;
use crate::failure::Failure;
use crate::messages::{account_json, block_json, event_json, message_json};
use crate::output::{self, print};

/// Rows on a page of the lists; the server gives no more.
const PAGE_MAX: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub struct Export {
    /// A room whose admin or owner you are; otherwise all data of your account
    #[arg(value_name = "#ROOM")]
    room: Option<String>,
    /// The file to write; it must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    identity: Identity,
}

pub async fn export(args: Export, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let Written {
        messages,
        through,
        path,
    } = write_export(&me, args.room.as_deref(), args.out.as_deref()).await?;
    let Some(path) = path else {
        return Ok(());
    };
    let path = path.display().to_string();
    let done = json!({"file": path, "messages": messages, "through": through});
    print(
        connect.json,
        &done,
        &format!("wrote {path}: {messages} messages"),
    )
}

/// An export that was written.
pub struct Written {
    pub messages: u64,
    /// The cursor up to which it has all messages.
    pub through: u64,
    /// The file; `None` for standard output.
    pub path: Option<PathBuf>,
}

/// Writes all data of an account, or of a room, into a file that does not exist yet, or to standard output.
///
/// # Errors
/// When the server refuses it, or the file cannot be written.
pub async fn write_export(
    me: &Client,
    room: Option<&str>,
    out: Option<&Path>,
) -> Result<Written, Failure> {
    let mut lines = Lines::open(out)?;
    let (messages, through) = match room {
        Some(room) => export_room(me, room, &mut lines).await?,
        None => export_own(me, &mut lines).await?,
    };
    let end = json!({"messages": messages, "through": through});
    lines.write("end", end)?;
    Ok(Written {
        messages,
        through,
        path: lines.close()?,
    })
}

async fn export_own(me: &Client, lines: &mut Lines) -> Result<(u64, u64), Failure> {
    // The first page sets the end of the export.
    let first = me.export_messages("", "").await?;
    lines.write("export", json!({"of": "account", "through": first.through}))?;
    lines.write("account", account_json(&me.profile("").await?))?;
    for session in me.list_sessions().await? {
        lines.write("session", session_json(&session))?;
    }
    for token in me.list_api_tokens().await? {
        lines.write("token", token_json(&token))?;
    }
    let mut page_token = String::new();
    loop {
        let page = me.list_blocks(PAGE_MAX, &page_token).await?;
        for block in &page.blocks {
            lines.write("block", block_json(block))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    loop {
        let page = me.list_rooms("*", PAGE_MAX, &page_token).await?;
        for room in page.rooms.iter().filter(|room| room.role.is_some()) {
            lines.write("room", room_json(room))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    write_messages(me, "", first, lines).await
}

async fn export_room(me: &Client, name: &str, lines: &mut Lines) -> Result<(u64, u64), Failure> {
    let first = me.export_messages(name, "").await?;
    lines.write("export", json!({"of": "room", "through": first.through}))?;
    // No name has a wildcard: the pattern finds this room alone.
    for room in &me.list_rooms(name, PAGE_MAX, "").await?.rooms {
        lines.write("room", room_json(room))?;
    }
    let mut page_token = String::new();
    loop {
        let page = me.list_members(name, PAGE_MAX, &page_token).await?;
        for member in &page.members {
            lines.write("member", member_json(member))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    write_messages(me, name, first, lines).await
}

/// Writes the messages of all pages; gives their number, and the cursor up to which the export goes.
async fn write_messages(
    me: &Client,
    room: &str,
    mut page: tercet_client::ExportPage,
    lines: &mut Lines,
) -> Result<(u64, u64), Failure> {
    let mut count = 0;
    loop {
        for message in &page.messages {
            lines.write("message", message_json(message))?;
            count += 1;
        }
        if page.next_page_token.is_empty() {
            return Ok((count, page.through));
        }
        page = me.export_messages(room, &page.next_page_token).await?;
    }
}

/// The lines of an export on their way.
enum Lines {
    Printed,
    /// Written beside the file, which gets its name when it is whole.
    Written {
        file: BufWriter<File>,
        partial: PathBuf,
        path: PathBuf,
    },
}

impl Lines {
    fn open(path: Option<&Path>) -> Result<Lines, Failure> {
        let Some(path) = path else {
            return Ok(Lines::Printed);
        };
        if path.symlink_metadata().is_ok() {
            let what = format!("{} exists: choose another file", path.display());
            return Err(Failure::Usage(what));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        // Remove the rest of an earlier export that broke off.
        if let Err(error) = fs::remove_file(&partial)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(Failure::io(
                &format!("remove {}", partial.display()),
                &error,
            ));
        }
        let made = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial);
        let what = format!("write {}", partial.display());
        let file = made.map_err(|error| Failure::io(&what, &error))?;
        Ok(Lines::Written {
            file: BufWriter::new(file),
            partial,
            path: path.to_owned(),
        })
    }

    fn write(&mut self, event: &str, fields: Value) -> Result<(), Failure> {
        let object = event_json(event, fields);
        match self {
            Lines::Printed => output::object(&object),
            Lines::Written { file, partial, .. } => {
                let written = writeln!(file, "{object}");
                let what = format!("write {}", partial.display());
                written.map_err(|error| Failure::io(&what, &error))
            }
        }
    }

    /// Makes the file durable, and gives it its name.
    fn close(self) -> Result<Option<PathBuf>, Failure> {
        let Lines::Written {
            file,
            partial,
            path,
        } = self
        else {
            return Ok(None);
        };
        let failed =
            |error: std::io::Error| Failure::io(&format!("write {}", path.display()), &error);
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs::rename(&partial, &path).map_err(failed)?;
        Ok(Some(path))
    }
}
