//! The part of the chat that turns a typed line into actions.

use super::App;
use super::model::{Action, Change, Shown};
use super::slash_commands::{HELP, suggestion};
use tercet_types::{
    limits::BODY_BYTES_MAX,
    name::{is_name, room_name},
};

/// Tells whether messages can be sent to a name: that of an account, or of a room with its `#`.
fn is_recipient(name: &str) -> bool {
    is_name(name) || room_name(name).is_some()
}

impl App {
    pub(super) fn line(&mut self, line: &str, actions: &mut Vec<Action>) {
        let text = line.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return;
        }
        if line.contains('\n') {
            return self.text(text, actions);
        }
        match text.strip_prefix('/') {
            Some(slashed) if slashed.starts_with('/') => self.text(slashed, actions),
            Some(command) => self.command(command, actions),
            None => self.text(text, actions),
        }
    }

    fn text(&mut self, text: &str, actions: &mut Vec<Action>) {
        match self.to.clone() {
            Some(to) => self.send(to, text, actions),
            None => {
                let text = "not sent, as it goes to nobody yet: choose with `/to NAME`, or write \
                            `/msg NAME TEXT`; /help shows more";
                self.fail(text.to_owned(), actions);
            }
        }
    }

    fn send(&mut self, to: String, body: &str, actions: &mut Vec<Action>) {
        let length = body.len();
        if length > BODY_BYTES_MAX {
            let text = format!(
                "not sent to {to}: the message has {length} bytes, and {BODY_BYTES_MAX} are the most"
            );
            return self.fail(text, actions);
        }
        let body = body.to_owned();
        self.sends += 1;
        self.ask(Action::Send { to, body }, actions);
    }

    /// Changes a message of the conversation that lines go to.
    fn change(&mut self, word: &str, rest: &str, actions: &mut Vec<Action>) {
        let Some(to) = self.to.clone() else {
            let text = format!("choose whom first, with /to NAME: /{word} is for messages there");
            return self.fail(text, actions);
        };
        let (seq, text) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let text = text.trim().to_owned();
        let change = match word {
            "delete" if text.is_empty() => Some(Change::Delete),
            "edit" if !text.is_empty() => Some(Change::Edit(text)),
            "react" if !text.is_empty() => Some(Change::React(text)),
            _ => None,
        };
        match (seq.parse(), change) {
            (Ok(seq), Some(change)) => self.ask(Action::Change { to, seq, change }, actions),
            _ => {
                let what = match word {
                    "edit" => " TEXT",
                    "react" => " EMOJI",
                    _ => "",
                };
                self.fail(format!("write /{word} NUMBER{what}"), actions);
            }
        }
    }

    fn command(&mut self, command: &str, actions: &mut Vec<Action>) {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let argument = rest.trim();
        match (word, argument) {
            ("help", _) => actions.push(Action::Show(Shown::Text(HELP))),
            ("quit", "") => self.ended = true,
            ("who", pattern) => {
                let pattern = if pattern.is_empty() { "*" } else { pattern };
                self.ask(Action::Who(pattern.to_owned()), actions);
            }
            ("to", name) if is_recipient(name) => {
                self.to = Some(name.to_owned());
                actions.push(Action::Notice(format!("now writing to {name}")));
            }
            ("msg", _) => match rest.split_once(' ') {
                Some((name, text)) if is_recipient(name) && !text.trim().is_empty() => {
                    self.send(name.to_owned(), text, actions);
                }
                _ => self.fail("write /msg NAME TEXT".to_owned(), actions),
            },
            ("search", words) if !words.is_empty() => {
                self.ask(Action::Search(words.to_owned()), actions);
            }
            ("search", _) => self.fail("write /search WORDS".to_owned(), actions),
            ("history", name) if is_recipient(name) => {
                self.ask(Action::History(name.to_owned()), actions);
            }
            ("history", "") if self.to.is_some() => {
                let peer = self.to.clone().unwrap_or_default();
                self.ask(Action::History(peer), actions);
            }
            ("block" | "unblock", name) if is_name(name) => {
                let (name, block) = (name.to_owned(), word == "block");
                self.own_blocks.insert(name.to_ascii_lowercase(), block);
                self.ask(Action::Block { name, block }, actions);
            }
            ("edit" | "delete" | "react", _) => self.change(word, rest, actions),
            ("to" | "history" | "block" | "unblock", _) => {
                self.fail(format!("write /{word} NAME"), actions)
            }
            ("quit", _) => self.fail("write /quit alone, to leave".to_owned(), actions),
            _ => {
                let meant = match suggestion(word) {
                    Some(known) => format!("did you mean /{known}?"),
                    None => "/help shows what there is.".to_owned(),
                };
                let text = format!(
                    "there is no /{word}, and nothing was sent; {meant} (`//{word}` sends `/{word}`)"
                );
                self.fail(text, actions);
            }
        }
    }
}
