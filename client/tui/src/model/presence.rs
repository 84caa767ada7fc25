//! The presence of other accounts: which are connected, and which are writing.

use std::collections::BTreeMap;

use tercet_client::PresenceState;

use super::{Effect, Model};
use crate::conversation::key;

/// The shortest time between two reports that the person is writing, in milliseconds.
const TYPING_MS: i64 = 3_000;
/// The accounts that are asked about at once.
const ASKED_MAX: usize = 100;

/// The presence of others. The cluster does not store it, and neither does the cache.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// The accounts that are connected, and whether they are away.
    connected: BTreeMap<String, bool>,
    /// The accounts that are writing, by conversation, with the time until which it is shown.
    writing: BTreeMap<String, Vec<(String, i64)>>,
    /// When others were last told that the person is writing, and where.
    told: (String, i64),
}

impl Model {
    /// Returns the sign of an account: connected, away, or none.
    #[must_use]
    pub fn presence_sign(&self, name: &str) -> &'static str {
        match self.others.connected.get(&key(name)) {
            Some(false) => " ●",
            Some(true) => " ○",
            None => "",
        }
    }

    pub(super) fn presence_came(&mut self, name: &str, state: PresenceState) {
        let is_away = match state {
            PresenceState::Online => Some(false),
            PresenceState::Away => Some(true),
            _ => None,
        };
        match is_away {
            Some(is_away) => _ = self.others.connected.insert(key(name), is_away),
            None => _ = self.others.connected.remove(&key(name)),
        }
    }

    /// Asks which accounts of direct conversations and of the open room are connected.
    pub(super) fn ask_for_presence(&self, effects: &mut Vec<Effect>) {
        let members = self.opened().into_iter().flat_map(|open| &open.members);
        let direct = self.conversations.values().filter(|one| !one.is_room());
        let names = members
            .map(|member| &member.name)
            .chain(direct.map(|one| &one.name));
        let is_other = |name: &&String| !name.eq_ignore_ascii_case(&self.me);
        let mut names: Vec<String> = names.filter(is_other).cloned().collect();
        names.sort();
        names.dedup();
        for names in names.chunks(ASKED_MAX).take(3) {
            effects.push(Effect::Presence(names.to_vec()));
        }
    }

    pub(super) fn writes(&mut self, conversation: &str, name: &str, shown_ms: u32) {
        let until = self.now_ms + i64::from(shown_ms);
        let writing = self.others.writing.entry(key(conversation)).or_default();
        writing.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        writing.push((name.to_owned(), until));
    }

    /// Notes that somebody has written, and is not writing any more.
    pub(super) fn has_written(&mut self, conversation: &str, name: &str) {
        if let Some(writing) = self.others.writing.get_mut(&key(conversation)) {
            writing.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
    }

    /// Returns who is writing in the open conversation, in words; empty for nobody.
    #[must_use]
    pub fn writing_text(&self) -> String {
        let open = self.open.clone().unwrap_or_default();
        let writing = self.others.writing.get(&open).into_iter().flatten();
        let names = writing.filter(|(_, until)| *until > self.now_ms);
        let names: Vec<&str> = names.map(|(name, _)| &**name).collect();
        match names[..] {
            [] => String::new(),
            [one] => format!("{one} is writing …"),
            [one, other] => format!("{one} and {other} are writing …"),
            _ => "several are writing …".to_owned(),
        }
    }

    /// Returns when somebody is not shown as writing any more.
    pub(super) fn writing_until_ms(&self) -> Option<i64> {
        let writing = self.others.writing.get(self.open.as_ref()?)?;
        let ends = writing.iter().map(|(_, until)| *until);
        ends.filter(|until| *until > self.now_ms).min()
    }

    /// Tells others that the person is writing, if it is a message, and not too often.
    pub(super) fn tell_writing(&mut self, effects: &mut Vec<Effect>) {
        let is_connected = self.is_connected();
        let is_message = !self.input.text().trim_start().starts_with('/');
        let Some(open) = self.open_name().filter(|_| is_connected && is_message) else {
            return;
        };
        if !self.settings.tells_writing || open.eq_ignore_ascii_case(&self.me) {
            return;
        }
        let (name, at_ms) = &self.others.told;
        if *name == open && self.now_ms - at_ms < TYPING_MS {
            return;
        }
        self.others.told = (open.clone(), self.now_ms);
        effects.push(Effect::Typing(open));
    }
}
