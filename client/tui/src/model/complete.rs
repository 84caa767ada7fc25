//! Completion with Tab: commands, rooms, names and emoji.

use super::Model;

/// The most choices that are kept.
const CHOICES_MAX: usize = 50;

/// The choices for the word before the cursor, through which Tab goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The byte at which the word begins.
    start: usize,
    pub choices: Vec<String>,
    pub at: usize,
}

impl Model {
    /// Completes the word before the cursor; pressed again, with the next choice, or the one before.
    pub(super) fn complete(&mut self, is_back: bool) {
        if let Some(completion) = &mut self.completion {
            let count = completion.choices.len();
            let step = if is_back { count - 1 } else { 1 };
            completion.at = (completion.at + step) % count;
            let (start, choice) = (completion.start, completion.choices[completion.at].clone());
            return self.input.replace_before_cursor(start, &choice);
        }
        let before = &self.input.text()[..self.input.cursor()];
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before[at..].chars().next().map_or(0, char::len_utf8)
        });
        let word = before[start..].to_owned();
        let is_first = start == 0;
        let choices = self.choices(&word, is_first, before);
        let Some(first) = choices.first().cloned() else {
            return self.tell(format!("nothing begins with `{word}`"));
        };
        self.input.replace_before_cursor(start, &first);
        if choices.len() > 1 {
            let mut choices = choices;
            choices.truncate(CHOICES_MAX);
            self.completion = Some(Completion {
                start,
                choices,
                at: 0,
            });
        }
    }

    fn choices(&self, word: &str, is_first: bool, before: &str) -> Vec<String> {
        let lower = word.to_lowercase();
        if let Some(command) = word.strip_prefix('/').filter(|_| is_first) {
            let names = super::command_list::COMMANDS.iter().map(|(name, ..)| *name);
            return names
                .filter(|name| name.starts_with(command))
                .map(|name| format!("/{name} "))
                .collect();
        }
        if let Some(line) = before.strip_prefix('/') {
            let arguments: Vec<&str> = line.split(' ').collect();
            let (at, words) = super::command_list::words_of(arguments[0]);
            if !words.is_empty() && arguments.len() == at + 2 {
                let fit = words.iter().filter(|one| one.starts_with(&*lower));
                return fit.map(|&one| one.to_owned()).collect();
            }
        }
        if let Some(name) = lower.strip_prefix(':').filter(|name| !name.is_empty()) {
            let mut found: Vec<(String, &str)> = Vec::new();
            for emoji in emojis::iter() {
                let names = emoji.shortcodes().filter(|code| code.starts_with(name));
                found.extend(names.map(|code| (code.to_owned(), emoji.as_str())));
            }
            found.sort_by_key(|(code, _)| (code.len(), code.clone()));
            return found
                .into_iter()
                .map(|(_, emoji)| emoji.to_owned())
                .collect();
        }
        if lower.starts_with('#') {
            let rooms = self.conversations.values().filter(|one| one.is_room());
            let rooms = rooms.map(|one| &one.name).chain(&self.rooms_to_join);
            return rooms
                .filter(|name| name.to_lowercase().starts_with(&lower))
                .map(|name| format!("{name} "))
                .collect();
        }
        // The members of the room come before other people; a name at the start of a message addresses somebody.
        let is_message = is_first && !before.starts_with('/');
        let end = if is_message
            && self
                .open
                .as_deref()
                .is_some_and(|open| open.starts_with('#'))
        {
            ": "
        } else {
            " "
        };
        let (at, wanted) = match lower.strip_prefix('@') {
            Some(wanted) => ("@", wanted),
            None => ("", &*lower),
        };
        let mut names: Vec<&String> = Vec::new();
        let members = self.opened().into_iter().flat_map(|open| &open.members);
        let direct = self.conversations.values().filter(|one| !one.is_room());
        let known = members
            .map(|member| &member.name)
            .chain(direct.map(|one| &one.name));
        let all = ["room".to_owned(), "here".to_owned()];
        let calls_all = at == "@" && self.opened().is_some_and(|open| open.is_room());
        let all = all.iter().filter(|_| calls_all);
        for name in known.chain(&self.people).chain(all) {
            let is_known = names.iter().any(|known| known.eq_ignore_ascii_case(name));
            if name.to_lowercase().starts_with(wanted) && !is_known {
                names.push(name);
            }
        }
        names
            .into_iter()
            .map(|name| format!("{at}{name}{end}"))
            .collect()
    }
}
