//! The subscription of a session: its events become reports.

use tercet_client::{Error, Event, RefusedKind, Start};
use tokio::time::sleep;

use super::session::Link;
use super::tasks::{PAUSE, load};
use crate::accounts::{Accounts, Session};
use crate::model::{Effect, Net};

/// Passes on the events of the subscription after this cursor, or from now on if it is 0, until the session ends.
pub(super) async fn follow<A: Accounts>(link: Link<A>, session: Session, cursor: u64) {
    let Session { client, name } = session;
    let start = match cursor {
        0 => Start::Now,
        cursor => Start::After(cursor),
    };
    let mut subscription = client.subscribe(start).with_presence();
    let mut is_first = true;
    loop {
        match subscription.next().await {
            Ok(Event::Subscribed {
                cursor,
                replica,
                resumed,
                ..
            }) => {
                link.net(Net::Connected {
                    replica,
                    resumed,
                    cursor,
                });
                if std::mem::take(&mut is_first) {
                    tokio::spawn(load(client.clone(), link.reports.clone()));
                }
            }
            Ok(Event::Message(message)) => link.net(Net::Message(Box::new(message))),
            Ok(Event::Dropped {
                recipient, count, ..
            }) => {
                let text = format!("{count} messages to {recipient} were dropped with the account");
                link.net(Net::Done(Ok(text)));
            }
            Ok(Event::BlockChanged {
                username, blocked, ..
            }) => {
                let what = if blocked {
                    "is blocked now"
                } else {
                    "is not blocked any more"
                };
                link.net(Net::Done(Ok(format!("{username} {what}"))));
            }
            Ok(Event::Lost { why }) => link.net(Net::Lost { why }),
            Ok(Event::Resync { cursor }) => {
                link.net(Net::Gap { cursor });
                tokio::spawn(load(client.clone(), link.reports.clone()));
            }
            Ok(
                Event::Edited { cursor, message }
                | Event::Deleted {
                    cursor, message, ..
                },
            ) => {
                link.net(Net::Changed {
                    cursor,
                    message: Box::new(message),
                });
            }
            Ok(Event::Reaction {
                cursor,
                conversation,
                seq,
                username,
                reaction,
                removed,
                count,
            }) => link.net(Net::Reacted {
                cursor,
                name: conversation,
                seq,
                username,
                reaction,
                removed,
                count,
            }),
            Ok(Event::Pin {
                message,
                username,
                removed,
                ..
            }) if !username.eq_ignore_ascii_case(&name) => {
                let what = if removed {
                    "took the pin back of"
                } else {
                    "pinned"
                };
                let text = format!("{username} {what}: {}", message.body);
                link.net(Net::Done(Ok(text)));
            }
            Ok(Event::LevelChanged {
                conversation,
                level,
                ..
            }) => link.net(Net::Level {
                name: conversation,
                level,
            }),
            Ok(Event::Presence(presence)) => link.net(Net::Presence {
                name: presence.username,
                state: presence.state,
            }),
            Ok(Event::Typing {
                conversation,
                username,
                shown_ms,
                ..
            }) => link.net(Net::Writing {
                conversation,
                name: username,
                shown_ms,
            }),
            Ok(Event::KeywordsChanged { .. }) => {
                link.request(Effect::Keywords { is_shown: false });
            }
            Ok(Event::Read {
                cursor,
                conversation,
                username,
                read_seq,
                ..
            }) => link.net(Net::Read {
                cursor,
                name: conversation,
                username,
                seq: read_seq,
            }),
            #[allow(unreachable_patterns, reason = "the library gets more kinds of events")]
            Ok(_) => {}
            Err(error) if error.may_pass() => {
                link.net(Net::Lost {
                    why: error.to_string(),
                });
            }
            Err(error) => {
                let has_ended = matches!(
                    error,
                    Error::Refused {
                        kind: RefusedKind::NotAuthenticated,
                        ..
                    }
                );
                if has_ended {
                    link.net(Net::Over {
                        why: error.to_string(),
                    });
                    let why = "The session has ended: log in again.".to_owned();
                    return link.net(Net::NeedsLogin {
                        name,
                        is_empty: false,
                        why,
                    });
                }
                // The cursor is of another history: begin anew, and load what is open.
                link.net(Net::Lost {
                    why: error.to_string(),
                });
                sleep(PAUSE).await;
                subscription = client.subscribe(Start::Now).with_presence();
                is_first = true;
                link.net(Net::Gap { cursor: 0 });
            }
        }
    }
}
