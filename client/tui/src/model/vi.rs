//! The keys of vi in the input, for those who choose them: Esc leaves typing, and letters move and cut.

use super::{Effect, Model};
use crate::bindings::Action;
use crate::key::{Code, Key};

/// The mode of the letters while the keys of vi are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Vi {
    /// They are typed.
    #[default]
    Insert,
    /// They move and cut.
    Normal,
    /// They say how far the last letter, `d` or `c`, or `g`, reaches.
    After(char),
}

impl Vi {
    /// Returns the word that the status bar has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Vi::Insert => "INSERT",
            Vi::Normal | Vi::After(_) => "NORMAL",
        }
    }
}

impl Model {
    /// Does what a key means in vi; false if it means what it means otherwise.
    pub(super) fn vi_key(&mut self, key: Key, effects: &mut Vec<Effect>) -> bool {
        let is_esc = key == Key::plain(Code::Esc);
        let Some(c) = key.typed() else {
            if is_esc && self.vi == Vi::Insert {
                self.vi = Vi::Normal;
                self.completion = None;
                return true;
            }
            if is_esc && matches!(self.vi, Vi::After(_)) {
                self.vi = Vi::Normal;
                return true;
            }
            return false;
        };
        match self.vi {
            Vi::Insert => return false,
            Vi::Normal => self.vi_letter(c, effects),
            Vi::After(first) => {
                self.vi = Vi::Normal;
                self.vi_second(first, c, effects);
            }
        }
        true
    }

    fn vi_letter(&mut self, c: char, effects: &mut Vec<Effect>) {
        let input = &mut self.input;
        match c {
            'h' => input.left(),
            'l' | ' ' => input.right(),
            'w' | 'e' => input.word_right(),
            'b' => input.word_left(),
            '0' | '^' => input.line_start(),
            '$' => input.line_end(),
            'x' => input.delete_forward(),
            'X' => input.delete_back(),
            'D' => input.kill_to_end(),
            'p' | 'P' => input.yank(),
            'u' => input.undo(),
            'd' | 'c' | 'g' => self.vi = Vi::After(c),
            'k' => self.act(Action::Earlier, effects),
            'j' => self.act(Action::Later, effects),
            'G' => self.act(Action::ToBottom, effects),
            '?' => self.act(Action::Help, effects),
            'i' => self.vi = Vi::Insert,
            'a' => {
                input.right();
                self.vi = Vi::Insert;
            }
            'I' => {
                input.line_start();
                self.vi = Vi::Insert;
            }
            'A' => {
                input.line_end();
                self.vi = Vi::Insert;
            }
            'C' => {
                input.kill_to_end();
                self.vi = Vi::Insert;
            }
            ':' | '/' if input.is_empty() => {
                input.insert(if c == ':' { "/" } else { "/find " });
                self.vi = Vi::Insert;
            }
            _ => {}
        }
    }

    fn vi_second(&mut self, first: char, c: char, effects: &mut Vec<Effect>) {
        let input = &mut self.input;
        match (first, c) {
            ('g', 'g') => return self.act(Action::ToTop, effects),
            ('d', 'd') | ('c', 'c') => {
                input.line_end();
                input.kill_to_start();
            }
            ('d' | 'c', 'w' | 'e') => input.kill_word_forward(),
            ('d' | 'c', 'b') => input.kill_part_back(),
            ('d' | 'c', '$') => input.kill_to_end(),
            ('d' | 'c', '0' | '^') => input.kill_to_start(),
            _ => return,
        }
        if first == 'c' {
            self.vi = Vi::Insert;
        }
    }
}
