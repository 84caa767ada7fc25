//! The thread on the screen: a message and its replies, in place of the conversation that it is a part of.

use tercet_client::Message;

use super::{Effect, Model};
use crate::conversation::{Conversation, Older, key};
use crate::item::{Item, item_of};

/// A thread that is shown.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The number of the message that the others reply to.
    pub seq: u64,
    /// Copies of the messages of the thread, with their scroll and selection. The conversation keeps its own.
    pub shown: Conversation,
}

impl Thread {
    fn has(&self, item: &Item) -> bool {
        item.seq == self.seq || item.reply_to == self.seq
    }
}

impl Model {
    /// Shows the thread of the selected message, or the last one here. False if there is none.
    pub(super) fn open_thread(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.thread.is_some() {
            return self.leave_thread();
        }
        let Some(open) = self.opened() else {
            self.fail("open a conversation first".to_owned());
            return false;
        };
        let last = || {
            open.items
                .iter()
                .rfind(|item| item.reply_to > 0 && item.is_text())
        };
        let chosen = open.selected().or_else(last);
        let Some(seq) = chosen.map(root_of).filter(|seq| *seq > 0) else {
            self.fail("nobody has replied here yet: Alt-Up selects a message".to_owned());
            return false;
        };
        let name = open.name.clone();
        let mut thread = Thread {
            seq,
            shown: Conversation {
                id: open.id,
                topic: open.topic.clone(),
                members: open.members.clone(),
                older: Older::None,
                is_fresh: true,
                marker: open.marker.clone(),
                ..Conversation::new(&name)
            },
        };
        let items = open.items.iter().filter(|item| thread.has(item)).cloned();
        let items: Vec<Item> = items.collect();
        thread.shown.items = items;
        let draft = self.input.take();
        let mut own = String::new();
        self.opened_mut(|open| {
            open.draft = draft;
            open.selected = None;
            own = open.thread_drafts.remove(&seq).unwrap_or_default();
        });
        self.input.set(&own);
        self.thread = Some(thread);
        effects.push(Effect::Thread { name, seq });
        true
    }

    /// Shows the conversation again. The text that was being written stays with the thread. False if there is none.
    pub(super) fn leave_thread(&mut self) -> bool {
        let Some(thread) = self.thread.take() else {
            return false;
        };
        let written = self.input.take();
        let mut draft = String::new();
        self.opened_mut(|open| {
            draft = std::mem::take(&mut open.draft);
            if !written.is_empty() && thread.shown.aim.is_none() {
                open.thread_drafts.insert(thread.seq, written);
            }
        });
        self.input.set(&draft);
        true
    }

    /// Takes over the messages of the thread on the screen.
    pub(super) fn thread_came(
        &mut self,
        name: &str,
        seq: u64,
        messages: Result<Vec<Message>, String>,
    ) {
        let me = self.me.clone();
        let is_it = |thread: &Thread| thread.seq == seq && key(&thread.shown.name) == key(name);
        if !self.thread.as_ref().is_some_and(is_it) {
            return;
        }
        match messages {
            Ok(messages) => {
                for message in messages {
                    let item = item_of(message, &me);
                    self.thread
                        .iter_mut()
                        .for_each(|thread| _ = thread.shown.add(item.clone()));
                }
            }
            Err(why) => self.fail(format!("not the whole thread: {why}")),
        }
    }

    /// Adds a copy of a message to the thread on the screen, if it is a part of it.
    pub(super) fn add_to_thread(&mut self, name: &str, item: &Item) {
        if let Some(thread) = &mut self.thread
            && key(&thread.shown.name) == key(name)
            && thread.has(item)
        {
            thread.shown.add(item.clone());
        }
    }

    /// Does the same with a conversation and with the thread of it that is shown.
    pub(super) fn each_copy(&mut self, name: &str, mut change: impl FnMut(&mut Conversation)) {
        change(self.conversation(name));
        if let Some(thread) = &mut self.thread
            && key(&thread.shown.name) == key(name)
        {
            change(&mut thread.shown);
        }
    }

    /// Returns the text that is written in a conversation and not sent, and those in its threads.
    pub(crate) fn drafts_of(
        &self,
        name: &str,
        one: &Conversation,
    ) -> (String, std::collections::BTreeMap<u64, String>) {
        let mut threads = one.thread_drafts.clone();
        let written = self.input.text().to_owned();
        match &self.thread {
            _ if self.open.as_deref() != Some(name) => (one.draft.clone(), threads),
            None => (written, threads),
            Some(thread) => {
                if !written.is_empty() && thread.shown.aim.is_none() {
                    threads.insert(thread.seq, written);
                }
                (one.draft.clone(), threads)
            }
        }
    }
}

/// Returns the number of the message whose thread a message is in.
fn root_of(item: &Item) -> u64 {
    match item.reply_to {
        0 => item.seq,
        reply_to => reply_to,
    }
}
