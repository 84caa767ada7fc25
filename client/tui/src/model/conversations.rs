//! Which conversation is open, what is unread, and what disturbs.

use tercet_client::{Conversation as Listed, has_keyword};

use super::{Effect, Mode, Model, Notify};
use crate::conversation::{Conversation, Scroll, key};
use crate::item::{Item, Mark};
use crate::text::{fit, mentions, one_line};

impl Model {
    /// Puts a conversation on the screen. The text that was being written stays with the one before.
    pub fn open(&mut self, name: &str, effects: &mut Vec<Effect>) {
        self.leave_thread();
        let wanted = key(name);
        if self.open.as_ref() != Some(&wanted) {
            let draft = self.input.take();
            self.opened_mut(|open| {
                open.draft = draft;
                open.stays_unread = false;
                open.selected = None;
            });
        }
        let is_connected = self.is_connected();
        let conversation = self.conversation(name);
        let has_unread = conversation.unread > 0 && conversation.marker.is_known;
        conversation.new_after = has_unread.then_some(conversation.marker.read);
        conversation.wants_new = has_unread;
        conversation.has_news = false;
        conversation.stays_unread = false;
        let draft = std::mem::take(&mut conversation.draft);
        let is_room = conversation.is_room();
        if is_connected && !conversation.is_fresh {
            let name = conversation.name.clone();
            effects.push(Effect::History {
                name: name.clone(),
                token: None,
            });
            if is_room {
                effects.push(Effect::Members(name));
            }
        }
        if self.open.as_ref() != Some(&wanted) {
            self.input.set(&draft);
            self.open = Some(wanted);
        }
        self.completion = None;
        self.mode = Mode::Chat;
        self.seek_new(effects);
        self.ask_for_delivery();
        effects.push(Effect::Save);
    }

    /// Takes the open conversation from the list.
    pub(super) fn close(&mut self, effects: &mut Vec<Effect>) {
        let Some(open) = self.open.clone() else {
            return;
        };
        if open.starts_with('#') {
            return self.fail("a room stays in the list until you /leave it".to_owned());
        }
        self.step(1, effects);
        if let Some(closed) = self.conversations.remove(&open) {
            self.closed.insert(open.clone(), closed.last_seq);
        }
        if self.open.as_ref() == Some(&open) {
            self.open = None;
        }
        effects.push(Effect::Save);
    }

    /// Tells whether the person has taken a conversation from the list, and nothing came since.
    pub(super) fn is_closed(&self, one: &Listed) -> bool {
        let closed = self.closed.get(&key(&one.name));
        closed.is_some_and(|last_seq| one.last_seq <= *last_seq && one.unread == 0)
    }

    /// Opens the conversation so many places further in the list.
    pub(super) fn step(&mut self, by: isize, effects: &mut Vec<Effect>) {
        let keys: Vec<&String> = self.conversations.keys().collect();
        if keys.is_empty() {
            return;
        }
        let at = keys.iter().position(|key| Some(*key) == self.open.as_ref());
        let last = keys.len() as isize;
        let next = at.map_or(0, |at| (at as isize + by).rem_euclid(last));
        let name = self.conversations[keys[next as usize]].name.clone();
        self.open(&name, effects);
    }

    /// Opens the next conversation with unread messages: mentions and persons first.
    pub(super) fn next_active(&mut self, effects: &mut Vec<Effect>) {
        let is_open = |one: &&Conversation| Some(key(&one.name)) != self.open;
        let active = self.loud().filter(is_open);
        let next = active.min_by_key(|one| (one.mentions == 0 && one.is_room(), one.name.clone()));
        match next.map(|one| one.name.clone()) {
            Some(name) => self.open(&name, effects),
            None => self.tell("nothing is unread".to_owned()),
        }
    }

    /// Adds a message that is on its way, and sends it.
    pub(super) fn add_pending(
        &mut self,
        to: &str,
        text: String,
        reply_to: u64,
        effects: &mut Vec<Effect>,
    ) {
        let id = (self.settings.new_id)();
        let (me, now_ms) = (self.me.clone(), self.now_ms);
        let item = Item {
            id: id.clone(),
            sender: me,
            text: text.clone(),
            at_ms: now_ms,
            mark: Mark::Sending,
            is_mine: true,
            reply_to,
            ..Item::default()
        };
        self.add_to_thread(to, &item);
        self.opened_mut(|open| open.scroll = Scroll::Bottom);
        let conversation = self.conversation(to);
        conversation.add(item);
        conversation.scroll = Scroll::Bottom;
        conversation.new_after = None;
        conversation.wants_new = false;
        let to = conversation.name.clone();
        effects.push(Effect::Send {
            id,
            to,
            text,
            reply_to,
        });
        effects.push(Effect::Save);
    }

    /// Tells of a message that came: counts it, and rings. `mentions_me` is what the cluster says.
    pub(super) fn disturb(
        &mut self,
        name: &str,
        (text, mentions_me): (&str, bool),
        from: &str,
        effects: &mut Vec<Effect>,
    ) {
        let is_seen = self.is_looking() && self.open.as_deref() == Some(&*key(name));
        let is_named = mentions_me || mentions(text, &self.me) || has_keyword(text, &self.keywords);
        let is_mention = !name.starts_with('#') || is_named;
        let conversation = self.conversation(name);
        conversation.has_news |= conversation.unread == 0;
        conversation.unread += 1;
        conversation.mentions += u32::from(is_mention);
        let is_muted = conversation.is_muted;
        if !is_mention || is_muted || self.is_quiet() || is_seen {
            return;
        }
        if self.settings.bell {
            effects.push(Effect::Bell);
        }
        if self.settings.notify != Notify::Off {
            let body = fit(&one_line(text), 120);
            effects.push(Effect::Notify {
                title: one_line(from),
                body,
            });
        }
    }
}
