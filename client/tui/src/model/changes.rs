//! Changes of messages and of rooms: which message is meant, and what is asked of the cluster.

use tercet_client::{MemberRole, RoomEdit};
use tercet_types::name::{is_name, room_name};

use super::{Effect, Model};
use crate::conversation::Aim;
use crate::item::Item;
use crate::text::{emoji_of_names, fit, one_line};

/// The bytes of a reaction.
const REACTION_BYTES_MAX: usize = 32;
/// The cells of a text that a question shows.
const SHOWN: usize = 50;

/// The one who wrote the message that a command means when none is selected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Me,
    Others,
}

impl Model {
    /// Returns the selected message, or else the last one; `None`, with a notice, if there is none that can be changed.
    fn meant(&mut self, by: By) -> Option<Item> {
        let Some(open) = self.opened() else {
            self.fail("open a conversation first".to_owned());
            return None;
        };
        let last = || {
            let is_meant = |item: &&Item| item.is_text() && item.is_mine == (by == By::Me);
            open.items.iter().rfind(is_meant)
        };
        let found = open.selected().or_else(last).cloned();
        let why = match &found {
            None if by == By::Me => "you have sent nothing here yet",
            None => "nobody else has written here yet",
            Some(item) if item.is_system => "this line is not a message of a person",
            Some(item) if item.is_deleted => "this message is deleted",
            Some(item) if item.seq == 0 => "your last message is not sent yet",
            Some(_) => return found,
        };
        self.fail(why.to_owned());
        None
    }

    /// Returns the message to edit, as [`Model::meant`] does.
    fn meant_to_edit(&mut self) -> Option<Item> {
        let item = self.meant(By::Me)?;
        if !item.is_mine {
            self.fail("only your own messages can be edited".to_owned());
            return None;
        }
        Some(item)
    }

    /// Puts a message into the input, to be edited. False if there is none.
    pub(super) fn begin_edit(&mut self) -> bool {
        match self.meant_to_edit() {
            Some(item) => {
                self.aim_at(&item);
                true
            }
            None => false,
        }
    }

    fn aim_at(&mut self, item: &Item) {
        self.end_aim();
        let kept = self.input.take();
        // Its beginning is not the one of a command.
        let is_slashed = item.text.starts_with('/') && !item.text.contains('\n');
        let slash = if is_slashed { "/" } else { "" };
        self.input.set(&format!("{slash}{}", item.text));
        let seq = item.seq;
        self.opened_mut(|open| open.aim = Some(Aim::Edit { seq, kept }));
    }

    /// Edits the message that Up has recalled, or else as `/edit` does.
    pub(super) fn edit_by_key(&mut self) {
        let written = self.input.text();
        let recalled = self.opened().filter(|_| self.recall.at.is_some());
        let is_it = |item: &&Item| item.is_mine && item.is_text() && item.text == written;
        let item = recalled.and_then(|open| open.items.iter().rfind(is_it).cloned());
        let Some(item) = item.filter(|item| item.seq > 0) else {
            self.begin_edit();
            return;
        };
        let kept = self
            .recall
            .at
            .take()
            .map_or(String::new(), |(_, kept)| kept);
        self.input.set(&kept);
        self.aim_at(&item);
    }

    /// Makes the next text a reply. False if there is nothing to reply to.
    pub(super) fn begin_reply(&mut self) -> bool {
        let Some(item) = self.meant(By::Others) else {
            return false;
        };
        self.end_aim();
        self.opened_mut(|open| open.aim = Some(Aim::Reply { seq: item.seq }));
        true
    }

    /// Makes the input the one of a new message again; false if it is already.
    pub(super) fn end_aim(&mut self) -> bool {
        let mut aim = None;
        self.opened_mut(|open| aim = open.aim.take());
        if let Some(Aim::Edit { kept, .. }) = &aim {
            self.input.set(kept);
        }
        aim.is_some()
    }

    /// Returns what the text in the input is for, in words; `None` for a new message.
    #[must_use]
    pub fn aim_text(&self) -> Option<String> {
        let open = self.opened()?;
        let shown = |seq| {
            open.numbered(seq)
                .map(|item| (item.sender.clone(), one_line(&item.text)))
        };
        Some(match open.aim.as_ref()? {
            Aim::Edit { seq, .. } => format!(
                "Enter changes your message, Esc leaves it: {}",
                shown(*seq).map_or(String::new(), |(_, text)| text)
            ),
            Aim::Reply { seq } => {
                let (sender, text) = shown(*seq).unwrap_or_default();
                format!("a reply to {sender}, Esc for none: {text}")
            }
        })
    }

    /// Asks for another text of a message. False if it is too long, or the same.
    pub(super) fn edit(&mut self, seq: u64, text: &str, effects: &mut Vec<Effect>) -> bool {
        let Some(text) = self.body_of(text) else {
            return false;
        };
        let old = self.opened().and_then(|open| open.numbered(seq));
        if old.is_some_and(|old| old.text == text) {
            self.tell("the message is as it was".to_owned());
            return true;
        }
        let to = self.open_name().unwrap_or_default();
        self.carry_out(Effect::Edit { to, seq, text }, effects);
        true
    }

    /// Carries out a command about a message; false if its arguments are wrong, or there is no message.
    pub(super) fn change_message(
        &mut self,
        word: &str,
        argument: &str,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let to = self.open_name().unwrap_or_default();
        match word {
            "edit" => {
                let item = self.meant_to_edit();
                return item.is_some_and(|item| self.edit(item.seq, argument, effects));
            }
            "reply" => {
                let Some(item) = self.meant(By::Others) else {
                    return false;
                };
                let Some(text) = self.body_of(argument) else {
                    return false;
                };
                self.add_pending(&to, text, item.seq, effects);
            }
            "delete" if argument.is_empty() => {
                let Some(item) = self.meant(By::Me) else {
                    return false;
                };
                let open = self.opened();
                let sign = open.and_then(|open| open.sign_of(&self.me));
                let is_direct = open.is_some_and(|open| !open.is_room());
                if !item.is_mine && (is_direct || sign == Some(' ')) {
                    self.fail(
                        "messages of others are deleted by admins and owners of rooms".to_owned(),
                    );
                    return false;
                }
                let text = fit(&one_line(&item.text), SHOWN);
                let effect = Effect::Delete { to, seq: item.seq };
                let whose = if item.is_mine {
                    "your message"
                } else {
                    &item.sender
                };
                self.confirm(
                    "Erase this message?",
                    &format!("erase {whose}: {text}"),
                    effect,
                );
            }
            "edits" if argument.is_empty() => {
                let open = self.opened();
                let edited = || open?.items.iter().rfind(|item| item.is_edited);
                let Some(item) = open.and_then(|open| open.selected()).or_else(edited) else {
                    self.fail("no loaded message here was edited".to_owned());
                    return false;
                };
                let seq = item.seq;
                effects.push(Effect::Edits { name: to, seq });
            }
            "pin" | "unpin" if argument.is_empty() => {
                let Some(item) = self.meant(By::Others) else {
                    return false;
                };
                effects.push(Effect::Pin {
                    to,
                    seq: item.seq,
                    remove: word == "unpin",
                });
            }
            "react" | "unreact" => {
                let reaction = emoji_of_names(argument);
                let is_one =
                    !reaction.is_empty() && !reaction.contains(|c: char| c.is_whitespace());
                if !is_one || reaction.len() > REACTION_BYTES_MAX {
                    return false;
                }
                let Some(item) = self.meant(By::Others) else {
                    return false;
                };
                let effect = Effect::React {
                    to,
                    seq: item.seq,
                    reaction,
                    remove: word == "unreact",
                };
                self.carry_out(effect, effects);
            }
            _ => return false,
        }
        true
    }

    /// Carries out a command about the open room; false if its arguments are wrong.
    pub(super) fn change_room(
        &mut self,
        word: &str,
        argument: &str,
        room: &str,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let named = is_name(argument);
        let edit = match (word, argument) {
            ("kick", name) if named => RoomEdit::Kick(name.to_owned()),
            ("ban", name) if named => {
                let effect = Effect::ChangeRoom {
                    room: room.to_owned(),
                    edit: RoomEdit::Ban(name.to_owned()),
                };
                self.confirm(
                    &format!("Keep {name} out?"),
                    &format!("ban {name} from {room}"),
                    effect,
                );
                return true;
            }
            ("unban", name) if named => RoomEdit::Unban(name.to_owned()),
            ("bans", "") => {
                effects.push(Effect::Bans(room.to_owned()));
                return true;
            }
            ("promote", rest) => {
                let Some((name, role)) = rest.split_once(' ') else {
                    return false;
                };
                let role = match role.trim() {
                    "member" => MemberRole::Member,
                    "admin" => MemberRole::Admin,
                    "owner" => MemberRole::Owner,
                    _ => return false,
                };
                RoomEdit::Role(name.to_owned(), role)
            }
            ("topic", "") => {
                let topic = self.opened().map(|open| one_line(&open.topic));
                let topic = topic.filter(|topic| !topic.is_empty());
                let shown = topic.map_or(format!("{room} has no topic"), |topic| {
                    format!("the topic of {room}: {topic}")
                });
                self.tell(shown);
                return true;
            }
            ("topic", "-") => RoomEdit::Topic(String::new()),
            ("topic", topic) => RoomEdit::Topic(topic.to_owned()),
            ("rename", name) if room_name(name).is_some() => RoomEdit::Name(name.to_owned()),
            ("set", "public") => RoomEdit::Private(false),
            ("set", "private") => RoomEdit::Private(true),
            ("set", "announce-only") => RoomEdit::AnnounceOnly(true),
            ("set", "keep-edits") => RoomEdit::KeepsEdits(true),
            ("set", "forget-edits") => RoomEdit::KeepsEdits(false),
            ("set", "open") => RoomEdit::AnnounceOnly(false),
            ("set", "mentions-restricted") => RoomEdit::MentionsRestricted(true),
            ("set", "mentions-open") => RoomEdit::MentionsRestricted(false),
            ("archive", "") => {
                let effect = Effect::ChangeRoom {
                    room: room.to_owned(),
                    edit: RoomEdit::Archive,
                };
                self.confirm(
                    &format!("Close {room} for good?"),
                    "nobody writes there any more, and its name is free",
                    effect,
                );
                return true;
            }
            _ => return false,
        };
        effects.push(Effect::ChangeRoom {
            room: room.to_owned(),
            edit,
        });
        true
    }

    /// Copies the selected message, or the last one; false if there is none.
    pub(super) fn copy_last(&mut self, effects: &mut Vec<Effect>) -> bool {
        let open = self.opened();
        let last = open.and_then(|open| open.items.iter().rfind(|item| item.is_text()));
        let selected = open.and_then(|open| open.selected());
        let Some(text) = selected.or(last).map(|item| item.text.clone()) else {
            self.fail("there is no message to copy".to_owned());
            return false;
        };
        let what = if selected.is_some() {
            "selected"
        } else {
            "last"
        };
        self.tell(format!("copied the {what} message"));
        effects.push(Effect::Copy(text));
        true
    }

    /// Selects the message above the selected one, or below it, and keeps it on the screen.
    pub(super) fn select(&mut self, is_up: bool, effects: &mut Vec<Effect>) {
        let Some(open) = self.opened() else {
            return;
        };
        let (bottom, _) = open.scroll.place();
        let can_be = |item: &Item| item.cursor > 0 && !item.is_system;
        let newest_first: Vec<usize> = (0..open.items.len())
            .filter(|at| can_be(&open.items[open.items.len() - 1 - at]))
            .collect();
        let cursor_of = |at: usize| open.items[open.items.len() - 1 - at].cursor;
        let now = open
            .selected
            .and_then(|cursor| newest_first.iter().position(|at| cursor_of(*at) == cursor));
        let next = match (now, is_up) {
            (None, true) => newest_first.iter().position(|at| *at >= bottom),
            (None, false) | (Some(0), false) => None,
            (Some(place), true) => Some((place + 1).min(newest_first.len() - 1)),
            (Some(place), false) => Some(place - 1),
        };
        let is_at_top = now.is_some() && is_up && next == now;
        let target = next.map(|place| (newest_first[place], cursor_of(newest_first[place])));
        self.opened_mut(|open| open.selected = target.map(|(_, cursor)| cursor));
        if let Some((at, _)) = target {
            self.show_place(at, effects);
        }
        if is_at_top {
            self.scroll_by(1, effects);
        }
    }
}
