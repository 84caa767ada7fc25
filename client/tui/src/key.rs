//! The keys of a terminal as plain values, and their names in the configuration: `C-a`, `M-b`, `PageUp`.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with the modifiers that count. Shift counts in letters and in `BackTab` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The key without modifiers.
    pub code: Code,
    /// Whether Ctrl was down.
    pub ctrl: bool,
    /// Whether Alt was down, or Esc came just before.
    pub alt: bool,
}

/// A key without modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A key that gives a character.
    Char(char),
    /// A function key.
    F(u8),
    Enter,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Esc,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// The names of keys that give no character.
const NAMES: [(&str, Code); 15] = [
    ("Enter", Code::Enter),
    ("Tab", Code::Tab),
    ("BackTab", Code::BackTab),
    ("Backspace", Code::Backspace),
    ("Delete", Code::Delete),
    ("Esc", Code::Esc),
    ("Up", Code::Up),
    ("Down", Code::Down),
    ("Left", Code::Left),
    ("Right", Code::Right),
    ("Home", Code::Home),
    ("End", Code::End),
    ("PageUp", Code::PageUp),
    ("PageDown", Code::PageDown),
    ("Space", Code::Char(' ')),
];

impl Key {
    /// Makes a key without modifiers.
    #[must_use]
    pub fn plain(code: Code) -> Key {
        Key {
            code,
            ctrl: false,
            alt: false,
        }
    }

    /// Adds Alt, as an Esc before the key does.
    #[must_use]
    pub fn with_alt(self) -> Key {
        Key { alt: true, ..self }
    }

    /// Returns the character that the key types, if it types one.
    #[must_use]
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }

    /// Converts a key of crossterm; `None` for keys that nothing is bound to.
    #[must_use]
    pub fn of(event: &KeyEvent) -> Option<Key> {
        let mut ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let code = match event.code {
            // Byte 0x1f, which terminals send for Ctrl-_ and Ctrl-/.
            KeyCode::Char('7' | '/') if ctrl => Code::Char('_'),
            // Byte 0x08, which old terminals send for Backspace.
            KeyCode::Char('h') if ctrl => {
                ctrl = false;
                Code::Backspace
            }
            KeyCode::Char(c) if ctrl => Code::Char(c.to_ascii_lowercase()),
            KeyCode::Char(c) => Code::Char(c),
            KeyCode::F(number) => Code::F(number),
            KeyCode::Enter => Code::Enter,
            KeyCode::Tab => Code::Tab,
            KeyCode::BackTab => Code::BackTab,
            KeyCode::Backspace => Code::Backspace,
            KeyCode::Delete => Code::Delete,
            KeyCode::Esc => Code::Esc,
            KeyCode::Up => Code::Up,
            KeyCode::Down => Code::Down,
            KeyCode::Left => Code::Left,
            KeyCode::Right => Code::Right,
            KeyCode::Home => Code::Home,
            KeyCode::End => Code::End,
            KeyCode::PageUp => Code::PageUp,
            KeyCode::PageDown => Code::PageDown,
            _ => return None,
        };
        Some(Key {
            code,
            ctrl,
            alt: event.modifiers.contains(KeyModifiers::ALT),
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("C-")?;
        }
        if self.alt {
            f.write_str("M-")?;
        }
        match self.code {
            Code::F(number) => write!(f, "F{number}"),
            code => match NAMES.iter().find(|(_, named)| *named == code) {
                Some((name, _)) => f.write_str(name),
                None => match code {
                    Code::Char(c) => write!(f, "{c}"),
                    _ => Ok(()),
                },
            },
        }
    }
}

/// The error of a text that names no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoKey(pub String);

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` names no key; write C-a, M-b, F1, PageUp or one character",
            self.0
        )
    }
}

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Key, NoKey> {
        let mut key = Key::plain(Code::Esc);
        let mut rest = text;
        while rest.len() > 2 {
            match &rest.as_bytes()[..2] {
                b"C-" => key.ctrl = true,
                b"M-" => key.alt = true,
                _ => break,
            }
            rest = &rest[2..];
        }
        let named = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(rest));
        let number = rest.strip_prefix(['F', 'f']).and_then(|n| n.parse().ok());
        let mut characters = rest.chars();
        key.code = match (named, number, characters.next(), characters.next()) {
            (Some((_, code)), ..) => *code,
            (None, Some(number @ 1..=24), ..) => Code::F(number),
            (None, _, Some(c), None) => Code::Char(c),
            _ => return Err(NoKey(text.to_owned())),
        };
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_can_be_read_back() {
        for name in [
            "C-a", "M-b", "F1", "F12", "PageUp", "M-Enter", "?", "C-_", "M-1", "C-M-x", "F",
            "Space",
        ] {
            let key: Key = name.parse().unwrap();
            assert_eq!(key.to_string(), name);
        }
        assert!("Ctrl-A".parse::<Key>().is_err());
        assert!("".parse::<Key>().is_err());
    }

    #[test]
    fn bytes_of_old_terminals_mean_the_key_that_was_pressed() {
        let of = |c, modifiers| Key::of(&KeyEvent::new(KeyCode::Char(c), modifiers)).unwrap();
        assert_eq!(of('h', KeyModifiers::CONTROL), Key::plain(Code::Backspace));
        assert_eq!(of('7', KeyModifiers::CONTROL).to_string(), "C-_");
        assert_eq!(of('b', KeyModifiers::ALT).to_string(), "M-b");
    }
}
