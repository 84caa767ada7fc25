//! Whether the other account has received direct messages. No event tells, so the chat asks: a few times, and only for the
//! conversation on the screen.

use tercet_client::Message;

use super::{Effect, Model};
use crate::conversation::Conversation;
use crate::item::{Item, Mark, item_of};

/// The pauses before each question, in milliseconds.
const PAUSES_MS: [i64; 5] = [700, 2_000, 5_000, 20_000, 60_000];

/// The questions about a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Questions {
    /// When the next one is due, in milliseconds since the Unix epoch; `None` for never.
    at_ms: Option<i64>,
    asked: usize,
}

fn has_undelivered(one: &Conversation) -> bool {
    let is_waiting = |item: &Item| item.mark == Mark::Sent && item.seq > one.marker.peer_read;
    !one.is_room() && one.items.iter().rev().take(PAGE).any(is_waiting)
}

/// The newest messages that are asked about.
pub const PAGE: usize = 50;

impl Model {
    /// Begins to ask about the open conversation, if a message of the person waits there.
    pub(super) fn ask_for_delivery(&mut self) {
        let now_ms = self.now_ms;
        self.opened_mut(|open| {
            let is_needed = has_undelivered(open);
            open.questions = Questions {
                at_ms: is_needed.then_some(now_ms + PAUSES_MS[0]),
                asked: 0,
            };
        });
    }

    /// Asks, if it is time.
    pub(super) fn tell_delivery(&mut self, effects: &mut Vec<Effect>) {
        let now_ms = self.now_ms;
        if self.delivery_at_ms().is_none_or(|at| at > now_ms) {
            return;
        }
        let mut name = None;
        self.opened_mut(|open| {
            open.questions.asked += 1;
            let pause = PAUSES_MS.get(open.questions.asked);
            open.questions.at_ms = pause.map(|pause| now_ms + pause);
            if has_undelivered(open) {
                name = Some(open.name.clone());
            } else {
                open.questions.at_ms = None;
            }
        });
        effects.extend(name.map(Effect::Newest));
    }

    /// Returns when the next question is due.
    pub(super) fn delivery_at_ms(&self) -> Option<i64> {
        let open = self.opened().filter(|_| self.is_connected())?;
        open.questions.at_ms
    }

    /// Brings messages that are loaded up to date.
    pub(super) fn newest_came(&mut self, name: &str, messages: Vec<Message>) {
        let me = self.me.clone();
        for message in messages {
            let item = item_of(message, &me);
            self.each_copy(name, |one| {
                if one.numbered(item.seq).is_some() {
                    one.add(item.clone());
                }
            });
        }
    }
}
