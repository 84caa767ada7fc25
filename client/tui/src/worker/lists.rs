//! The requests for lists that are shown in a box.

use chrono::{DateTime, Local, Utc};
use tercet_client::{Client, RoomEdit};

use super::requests::{LISTED, PAGE, Reports, failed, report};
use crate::item::conversation_of;
use crate::model::{Choice, Effect, Net};

/// The hits of a search that are listed.
const HITS: usize = 100;

/// Carries out a request for a list.
pub(super) async fn carry_out(client: &Client, me: &str, effect: Effect, reports: &Reports) {
    let net = match effect {
        Effect::Pins(name) => match client.list_pins(&name).await {
            Ok(pins) => {
                let rows = pins.into_iter().map(|pin| {
                    let message = pin.message;
                    let name = name.clone();
                    let text = format!(
                        "{} {}: {}  (pinned by {})",
                        day_and_time(message.sent_at_ms),
                        message.sender,
                        message.body,
                        pin.pinned_by
                    );
                    let cursor = message.cursor;
                    (text, Choice::Message { name, cursor })
                });
                Net::Listing {
                    title: format!("Pinned in {name}"),
                    rows: rows.collect(),
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Who(pattern) => match client.list_accounts(&pattern, LISTED, "").await {
            Ok(page) => {
                let names = page.accounts.into_iter().map(|one| one.username);
                let rows = names
                    .map(|name| (name.clone(), Choice::Open(name)))
                    .collect();
                Net::Listing {
                    title: "People".to_owned(),
                    rows,
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Rooms(pattern) => match client.list_rooms(&pattern, LISTED, "").await {
            Ok(page) => {
                let rows = page.rooms.into_iter().map(|room| {
                    let (what, choice) = match room.role {
                        Some(role) => (role.name(), Choice::Open(room.name.clone())),
                        None => ("join", Choice::Join(room.name.clone())),
                    };
                    (
                        format!("{:<24} {what:<8} {}", room.name, room.topic),
                        choice,
                    )
                });
                Net::Listing {
                    title: "Rooms".to_owned(),
                    rows: rows.collect(),
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Edits { name, seq } => match client.list_edits(&name, seq).await {
            Ok(texts) if texts.is_empty() => Net::Done(Ok(
                "the room kept no earlier text of this message".to_owned(),
            )),
            Ok(texts) => {
                let rows = texts.into_iter().map(|one| {
                    let text = format!("{} {}", day_and_time(one.written_at_ms), one.body);
                    (text, Choice::Nothing)
                });
                Net::Listing {
                    title: "Earlier texts, the oldest first".to_owned(),
                    rows: rows.collect(),
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Keywords { is_shown } => match client.list_keywords().await {
            Ok(words) if !is_shown => Net::Keywords(words),
            Ok(words) => {
                let rows = words.into_iter().map(|word| {
                    let text = format!("{word}  (Enter removes it)");
                    let remove = true;
                    (text, Choice::Do(Effect::Keyword { word, remove }))
                });
                Net::Listing {
                    title: "Your keywords".to_owned(),
                    rows: rows.collect(),
                }
            }
            // A cluster without them has none.
            Err(_) if !is_shown => return,
            Err(error) => failed("no list", &error),
        },
        Effect::Mentions => match client.list_mentions(PAGE, "").await {
            Ok(page) => {
                let rows = page.mentions.into_iter().map(|mention| {
                    let message = mention.message;
                    let name = conversation_of(&message, me);
                    let text = format!(
                        "{} {name}  {}: {}",
                        day_and_time(message.sent_at_ms),
                        message.sender,
                        message.body
                    );
                    let cursor = message.cursor;
                    (text, Choice::Message { name, cursor })
                });
                Net::Listing {
                    title: "Messages that mention you".to_owned(),
                    rows: rows.collect(),
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Search(query) => return search(client, me, &query, reports).await,
        Effect::Blocks => match client.list_blocks(LISTED, "").await {
            Ok(page) => {
                let rows = page.blocks.into_iter().map(|one| {
                    let text = format!("{}  (Enter ends the block)", one.username);
                    (text, Choice::Do(Effect::Unblock(one.username)))
                });
                Net::Listing {
                    title: "You block".to_owned(),
                    rows: rows.collect(),
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Sessions => return sessions(client, reports).await,
        Effect::Bans(room) => match client.list_bans(&room, LISTED, "").await {
            Ok(page) => {
                let rows = page.bans.into_iter().map(|one| {
                    let text = format!(
                        "{}, by {}  (Enter ends the ban)",
                        one.username, one.banned_by
                    );
                    let edit = RoomEdit::Unban(one.username);
                    let room = room.clone();
                    (text, Choice::Do(Effect::ChangeRoom { room, edit }))
                });
                Net::Listing {
                    title: format!("Banned from {room}"),
                    rows: rows.collect(),
                }
            }
            Err(error) => failed("no list", &error),
        },
        Effect::Profile(name) => profile(client, &name).await,
        _ => return,
    };
    report(reports, net);
}

pub(super) async fn profile(client: &Client, name: &str) -> Net {
    let account = match client.profile(name).await {
        Ok(account) => account,
        Err(error) => return failed("no profile", &error),
    };
    let made = DateTime::<Utc>::from_timestamp_millis(account.created_at_ms).unwrap_or_default();
    let made = made.with_timezone(&Local).format("%Y-%m-%d").to_string();
    let or_none = |text: &str| if text.is_empty() { "none" } else { text }.to_owned();
    let rows = [
        ("display name", or_none(&account.display_name)),
        ("status", or_none(&account.status_text)),
        ("account since", made),
    ];
    let rows = rows.map(|(what, text)| (format!("{what:<14} {text}"), Choice::Nothing));
    let mut rows = rows.to_vec();
    let name = account.username;
    rows.push((
        format!("write to {name}  (Enter)"),
        Choice::Open(name.clone()),
    ));
    Net::Listing { title: name, rows }
}

/// Searches page by page until there are enough hits, or no more.
async fn search(client: &Client, me: &str, query: &str, reports: &Reports) {
    let mut rows = Vec::new();
    let mut token = String::new();
    while rows.len() < HITS {
        let page = match client.search_messages(query, PAGE, &token).await {
            Ok(page) => page,
            Err(error) => return report(reports, failed("not searched", &error)),
        };
        for hit in page.hits {
            let message = hit.message;
            let name = conversation_of(&message, me);
            let at = day_and_time(message.sent_at_ms);
            let text = format!("{at} {name}  {}: {}", message.sender, message.body);
            rows.push((
                text,
                Choice::Message {
                    name,
                    cursor: message.cursor,
                },
            ));
        }
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    report(
        reports,
        Net::Listing {
            title: format!("Found: {query}"),
            rows,
        },
    );
}

async fn sessions(client: &Client, reports: &Reports) {
    let net = match client.list_sessions().await {
        Ok(sessions) => {
            let rows = sessions.into_iter().map(|one| {
                let label = if one.label.is_empty() {
                    "no label"
                } else {
                    &one.label
                };
                let text = format!("{label}  (Enter ends the session)");
                (text, Choice::Do(Effect::EndSession(one.session_id.clone())))
            });
            Net::Listing {
                title: "Your sessions".to_owned(),
                rows: rows.collect(),
            }
        }
        Err(error) => failed("no list", &error),
    };
    report(reports, net);
}

fn day_and_time(ms: i64) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    at.with_timezone(&Local)
        .format("%Y-%m-%d %H:%M")
        .to_string()
}
