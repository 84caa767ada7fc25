//! What each key does: the actions, their names in the configuration, their help, and their keys.

use crate::key::Key;

/// An action that keys are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send,
    NewLine,
    LineStart,
    LineEnd,
    CharLeft,
    CharRight,
    WordLeft,
    WordRight,
    DeleteBack,
    DeleteForward,
    KillToStart,
    KillToEnd,
    KillWordBack,
    KillPartBack,
    KillWordForward,
    Yank,
    YankPop,
    Transpose,
    Undo,
    Complete,
    CompleteBack,
    Earlier,
    Later,
    SearchSent,
    EditLast,
    Editor,
    PageUp,
    PageDown,
    ToTop,
    ToBottom,
    Next,
    Previous,
    NextActive,
    Jump,
    Help,
    Members,
    Cluster,
    Mouse,
    Repaint,
    Suspend,
    Cancel,
    Quit,
}

/// An action with its name, its help, and its keys; a space stands between the keys of a sequence.
pub type Binding = (Action, &'static str, &'static str, &'static [&'static str]);

/// The actions in the order in which the help lists them.
pub const BINDINGS: &[Binding] = &[
    (
        Action::Help,
        "help",
        "list and search all keys and commands",
        &["F1"],
    ),
    (
        Action::Jump,
        "jump",
        "go to a conversation, person or command",
        &["C-g"],
    ),
    (Action::Send, "send", "send the text", &["Enter"]),
    (
        Action::NewLine,
        "new-line",
        "add a line to the text",
        &["M-Enter", "C-j"],
    ),
    (
        Action::Next,
        "next",
        "go to the next conversation",
        &["C-n"],
    ),
    (
        Action::Previous,
        "previous",
        "go to the previous conversation",
        &["C-p"],
    ),
    (
        Action::NextActive,
        "next-active",
        "go to the next conversation with unread messages",
        &["M-a"],
    ),
    (Action::PageUp, "page-up", "scroll up", &["PageUp", "M-v"]),
    (
        Action::PageDown,
        "page-down",
        "scroll down",
        &["PageDown", "C-v"],
    ),
    (
        Action::ToTop,
        "to-top",
        "scroll to the oldest message that is loaded",
        &["M-<"],
    ),
    (
        Action::ToBottom,
        "to-bottom",
        "scroll to the newest message",
        &["M->"],
    ),
    (
        Action::Complete,
        "complete",
        "complete a name, room, command or :emoji:",
        &["Tab"],
    ),
    (
        Action::CompleteBack,
        "complete-back",
        "complete with the choice before",
        &["BackTab"],
    ),
    (
        Action::Earlier,
        "earlier",
        "recall what was sent before, or go a line up",
        &["Up"],
    ),
    (
        Action::Later,
        "later",
        "recall what was sent after, or go a line down",
        &["Down"],
    ),
    (
        Action::SearchSent,
        "search-sent",
        "search what was sent",
        &["C-r"],
    ),
    (
        Action::EditLast,
        "edit-last",
        "edit the last message that you sent here",
        &["M-e"],
    ),
    (
        Action::Editor,
        "editor",
        "write the text in $VISUAL or $EDITOR",
        &["C-x C-e"],
    ),
    (
        Action::LineStart,
        "line-start",
        "go to the start of the line",
        &["C-a", "Home"],
    ),
    (
        Action::LineEnd,
        "line-end",
        "go to the end of the line",
        &["C-e", "End"],
    ),
    (
        Action::CharLeft,
        "char-left",
        "go a character left",
        &["C-b", "Left"],
    ),
    (
        Action::CharRight,
        "char-right",
        "go a character right",
        &["C-f", "Right"],
    ),
    (
        Action::WordLeft,
        "word-left",
        "go a word left",
        &["M-b", "C-Left", "M-Left"],
    ),
    (
        Action::WordRight,
        "word-right",
        "go a word right",
        &["M-f", "C-Right", "M-Right"],
    ),
    (
        Action::DeleteBack,
        "delete-back",
        "delete the character before the cursor",
        &["Backspace"],
    ),
    (
        Action::DeleteForward,
        "delete-forward",
        "delete the character at the cursor",
        &["Delete"],
    ),
    (
        Action::KillToStart,
        "kill-to-start",
        "cut to the start of the line",
        &["C-u"],
    ),
    (
        Action::KillToEnd,
        "kill-to-end",
        "cut to the end of the line",
        &["C-k"],
    ),
    (
        Action::KillWordBack,
        "kill-word-back",
        "cut the word before the cursor, up to a space",
        &["C-w"],
    ),
    (
        Action::KillPartBack,
        "kill-part-back",
        "cut the letters and digits before the cursor",
        &["M-Backspace"],
    ),
    (
        Action::KillWordForward,
        "kill-word-forward",
        "cut the word after the cursor",
        &["M-d"],
    ),
    (Action::Yank, "yank", "insert what was cut", &["C-y"]),
    (
        Action::YankPop,
        "yank-pop",
        "insert what was cut before that",
        &["M-y"],
    ),
    (
        Action::Transpose,
        "transpose",
        "swap two characters",
        &["C-t"],
    ),
    (Action::Undo, "undo", "undo a change of the text", &["C-_"]),
    (
        Action::Members,
        "members",
        "show or hide the members",
        &["M-m"],
    ),
    (
        Action::Cluster,
        "cluster",
        "show the replicas of the cluster",
        &["F2"],
    ),
    (
        Action::Mouse,
        "mouse",
        "let the mouse wheel scroll, or leave the mouse to the terminal",
        &["F3"],
    ),
    (Action::Repaint, "repaint", "draw the screen anew", &["C-l"]),
    (
        Action::Suspend,
        "suspend",
        "stop the program; `fg` continues it",
        &["C-z"],
    ),
    (
        Action::Cancel,
        "cancel",
        "close what is open, or leave the scrolled text",
        &["Esc"],
    ),
    (
        Action::Quit,
        "quit",
        "leave; twice, if there is text",
        &["C-c", "C-d", "C-q"],
    ),
];

/// The result of looking a key up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Action(Action),
    /// The key begins a sequence.
    Begins,
    Nothing,
}

/// The keys and their actions.
#[derive(Debug, Clone)]
pub struct Keymap {
    bound: Vec<(Vec<Key>, Action)>,
}

fn sequence(text: &str) -> Result<Vec<Key>, String> {
    let keys: Result<Vec<Key>, _> = text.split_whitespace().map(str::parse).collect();
    match keys {
        Ok(keys) if !keys.is_empty() => Ok(keys),
        Ok(_) => Err("no key is named".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Default for Keymap {
    fn default() -> Keymap {
        let mut bound = Vec::new();
        for (action, _, _, keys) in BINDINGS {
            bound.extend(
                keys.iter()
                    .filter_map(|key| Some((sequence(key).ok()?, *action))),
            );
        }
        Keymap { bound }
    }
}

impl Keymap {
    /// Looks up the keys that were pressed: one, or a sequence so far.
    #[must_use]
    pub fn find(&self, pressed: &[Key]) -> Found {
        let exact = self.bound.iter().find(|(keys, _)| keys == pressed);
        match exact {
            Some((_, action)) => Found::Action(*action),
            None if self.bound.iter().any(|(keys, _)| keys.starts_with(pressed)) => Found::Begins,
            None => Found::Nothing,
        }
    }

    /// Binds keys to the action of that name, in place of its former ones.
    ///
    /// # Errors
    /// The text that says which name or key is unknown.
    pub fn bind(&mut self, name: &str, keys: &[String]) -> Result<(), String> {
        let binding = BINDINGS.iter().find(|(_, known, ..)| *known == name);
        let Some((action, ..)) = binding else {
            return Err(format!("there is no action `{name}`; F1 lists them"));
        };
        let keys: Result<Vec<_>, String> = keys.iter().map(|key| sequence(key)).collect();
        let keys = keys.map_err(|error| format!("{name}: {error}"))?;
        self.bound
            .retain(|(bound, old)| old != action && !keys.contains(bound));
        self.bound
            .extend(keys.into_iter().map(|keys| (keys, *action)));
        Ok(())
    }

    /// Returns the keys of an action, for the help.
    #[must_use]
    pub fn keys_of(&self, action: Action) -> String {
        let bound = self.bound.iter().filter(|(_, bound)| *bound == action);
        let keys: Vec<String> = bound
            .map(|(keys, _)| {
                keys.iter()
                    .map(Key::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        keys.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Key> {
        sequence(text).unwrap()
    }

    #[test]
    fn every_default_key_is_a_key_and_bound_once() {
        let map = Keymap::default();
        let count: usize = BINDINGS.iter().map(|(.., keys)| keys.len()).sum();
        assert_eq!(map.bound.len(), count);
        for (index, (keys, _)) in map.bound.iter().enumerate() {
            let before = &map.bound[..index];
            assert!(
                before.iter().all(|(other, _)| !other.starts_with(keys)),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn a_sequence_is_found_after_its_last_key() {
        let map = Keymap::default();
        assert_eq!(map.find(&keys("C-x")), Found::Begins);
        assert_eq!(map.find(&keys("C-x C-e")), Found::Action(Action::Editor));
        assert_eq!(map.find(&keys("C-x x")), Found::Nothing);
    }

    #[test]
    fn a_key_that_is_bound_anew_loses_its_former_action() {
        let mut map = Keymap::default();
        map.bind("jump", &["C-k".to_owned(), "M-k".to_owned()])
            .unwrap();
        assert_eq!(map.find(&keys("C-k")), Found::Action(Action::Jump));
        assert_eq!(map.find(&keys("C-g")), Found::Nothing);
        assert_eq!(map.keys_of(Action::KillToEnd), "");
        assert!(map.bind("jmup", &[]).unwrap_err().contains("jmup"));
        assert!(
            map.bind("jump", &["Ctrl-x".to_owned()])
                .unwrap_err()
                .contains("Ctrl-x")
        );
    }
}
