//! The requests of a person: each is one call, or a few, and ends with a report.

use tercet_client::{
    Client, Error, HistoryRequest, MemberRole, Message, NewRoom, NotificationLevel, RoomEdit,
};
use tokio::sync::mpsc;

use super::{Report, lists};
use crate::accounts::Session;
use crate::conversation::Member;
use crate::model::{Choice, DELIVERY_PAGE, Effect, Net};

/// The messages of a page of history, and of a page of older ones.
pub(super) const PAGE: u32 = 100;
const OLDER_PAGE: i32 = 250;
/// The messages of a thread that are shown.
const THREAD_MAX: usize = 1_000;
/// The accounts, rooms and members that are listed.
pub(super) const LISTED: u32 = 1_000;

pub(super) type Reports = mpsc::UnboundedSender<Report>;

/// Carries out a request.
pub(super) async fn carry_out(session: Session, effect: Effect, reports: Reports) {
    let Session { client, name: me } = session;
    let net = match effect {
        Effect::History { name, token } => {
            let is_older = token.is_some();
            let request = HistoryRequest {
                peer: name.clone(),
                page_size: if is_older { OLDER_PAGE } else { PAGE as i32 },
                page_token: token.unwrap_or_default(),
                ..HistoryRequest::default()
            };
            let page = match client.list_messages(request).await {
                // Nothing was said yet to a person who is there.
                Err(error) if error.is_refused_for("UNKNOWN_PEER") && !name.starts_with('#') => {
                    Err(format!("there is no account {name}"))
                }
                page => page.map_err(|error| error.to_string()),
            };
            Net::Page {
                name,
                is_older,
                page,
            }
        }
        Effect::Newest(name) => {
            let request = HistoryRequest {
                peer: name.clone(),
                page_size: DELIVERY_PAGE as i32,
                ..HistoryRequest::default()
            };
            match client.list_messages(request).await {
                Ok(page) => {
                    let messages = page.messages;
                    Net::Newest { name, messages }
                }
                // The model asks for the newest messages again after a pause.
                Err(_) => return,
            }
        }
        Effect::Thread { name, seq } => {
            let messages = thread(&client, &name, seq).await;
            Net::Thread {
                name,
                seq,
                messages: messages.map_err(|error| error.to_string()),
            }
        }
        Effect::Pin { to, seq, remove } => {
            let answer = if remove {
                client.unpin_message(&to, seq).await
            } else {
                client.pin_message(&to, seq).await
            };
            match (answer, remove) {
                (Ok(_), false) => done("pinned: /pins lists all"),
                (Ok(_), true) => done("not pinned any more"),
                (Err(error), false) => failed("not pinned", &error),
                (Err(error), true) => failed("the pin stays", &error),
            }
        }
        Effect::Level { name, level } => {
            let answer = client.set_notification_level(&name, level).await;
            match (answer, level) {
                (Ok(_), NotificationLevel::All) => {
                    done(&format!("{name} notifies of all messages"))
                }
                (Ok(_), NotificationLevel::Mentions) => {
                    done(&format!("{name} notifies of mentions only"))
                }
                (Ok(_), NotificationLevel::None) => done(&format!("{name} is muted")),
                (Err(error), _) => failed(&format!("{name} is so on this machine only"), &error),
            }
        }
        Effect::Presence(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for one in client.presence(&names).await.unwrap_or_default() {
                let (name, state) = (one.username, one.state);
                report(&reports, Net::Presence { name, state });
            }
            return;
        }
        Effect::Typing(name) => {
            // A lost report does no harm: a later key sends another.
            let _ = client.set_typing(&name).await;
            return;
        }
        Effect::Keyword { word, remove } => {
            let answer = if remove {
                client.remove_keyword(&word).await
            } else {
                client.add_keyword(&word).await
            };
            match (answer, remove) {
                (Ok(_), false) => done(&format!("texts with `{word}` ring")),
                (Ok(_), true) => done(&format!("`{word}` is no keyword")),
                (Err(error), _) => failed("your keywords are as they were", &error),
            }
        }
        Effect::Acknowledge(ids) => match client.acknowledge_messages(ids).await {
            Ok(_) => return,
            Err(error) => Net::Done(Err(format!("not marked as delivered: {error}"))),
        },
        Effect::Members(room) => return members(&client, room, &reports).await,
        Effect::People => {
            let accounts = client.list_accounts("*", LISTED, "").await;
            let rooms = client.list_rooms("*", LISTED, "").await;
            let (Ok(accounts), Ok(rooms)) = (accounts, rooms) else {
                return;
            };
            let names = accounts.accounts.into_iter().map(|one| one.username);
            let to_join = rooms.rooms.into_iter().filter(|room| room.role.is_none());
            Net::People {
                names: names.collect(),
                rooms: to_join.map(|room| room.name).collect(),
            }
        }
        Effect::State { name, key, value } => match value {
            Some(value) => match client.put(&name, &key, &value).await {
                Ok(_) => done(&format!("{key} is set")),
                Err(error) => failed(&format!("{key} is not set"), &error),
            },
            None => match client.list_state(&name, &key, LISTED, "").await {
                Ok(page) => {
                    let rows = page.entries.into_iter().map(|one| {
                        let text = format!("{} = {}  ({})", one.key, one.value, one.changed_by);
                        let line = format!("/state {} {}", one.key, one.value);
                        (text, Choice::Insert(line))
                    });
                    Net::Listing {
                        title: format!("State of {name}: Enter changes a value"),
                        rows: rows.collect(),
                    }
                }
                Err(error) => failed("no list", &error),
            },
        },
        Effect::EndSession(id) => match client.end_session(&id).await {
            Ok(()) => done("the session has ended"),
            Err(error) => failed("not ended", &error),
        },
        Effect::Block { name, refuse } => match client.block_account(&name, refuse).await {
            Ok(_) if refuse => done(&format!("{name} is blocked: messages are refused")),
            Ok(_) => done(&format!("{name} is blocked: messages are hidden")),
            Err(error) => failed(&format!("{name} is not blocked"), &error),
        },
        Effect::Unblock(name) => match client.unblock_account(&name).await {
            Ok(true) => done(&format!("{name} is not blocked any more")),
            Ok(false) => done(&format!("{name} was not blocked")),
            Err(error) => failed(&format!("{name} is not unblocked"), &error),
        },
        Effect::ChangeRoom { room, edit } => change_room(&client, &room, edit).await,
        Effect::SetProfile(change) => match client.update_profile(change).await {
            Ok(()) => lists::profile(&client, "").await,
            Err(error) => failed("your profile is as it was", &error),
        },
        Effect::Create {
            name,
            topic,
            is_private,
        } => create(&client, name, topic, is_private).await,
        Effect::Join { name, may_create } => match client.join_room(&name).await {
            Ok(_) => Net::Open(name),
            Err(error) if error.is_refused_for("UNKNOWN_ROOM") && may_create => {
                match create(&client, name.clone(), String::new(), false).await {
                    // Somebody else was faster.
                    Net::Done(Err(_)) if client.join_room(&name).await.is_ok() => Net::Open(name),
                    created => created,
                }
            }
            Err(error) if error.is_refused_for("UNKNOWN_ROOM") => Net::Done(Err(format!(
                "there is no public room {name}: /rooms lists them, /create {name} makes it"
            ))),
            Err(error) => failed(&format!("{name} is not joined"), &error),
        },
        Effect::Leave(name) => match client.leave_room(&name).await {
            Ok(_) => Net::Left(name),
            Err(error) => failed(&format!("you are still in {name}"), &error),
        },
        Effect::Invite { room, name } => match client.invite_to_room(&room, &name).await {
            Ok(_) => done(&format!("{name} is a member of {room}")),
            Err(error) => failed(&format!("{name} is not in {room}"), &error),
        },
        other => return lists::carry_out(&client, &me, other, &reports).await,
    };
    report(&reports, net);
}

pub(super) fn report(reports: &Reports, net: Net) {
    let _ = reports.send(Report::Net(net)); // the chat may have ended
}

pub(super) fn done(text: &str) -> Net {
    Net::Done(Ok(text.to_owned()))
}

pub(super) fn failed(what: &str, error: &Error) -> Net {
    Net::Done(Err(format!("{what}: {error}")))
}

/// Loads a message and its replies, the newest if there are many.
async fn thread(client: &Client, name: &str, seq: u64) -> Result<Vec<Message>, Error> {
    let (mut messages, mut token) = (Vec::new(), String::new());
    while messages.len() < THREAD_MAX {
        let request = HistoryRequest {
            peer: name.to_owned(),
            page_size: PAGE as i32,
            page_token: token,
            thread_seq: seq,
            ..HistoryRequest::default()
        };
        let page = client.list_messages(request).await?;
        messages.extend(page.messages);
        token = page.older_page_token;
        if token.is_empty() {
            break;
        }
    }
    Ok(messages)
}

async fn create(client: &Client, name: String, topic: String, private: bool) -> Net {
    let room = NewRoom {
        name: name.clone(),
        topic,
        private,
        ..NewRoom::default()
    };
    match client.create_room(room).await {
        Ok(_) => Net::Open(name),
        Err(error) => failed(&format!("{name} is not made"), &error),
    }
}

async fn change_room(client: &Client, room: &str, edit: RoomEdit) -> Net {
    let text = match &edit {
        RoomEdit::Kick(name) => format!("{name} is not in {room} any more"),
        RoomEdit::Ban(name) => format!("{name} is banned from {room}"),
        RoomEdit::Unban(name) => format!("{name} is not banned from {room}"),
        RoomEdit::Role(name, role) => format!("{name} is {} in {room}", role.name()),
        RoomEdit::Topic(_) => format!("the topic of {room} is set"),
        RoomEdit::Name(name) => format!("{room} is {name} now"),
        RoomEdit::Private(true) => format!("{room} is private"),
        RoomEdit::Private(false) => format!("{room} is public"),
        RoomEdit::AnnounceOnly(true) => format!("only admins and owners write in {room}"),
        RoomEdit::KeepsEdits(true) => format!("{room} keeps earlier texts from now on"),
        RoomEdit::KeepsEdits(false) => format!("{room} keeps no earlier texts any more"),
        RoomEdit::AnnounceOnly(false) => format!("all members write in {room}"),
        RoomEdit::Archive => format!("{room} is archived"),
        _ => format!("{room} is changed"),
    };
    match client.change_room(room, edit).await {
        Ok(_) => done(&text),
        Err(error) => failed(&format!("{room} is as it was"), &error),
    }
}

async fn members(client: &Client, room: String, reports: &Reports) {
    let mut members = Vec::new();
    let mut token = String::new();
    loop {
        let Ok(page) = client.list_members(&room, LISTED, &token).await else {
            return;
        };
        members.extend(page.members.into_iter().map(|one| Member {
            sign: match one.role {
                Some(MemberRole::Owner) => '@',
                Some(MemberRole::Admin) => '+',
                _ => ' ',
            },
            name: one.username,
        }));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let order = |sign: char| match sign {
        '@' => 0,
        '+' => 1,
        _ => 2,
    };
    members.sort_by_key(|one| (order(one.sign), one.name.to_lowercase()));
    report(reports, Net::Members { room, members });
}
