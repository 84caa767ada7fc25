//! Looks keys up: which action a key or a sequence of keys has.

use crate::bindings::{Action, BINDINGS};
use crate::key::Key;

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
