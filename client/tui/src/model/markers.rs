//! The marker of the reader: a message counts as read if it was on the screen while the person looked at it. The
//! cluster gets the marker, for all devices.

use tercet_client::{Conversation as Listed, ConversationKind};

use super::{Effect, Mode, Model};
use crate::conversation::{Conversation, Older, key};
use crate::view::SMALLEST;

/// The shortest time between two calls that move the marker of one conversation, in milliseconds.
const MARK_PAUSE_MS: i64 = 1_000;
/// The unread messages that are loaded at most, to begin with the first of them.
const UNREAD_LOADED_MAX: u32 = 1_000;

impl Model {
    /// Tells whether the person can see the messages of the open conversation.
    pub(super) fn is_looking(&self) -> bool {
        let is_drawn = self.columns >= SMALLEST.0 && self.rows >= SMALLEST.1;
        self.has_focus && is_drawn && self.thread.is_none() && matches!(self.mode, Mode::Chat)
    }

    /// Counts what is on the screen as read, if the person looks at it, and moves the "new" line to what is not.
    pub(super) fn note_read(&mut self, effects: &mut Vec<Effect>) {
        let me = self.me.clone();
        if let Some(seq) = self.seen_up_to() {
            self.opened_mut(|open| open.read_up_to(seq, &me));
            effects.push(Effect::Save);
        }
        self.opened_mut(|open| {
            if open.has_news && open.unread > 0 && open.marker.is_known {
                open.new_after = Some(open.marker.read);
            }
            open.has_news = false;
        });
    }

    /// Returns the number of the last message that the person can see, if all unread ones before it were seen.
    fn seen_up_to(&self) -> Option<u64> {
        let open = self.opened().filter(|_| self.is_looking())?;
        if open.unread == 0 || open.stays_unread || !open.has_all_unread() {
            return None;
        }
        let unread = open.first_unread()?;
        let (first, last) = self.on_screen()?;
        let seen = open.items.get(unread..=last).filter(|_| unread >= first)?;
        seen.iter()
            .map(|item| item.seq)
            .max()
            .filter(|seq| *seq > 0)
    }

    /// Tells whether the first unread message is on the screen: nobody looks, then.
    #[must_use]
    pub fn is_unread_shown(&self) -> bool {
        let unread = self.opened().and_then(|open| open.first_unread());
        let shown = self.on_screen().map(|(first, _)| first);
        matches!((unread, shown), (Some(unread), Some(first)) if unread >= first)
    }

    /// Tells the cluster what was read since it was last told, not too often.
    pub(super) fn tell_markers(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_connected() {
            return;
        }
        let now_ms = self.now_ms;
        for one in self.conversations.values_mut() {
            if marks_at_ms(one).is_some_and(|at| at <= now_ms) {
                one.marker.calls += 1;
                one.marker.told_at_ms = now_ms;
                effects.push(Effect::MarkRead {
                    name: one.name.clone(),
                    seq: one.marker.read,
                });
            }
        }
    }

    /// Returns when the cluster is told next, in milliseconds since the Unix epoch.
    pub(super) fn marks_at_ms(&self) -> Option<i64> {
        if !self.is_connected() {
            return None;
        }
        self.conversations.values().filter_map(marks_at_ms).min()
    }

    /// Returns what the cluster was not told yet, whatever the time: the person leaves.
    #[must_use]
    pub fn untold_markers(&self) -> Vec<Effect> {
        if !self.is_connected() {
            return Vec::new();
        }
        let untold = self.conversations.values().filter(|one| is_untold(one));
        let mark = |one: &Conversation| Effect::MarkRead {
            name: one.name.clone(),
            seq: one.marker.read,
        };
        untold.map(mark).collect()
    }

    /// Notes the answer of a call that moved a marker: where it is, and the position of the event.
    pub(super) fn marked(&mut self, name: &str, result: Result<(u64, u64), String>) {
        let me = self.me.clone();
        let Some(one) = self.conversations.get_mut(&key(name)) else {
            return;
        };
        one.marker.calls = one.marker.calls.saturating_sub(1);
        match result {
            Ok((seq, cursor)) => {
                one.marker.cursor = one.marker.cursor.max(cursor);
                if one.marker.calls == 0 {
                    one.marker.told = seq;
                    one.read_up_to(seq, &me);
                }
            }
            Err(why) => {
                // The refused call is not repeated until the person reads more.
                one.marker.told = one.marker.read;
                if self.open == Some(key(name)) {
                    self.fail(format!("not marked as read: {why}"));
                }
            }
        }
    }

    /// Notes that an account has read: this one elsewhere, or the other one of a direct conversation.
    pub(super) fn read_elsewhere(
        &mut self,
        name: &str,
        username: &str,
        (seq, cursor): (u64, u64),
        effects: &mut Vec<Effect>,
    ) {
        self.cursor = self.cursor.max(cursor);
        let me = self.me.clone();
        if username.eq_ignore_ascii_case(&me) {
            if let Some(one) = self.conversations.get_mut(&key(name))
                && one.marker_moved(seq, cursor, &me)
            {
                effects.push(Effect::Conversations);
            }
        } else if !name.starts_with('#')
            && let Some(one) = self.conversations.get_mut(&key(username))
        {
            // The other account tells, and sees this one as its peer.
            one.marker.peer_read = one.marker.peer_read.max(seq);
            if let Some(thread) = &mut self.thread
                && key(&thread.shown.name) == key(username)
            {
                thread.shown.marker.peer_read = one.marker.peer_read;
            }
        }
        effects.push(Effect::Save);
    }

    /// Takes over what the list of conversations has about one of them. `cursor` is the position that the list is of.
    pub(super) fn count_of_list(&mut self, one: &Listed, cursor: u64) {
        let me = self.me.clone();
        let conversation = self.conversation(&one.name);
        // A message that came after the list was made has a higher number.
        let later = conversation.items.iter().rev();
        let later = later.take_while(|item| item.seq == 0 || item.seq > one.last_seq);
        let later = later.filter(|item| item.is_countable()).count();
        conversation.last_seq = conversation.last_seq.max(one.last_seq);
        conversation.marker.peer_read = conversation.marker.peer_read.max(one.peer_read_seq);
        if !conversation.marker.is_known {
            conversation.marker.read = one.read_seq;
            conversation.marker.told = one.read_seq;
        }
        let is_uncounted = conversation.marker_moved(one.read_seq, cursor, &me);
        let is_same = conversation.marker.read == one.read_seq;
        if is_uncounted || (is_same && !conversation.has_all_unread()) {
            let count = u32::try_from(one.unread).unwrap_or(u32::MAX);
            conversation.unread = count.saturating_add(u32::try_from(later).unwrap_or(0));
            conversation.mentions = match one.kind {
                ConversationKind::Direct => conversation.unread,
                _ => u32::try_from(one.mentions).unwrap_or(u32::MAX),
            };
        }
    }

    /// Scrolls to the first unread message, or loads older ones until it is there.
    pub(super) fn seek_new(&mut self, effects: &mut Vec<Effect>) {
        let Some(open) = self.opened().filter(|open| open.wants_new) else {
            return;
        };
        if !open.is_fresh {
            return;
        }
        let is_there = open.has_all_unread();
        if !is_there && open.unread <= UNREAD_LOADED_MAX && open.older != Older::None {
            return self.load_older(effects);
        }
        let first = open.first_unread().filter(|_| is_there);
        self.opened_mut(|open| open.wants_new = false);
        if let Some(first) = first {
            self.scroll_from(first);
        }
    }

    pub(super) fn read_all(&mut self, effects: &mut Vec<Effect>) {
        let me = self.me.clone();
        for conversation in self.conversations.values_mut() {
            conversation.read_all(&me);
        }
        effects.push(Effect::Save);
    }

    /// Marks a message of the open conversation and all later ones as unread: that with a number, or else the selected
    /// one, or else the last of somebody else. False if there is none.
    pub(super) fn mark_unread(&mut self, number: Option<u64>, effects: &mut Vec<Effect>) -> bool {
        let me = self.me.clone();
        let Some(open) = self.opened() else {
            self.fail("open a conversation first".to_owned());
            return false;
        };
        let last = || open.items.iter().rfind(|item| item.is_countable());
        let chosen = open.selected().or_else(last).map(|item| item.seq);
        let Some(seq) = number.or(chosen).filter(|seq| *seq > 0) else {
            self.fail("nobody else has written here yet".to_owned());
            return false;
        };
        let name = open.name.clone();
        self.opened_mut(|open| open.selected = None);
        let conversation = self.conversation(&name);
        conversation.unread_from(seq, &me);
        conversation.marker.calls += 1;
        self.tell(format!(
            "{name} is unread from here on, until you open it again"
        ));
        effects.push(Effect::MarkUnread { name, seq });
        effects.push(Effect::Save);
        true
    }

    /// Forgets calls whose answers do not come any more.
    pub(super) fn forget_calls(&mut self) {
        for one in self.conversations.values_mut() {
            one.marker.calls = 0;
        }
    }
}

fn is_untold(one: &Conversation) -> bool {
    one.marker.is_known && one.marker.read > one.marker.told
}

/// Returns when the cluster may be told of a conversation; `None` if there is nothing to tell.
fn marks_at_ms(one: &Conversation) -> Option<i64> {
    let waits = is_untold(one) && one.marker.calls == 0;
    waits.then_some(one.marker.told_at_ms + MARK_PAUSE_MS)
}
