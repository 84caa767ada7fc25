//! The effects of the commands that begin with `/`.

use tercet_client::{NotificationLevel, ProfileChange};
use tercet_types::name::{is_name, room_name};

use super::command_list::{ALIASES, COMMANDS};
use super::{Choice, Effect, Mode, Model};
use crate::conversation::Aim;
use crate::fuzzy::distance;
use crate::item::Mark;
use crate::text::emoji_of_names;

/// Returns the nearest command to a misspelt word.
fn suggestion(word: &str) -> Option<&'static str> {
    let names = COMMANDS.iter().map(|(name, ..)| *name);
    let nearest = names.min_by_key(|name| distance(word, name))?;
    let is_start = COMMANDS
        .iter()
        .find(|(name, ..)| !word.is_empty() && name.starts_with(word));
    match is_start {
        Some((name, ..)) => Some(name),
        None => (distance(word, nearest) <= 2.min(nearest.len() - 1)).then_some(nearest),
    }
}

impl Model {
    /// Sends the input, or carries out its command. What cannot be done stays in the input.
    pub(super) fn submit(&mut self, effects: &mut Vec<Effect>) {
        let text = self.input.text().to_owned();
        if text.trim().is_empty() {
            return;
        }
        let is_pasted = text.contains('\n');
        if let Some(slashed) = text.strip_prefix("//").filter(|_| !is_pasted) {
            return self.send(&format!("/{slashed}"), effects);
        }
        if text.starts_with('/') && !is_pasted {
            return self.command(&text[1..], effects);
        }
        let guessed = text
            .trim_start()
            .strip_prefix('/')
            .map(|rest| rest.split(' ').next().unwrap_or(rest));
        if let Some(word) =
            guessed.filter(|word| !is_pasted && COMMANDS.iter().any(|(name, ..)| name == word))
        {
            return self.fail(format!(
                "not sent: did you mean /{word}? Take the space away, or write //{word} to send it as text"
            ));
        }
        self.send(&text, effects);
    }

    /// Sends a text to the open conversation, or does what it is for, and clears the input.
    fn send(&mut self, text: &str, effects: &mut Vec<Effect>) {
        let Some(open) = self.open_name() else {
            return self
                .fail("not sent: open a conversation first, with Ctrl-G or /open NAME".to_owned());
        };
        let aim = self.opened().and_then(|open| open.aim.clone());
        let (is_sent, kept) = match aim {
            Some(Aim::Edit { seq, kept }) => (self.edit(seq, text, effects), kept),
            Some(Aim::Reply { seq }) => (self.send_to(&open, text, seq, effects), String::new()),
            None => {
                let thread = self.thread.as_ref().map_or(0, |thread| thread.seq);
                (self.send_to(&open, text, thread, effects), String::new())
            }
        };
        if is_sent {
            self.sent_line();
            self.opened_mut(|open| (open.aim, open.selected) = (None, None));
            self.input.set(&kept);
        }
    }

    fn sent_line(&mut self) {
        let text = self.input.take();
        self.recall.push(text);
        self.opened_mut(|open| open.draft.clear());
    }

    fn command(&mut self, line: &str, effects: &mut Vec<Effect>) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let alias = ALIASES.iter().find(|(alias, _)| *alias == word);
        let word = alias.map_or(word, |(_, name)| name);
        let known = COMMANDS.iter().find(|(name, ..)| *name == word);
        let Some((_, arguments, help)) = known else {
            let advice = match suggestion(word) {
                Some(meant) => format!("did you mean /{meant}?"),
                None => "F1 lists what there is.".to_owned(),
            };
            return self.fail(format!(
                "there is no /{word}, and nothing was sent; {advice} //{word} sends it as text"
            ));
        };
        if matches!(word, "edit" | "reply") && rest.trim().is_empty() {
            // The input gets the text, in place of the command.
            let line = self.input.take();
            let has_begun = match word {
                "edit" => self.begin_edit(),
                _ => self.begin_reply(),
            };
            if !has_begun {
                self.input.set(&line);
            }
            return;
        }
        // A command that opens another conversation must find the input empty: what is in it becomes a draft.
        let written = self.input.take();
        if self.run(word, rest.trim(), effects) {
            self.recall.push(written);
            return;
        }
        self.input.set(&written);
        if self.notice.is_none() {
            let usage = format!("write /{word} {arguments}");
            self.fail(format!("{}: {help}", usage.trim_end()));
        }
    }

    /// Carries out a command; false if its arguments are wrong, and the input stays.
    fn run(&mut self, word: &str, argument: &str, effects: &mut Vec<Effect>) -> bool {
        self.notice = None;
        let open = self.open_name();
        let room = open.clone().filter(|name| name.starts_with('#'));
        match (word, argument) {
            ("help", word) => self.open_help(word),
            ("open", name) if is_name(name) || room_name(name).is_some() => {
                self.open(name, effects)
            }
            ("msg", rest) => {
                let Some((name, text)) = rest.split_once(' ') else {
                    return false;
                };
                let is_recipient = is_name(name) || room_name(name).is_some();
                return is_recipient
                    && !text.trim().is_empty()
                    && self.send_to(name, text.trim(), 0, effects);
            }
            ("join", name) if room_name(name).is_some() => {
                effects.push(Effect::Join {
                    name: name.to_owned(),
                    may_create: false,
                });
            }
            ("create" | "create-private", rest) => {
                let (name, topic) = rest.split_once(' ').unwrap_or((rest, ""));
                if room_name(name).is_none() {
                    return false;
                }
                effects.push(Effect::Create {
                    name: name.to_owned(),
                    topic: topic.trim().to_owned(),
                    is_private: word == "create-private",
                });
            }
            ("rooms", pattern) => effects.push(Effect::Rooms(or_all(pattern))),
            ("who", pattern) => effects.push(Effect::Who(or_all(pattern))),
            (
                "leave" | "invite" | "members" | "kick" | "ban" | "unban" | "bans" | "promote"
                | "topic" | "rename" | "set" | "archive",
                _,
            ) if room.is_none() => {
                self.fail(format!("/{word} is for rooms: open one first"));
                return false;
            }
            ("leave", "") => effects.extend(room.map(Effect::Leave)),
            ("members", "") => self.toggle_members(effects),
            ("invite", name) if is_name(name) => {
                let name = name.to_owned();
                effects.extend(room.map(|room| Effect::Invite { room, name }));
            }
            ("pins", "") => {
                let Some(name) = open else {
                    return false;
                };
                effects.push(Effect::Pins(name));
            }
            ("edit" | "edits" | "reply" | "react" | "unreact" | "delete" | "pin" | "unpin", _) => {
                return self.change_message(word, argument, effects);
            }
            (
                "kick" | "ban" | "unban" | "bans" | "promote" | "topic" | "rename" | "set"
                | "archive",
                _,
            ) => return self.change_room(word, argument, &room.unwrap_or_default(), effects),
            ("profile", name) if name.is_empty() || is_name(name) => {
                effects.push(Effect::Profile(name.to_owned()));
            }
            ("display-name" | "status", text) if !text.is_empty() => {
                let text = Some(if text == "-" { "" } else { text }.to_owned());
                effects.push(Effect::SetProfile(match word {
                    "status" => ProfileChange {
                        status_text: text,
                        ..ProfileChange::default()
                    },
                    _ => ProfileChange {
                        display_name: text,
                        ..ProfileChange::default()
                    },
                }));
            }
            ("export", rest) if !rest.is_empty() => {
                let (room, file) = match rest.split_once(' ') {
                    Some((room, file)) if room_name(room).is_some() => (Some(room), file.trim()),
                    _ if room_name(rest).is_some() => return false,
                    _ => (None, rest),
                };
                effects.push(Effect::Export {
                    room: room.map(str::to_owned),
                    file: file.to_owned(),
                });
            }
            ("close", "") => self.close(effects),
            ("thread", "") => return self.open_thread(effects),
            ("links", "") => self.open_links(),
            ("mentions", "") => effects.push(Effect::Mentions),
            ("new", "") => self.open_unread(),
            ("unread", number) => {
                let number = match number.parse::<u64>() {
                    Ok(number) => Some(number),
                    Err(_) if number.is_empty() => None,
                    Err(_) => return false,
                };
                return self.mark_unread(number, effects);
            }
            ("read", "") => self.read_all(effects),
            ("mute", "") => self.set_level(NotificationLevel::None, effects),
            ("unmute", "") | ("notify", "all") => self.set_level(NotificationLevel::All, effects),
            ("notify", "mentions") => self.set_level(NotificationLevel::Mentions, effects),
            ("notify", "none") => self.set_level(NotificationLevel::None, effects),
            ("keywords", "") => effects.push(Effect::Keywords { is_shown: true }),
            ("keyword" | "unkeyword", text) if !text.is_empty() => {
                effects.push(Effect::Keyword {
                    word: text.to_owned(),
                    remove: word == "unkeyword",
                });
            }
            ("dnd", "on" | "off") => {
                self.quiet = argument == "on";
                effects.push(Effect::Save);
                self.tell(format!("do not disturb is {argument}"));
            }
            ("block" | "refuse", name) if is_name(name) => effects.push(Effect::Block {
                name: name.to_owned(),
                refuse: word == "refuse",
            }),
            ("unblock", name) if is_name(name) => effects.push(Effect::Unblock(name.to_owned())),
            ("blocks", "") => effects.push(Effect::Blocks),
            ("retry", "") => self.retry(effects),
            ("copy", "") => return self.copy_last(effects),
            ("find", text) if !text.is_empty() => return self.find(text),
            ("goto", when) => return self.go_to(when, effects),
            ("state", rest) => {
                let Some(name) = open else {
                    self.fail("open a conversation first".to_owned());
                    return false;
                };
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                effects.push(Effect::State {
                    name,
                    key: key.to_owned(),
                    value: Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
                });
            }
            ("search", query) if !query.is_empty() => {
                effects.push(Effect::Search(query.to_owned()))
            }
            ("editor", "") => effects.push(Effect::OpenEditor(String::new())),
            ("emoji", "names" | "pictures") => {
                self.settings.emoji_names = argument == "names";
            }
            ("mouse", "on" | "off") => self.set_mouse(argument == "on", effects),
            ("cluster", "") => self.open_cluster(effects),
            ("sessions", "") => effects.push(Effect::Sessions),
            ("logout", "") => effects.push(Effect::Logout),
            ("quit", "") => effects.push(Effect::Quit),
            _ => return false,
        }
        true
    }

    /// Sets what the person wants to be notified of in the open conversation.
    fn set_level(&mut self, level: NotificationLevel, effects: &mut Vec<Effect>) {
        let Some(name) = self.open_name() else {
            return self.fail("open a conversation first".to_owned());
        };
        self.conversation(&name).set_level(level);
        effects.push(Effect::Level { name, level });
        effects.push(Effect::Save);
    }

    /// Sends again what failed in the open conversation: under its id, if it may have been stored.
    fn retry(&mut self, effects: &mut Vec<Effect>) {
        let new_id = self.settings.new_id;
        let mut again = Vec::new();
        let open = self.open.clone().unwrap_or_default();
        if let Some(open) = self.conversations.get_mut(&open) {
            for item in &mut open.items {
                let Mark::Failed { is_unknown, .. } = item.mark else {
                    continue;
                };
                let old = item.id.clone();
                if !is_unknown {
                    item.id = new_id();
                }
                item.mark = Mark::Sending;
                again.push((old, item.id.clone()));
                effects.push(Effect::Send {
                    id: item.id.clone(),
                    to: open.name.clone(),
                    text: item.text.clone(),
                    reply_to: item.reply_to,
                });
            }
        }
        let count = again.len();
        for item in self
            .thread
            .iter_mut()
            .flat_map(|thread| &mut thread.shown.items)
        {
            if let Some((_, new)) = again.iter().find(|(old, _)| *old == item.id) {
                new.clone_into(&mut item.id);
                item.mark = Mark::Sending;
            }
        }
        match count {
            0 => self.tell("nothing has failed here".to_owned()),
            1 => self.tell("sending 1 message again".to_owned()),
            _ => self.tell(format!("sending {count} messages again")),
        }
    }

    /// Puts the help on the screen: keys and commands, filtered by a word.
    pub(super) fn open_help(&mut self, word: &str) {
        let mut rows = Vec::new();
        for (action, _, help, _) in crate::bindings::BINDINGS {
            let keys = self.settings.keymap.keys_of(*action);
            rows.push((format!("{keys:<16} {help}"), Choice::Nothing));
        }
        for (name, arguments, help) in COMMANDS {
            let shown = format!("{:<16} {help}", format!("/{name} {arguments}"));
            rows.push((shown, Choice::Insert(format!("/{name} "))));
        }
        self.pick("Help: write to search, Enter takes a command", rows);
        if let Mode::Pick(picker) = &mut self.mode {
            word.clone_into(&mut picker.typed);
            picker.refresh();
        }
    }

    /// Sends a text, whose `:names:` of emoji become emoji. False if it is too long.
    fn send_to(&mut self, to: &str, text: &str, reply_to: u64, effects: &mut Vec<Effect>) -> bool {
        let Some(text) = self.body_of(text) else {
            return false;
        };
        self.add_pending(to, text, reply_to, effects);
        true
    }

    /// Returns the text of a message, with emoji for their names; `None` if it is too long.
    pub(super) fn body_of(&mut self, text: &str) -> Option<String> {
        let text = emoji_of_names(text.trim_end());
        let limit = tercet_types::limits::BODY_BYTES_MAX;
        if text.len() > limit {
            self.fail(format!(
                "not sent: the message has {} bytes, and {limit} are the most",
                text.len()
            ));
            return None;
        }
        Some(text)
    }
}

fn or_all(pattern: &str) -> String {
    let pattern = if pattern.is_empty() { "*" } else { pattern };
    pattern.to_owned()
}
