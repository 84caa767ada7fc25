//! The file `config.toml` of a person: choices and keys of the chat.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

use crate::model::Settings;

/// The parts of the file. All have defaults; an unknown one is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    chat: Chat,
    /// The keys of actions by their names: `jump = ["C-g"]`.
    #[serde(default)]
    keys: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    bell: Option<bool>,
    notify: Option<bool>,
    mouse: Option<bool>,
    emoji: Option<Emoji>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Emoji {
    Names,
    Pictures,
}

/// Reads the settings of a file, and what is wrong with it; empty if nothing. Without a file all are the defaults.
#[must_use]
pub fn read(path: &Path) -> (Settings, String) {
    match fs::read_to_string(path) {
        Ok(text) => {
            let (settings, wrong) = parse(&text);
            let wrong = if wrong.is_empty() {
                wrong
            } else {
                format!("{}: {wrong}", path.display())
            };
            (settings, wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (Settings::default(), String::new())
        }
        Err(error) => (Settings::default(), format!("{}: {error}", path.display())),
    }
}

fn parse(text: &str) -> (Settings, String) {
    let mut settings = Settings::default();
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            return (settings, format!("line {line}: {}", error.message()));
        }
    };
    settings.bell = file.chat.bell.unwrap_or(settings.bell);
    settings.notify = file.chat.notify.unwrap_or(settings.notify);
    settings.mouse = file.chat.mouse.unwrap_or(settings.mouse);
    settings.emoji_names = file.chat.emoji == Some(Emoji::Names);
    for (name, keys) in &file.keys {
        if let Err(wrong) = settings.keymap.bind(name, keys) {
            return (settings, wrong);
        }
    }
    (settings, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::Action;

    #[test]
    fn choices_and_keys_are_taken() {
        let (settings, wrong) = parse(
            "[chat]\nbell = false\nemoji = \"names\"\n[keys]\njump = [\"C-k\", \"M-j\"]\neditor = [\"C-x e\"]\n",
        );
        assert_eq!(wrong, "");
        assert!(!settings.bell && settings.emoji_names);
        assert_eq!(settings.keymap.keys_of(Action::Jump), "C-k, M-j");
        assert_eq!(settings.keymap.keys_of(Action::Editor), "C-x e");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, named) in [
            ("[chat]\nbel = true", "line 2"),
            ("[chat]\nbell = 3", "line 2"),
            ("[keys]\njmup = [\"C-g\"]", "jmup"),
            ("[keys]\njump = [\"Ctrl-g\"]", "Ctrl-g"),
            ("chat", "line 1"),
        ] {
            let (settings, wrong) = parse(text);
            assert!(wrong.contains(named), "{text}: {wrong}");
            assert!(settings.bell, "the defaults stay");
        }
    }
}
