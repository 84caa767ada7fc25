//! The list of conversations: what the cluster lists, what was left, and rooms that get another name.

use std::collections::BTreeMap;

use tercet_client::{Conversation as Listed, ConversationKind};

use super::net::LOBBY;
use super::{Effect, Model};
use crate::conversation::{Conversation, key};

impl Model {
    /// Takes a room from the list that the person is not in any more.
    pub(super) fn is_out(&mut self, name: &str, why: String, effects: &mut Vec<Effect>) {
        self.conversations.remove(&key(name));
        if self.open == Some(key(name)) {
            self.leave_thread();
            self.open = None;
            self.step(0, effects);
        }
        self.tell(why);
        effects.push(Effect::Save);
    }

    /// Returns the conversation with this name. A room is found by its id, too: it may have another name than before.
    pub(super) fn room(&mut self, id: u64, name: &str) -> &mut Conversation {
        let wanted = key(name);
        let is_known = |one: &Conversation| one.id == id;
        if id > 0 && !self.conversations.get(&wanted).is_some_and(is_known) {
            let mut rooms = self.conversations.iter();
            let former = rooms.find(|(_, one)| one.id == id);
            if let Some(former) = former.map(|(key, _)| key.clone())
                && let Some(mut room) = self.conversations.remove(&former)
            {
                name.clone_into(&mut room.name);
                // Another room with that name is archived: no message comes from it any more.
                self.conversations.insert(wanted.clone(), room);
                if self.open == Some(former) {
                    self.open = Some(wanted);
                    if let Some(thread) = &mut self.thread {
                        name.clone_into(&mut thread.shown.name);
                    }
                }
            }
        }
        let room = self.conversation(name);
        if room.id != id && room.id > 0 {
            *room = Conversation::new(name);
        }
        room.id = id;
        room
    }

    pub(super) fn listed(&mut self, listed: Vec<Listed>, cursor: u64, effects: &mut Vec<Effect>) {
        // Rooms that are archived, and accounts that are deleted, may share their name with a later one.
        let is_over = |one: &Listed| one.archived || one.peer_deleted;
        let mut named: BTreeMap<String, &Listed> = BTreeMap::new();
        for one in &listed {
            let other = named.entry(key(&one.name)).or_insert(one);
            if is_over(other) && !is_over(one) {
                *other = one;
            }
        }
        for one in named.values() {
            if self.is_closed(one) {
                continue;
            }
            // Direct conversations are found by their name.
            let id = match one.kind {
                ConversationKind::Room | ConversationKind::Feed => one.conversation_id,
                _ => 0,
            };
            let conversation = self.room(id, &one.name);
            conversation.is_listed = true;
            one.topic.clone_into(&mut conversation.topic);
            one.name.clone_into(&mut conversation.name);
            conversation.set_level(one.level);
            if let Some(last) = &one.last_message {
                conversation.preview = format!("{}: {}", last.sender, last.text);
            }
            self.count_of_list(one, cursor);
        }
        // A room that is not listed any more was left elsewhere. One that never was, or that has newer messages, is newer
        // than the list.
        self.conversations.retain(|key, one| {
            let is_kept = !one.is_room() || named.contains_key(key) || !one.is_listed;
            is_kept || one.items.iter().any(|item| item.cursor > cursor)
        });
        if self
            .open
            .as_ref()
            .is_some_and(|open| !self.conversations.contains_key(open))
        {
            self.leave_thread();
            self.open = None;
        }
        if self.open.is_none() && self.is_first_run && !self.conversations.contains_key(LOBBY) {
            effects.push(Effect::Join {
                name: LOBBY.to_owned(),
                may_create: true,
            });
        } else if self.open.is_none() {
            let first = if self.conversations.contains_key(LOBBY) {
                Some(LOBBY)
            } else {
                None
            };
            match first {
                Some(lobby) => self.open(lobby, effects),
                None => self.step(0, effects),
            }
        }
        effects.push(Effect::Save);
    }
}
