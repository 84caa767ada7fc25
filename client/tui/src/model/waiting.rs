//! Changes of messages that the cluster has not answered: they are kept like unsent texts, and asked for again.

use serde::{Deserialize, Serialize};

use super::{Effect, Model};
use crate::conversation::key;

/// A change of a message that has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingChange {
    to: String,
    seq: u64,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Edit { text: String },
    Delete,
    React { reaction: String, remove: bool },
}

impl WaitingChange {
    /// Returns the change that an effect asks for; `None` if it asks for something else.
    fn of(effect: &Effect) -> Option<WaitingChange> {
        let (to, seq, kind) = match effect.clone() {
            Effect::Edit { to, seq, text } => (to, seq, Kind::Edit { text }),
            Effect::Delete { to, seq } => (to, seq, Kind::Delete),
            Effect::React {
                to,
                seq,
                reaction,
                remove,
            } => (to, seq, Kind::React { reaction, remove }),
            _ => return None,
        };
        Some(WaitingChange { to, seq, kind })
    }

    fn effect(&self) -> Effect {
        let (to, seq) = (self.to.clone(), self.seq);
        match self.kind.clone() {
            Kind::Edit { text } => Effect::Edit { to, seq, text },
            Kind::Delete => Effect::Delete { to, seq },
            Kind::React { reaction, remove } => Effect::React {
                to,
                seq,
                reaction,
                remove,
            },
        }
    }
}

impl Model {
    /// Passes an effect on. A change of a message waits for its answer, and is shown to do so.
    pub(super) fn carry_out(&mut self, effect: Effect, effects: &mut Vec<Effect>) {
        if let Some(change) = WaitingChange::of(&effect) {
            self.each_copy(&change.to, |one| {
                if let Some(item) = one.numbered_mut(change.seq) {
                    item.is_changing = true;
                }
            });
            self.waiting.push(change);
            effects.push(Effect::Save);
        }
        effects.push(effect);
    }

    /// Notes the answer to the oldest change of a message.
    pub(super) fn change_answered(
        &mut self,
        name: &str,
        seq: u64,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let is_it = |one: &WaitingChange| key(&one.to) == key(name) && one.seq == seq;
        if let Some(at) = self.waiting.iter().position(is_it) {
            self.waiting.remove(at);
        }
        self.each_copy(name, |one| {
            if let Some(item) = one.numbered_mut(seq) {
                item.is_changing = false;
            }
        });
        if let Err(why) = result {
            self.fail(why);
        }
        effects.push(Effect::Save);
    }

    /// Returns the changes that wait, in their order, to ask for them again.
    pub(super) fn changes_that_wait(&self) -> impl Iterator<Item = Effect> {
        self.waiting.iter().map(WaitingChange::effect)
    }

    /// Shows of each message with a change that it waits.
    pub(crate) fn mark_waiting(&mut self) {
        for change in self.waiting.clone() {
            if let Some(one) = self.conversations.get_mut(&key(&change.to))
                && let Some(item) = one.numbered_mut(change.seq)
            {
                item.is_changing = true;
            }
        }
    }
}
