//! The file `config.toml` of a person: choices and keys of the chat.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

use crate::model::{Notify, Settings};

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
    notify: Option<NotifyChoice>,
    /// The hours in which nothing rings: `"22:00-07:00"`.
    quiet: Option<String>,
    vi: Option<bool>,
    /// Tell others that the person is writing.
    writing: Option<bool>,
    mouse: Option<bool>,
    emoji: Option<Emoji>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum NotifyChoice {
    /// `true` means OSC 9.
    Switch(bool),
    Way(NotifyWay),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NotifyWay {
    Osc9,
    Osc777,
    Desktop,
}

impl NotifyChoice {
    fn setting(self) -> Notify {
        match self {
            NotifyChoice::Switch(false) => Notify::Off,
            NotifyChoice::Switch(true) | NotifyChoice::Way(NotifyWay::Osc9) => Notify::Osc9,
            NotifyChoice::Way(NotifyWay::Osc777) => Notify::Osc777,
            NotifyChoice::Way(NotifyWay::Desktop) => Notify::Desktop,
        }
    }
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
    settings.notify = file
        .chat
        .notify
        .map_or(settings.notify, NotifyChoice::setting);
    settings.vi = file.chat.vi.unwrap_or(settings.vi);
    settings.tells_writing = file.chat.writing.unwrap_or(settings.tells_writing);
    if let Some(quiet) = &file.chat.quiet {
        settings.quiet_hours = hours(quiet);
        if settings.quiet_hours.is_none() {
            let wrong = format!("quiet is `{quiet}`, and not like `22:00-07:00`");
            return (settings, wrong);
        }
    }
    settings.mouse = file.chat.mouse.unwrap_or(settings.mouse);
    settings.emoji_names = file.chat.emoji == Some(Emoji::Names);
    for (name, keys) in &file.keys {
        if let Err(wrong) = settings.keymap.bind(name, keys) {
            return (settings, wrong);
        }
    }
    (settings, String::new())
}

/// Reads two times of the day, `HH:MM-HH:MM`, as minutes of it.
fn hours(text: &str) -> Option<(u32, u32)> {
    let minutes = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    let (from, to) = text.split_once('-')?;
    Some((minutes(from)?, minutes(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::Action;

    #[test]
    fn choices_and_keys_are_taken() {
        let (settings, wrong) = parse(
            "[chat]\nbell = false\nemoji = \"names\"\nnotify = \"osc777\"\nquiet = \"22:00-07:30\"\nvi = true\nwriting = false\n[keys]\njump = [\"C-k\", \"M-j\"]\neditor = [\"C-x e\"]\n",
        );
        assert_eq!(wrong, "");
        assert!(!settings.bell && settings.emoji_names && settings.vi);
        assert!(!settings.tells_writing && Settings::default().tells_writing);
        assert_eq!(settings.notify, Notify::Osc777);
        assert_eq!(settings.quiet_hours, Some((22 * 60, 7 * 60 + 30)));
        assert_eq!(parse("[chat]\nnotify = true").0.notify, Notify::Osc9);
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
            ("[chat]\nquiet = \"22-7\"", "22:00-07:00"),
            ("[chat]\nquiet = \"22:00-24:00\"", "22:00-07:00"),
            ("[chat]\nnotify = \"loud\"", "line 2"),
            ("chat", "line 1"),
        ] {
            let (settings, wrong) = parse(text);
            assert!(wrong.contains(named), "{text}: {wrong}");
            assert!(settings.bell, "the defaults stay");
        }
    }
}
