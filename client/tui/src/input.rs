//! The text that a person writes, with the editing keys of readline. Knows no keys and no screen.
//!
//! The cursor always stands between two graphemes: what looks like one character is one.

use unicode_segmentation::UnicodeSegmentation as _;

/// The number of earlier states that undo reaches.
const UNDO_MAX: usize = 200;
/// The number of cut texts that are kept.
const KILLED_MAX: usize = 20;

/// A text with a cursor.
#[derive(Debug, Clone, Default)]
pub struct Input {
    text: String,
    /// The byte at which the next character is inserted.
    cursor: usize,
    undo: Vec<(String, usize)>,
    killed: Vec<String>,
    last: Last,
}

/// The kind of the last change: runs of one kind are undone together, and cut together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Typed,
    Killed,
    /// A yank of so many bytes, from this place in the cut texts.
    Yanked {
        bytes: usize,
        from: usize,
    },
}

impl Input {
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the byte at which the cursor stands.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    #[must_use]
    pub fn has_lines(&self) -> bool {
        self.text.contains('\n')
    }

    /// Replaces the text; the cursor stands at its end.
    pub fn set(&mut self, text: &str) {
        self.remember(Last::Other);
        text.clone_into(&mut self.text);
        self.cursor = self.text.len();
    }

    /// Takes the text away, without a way back.
    pub fn take(&mut self) -> String {
        self.undo.clear();
        self.last = Last::Other;
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Replaces the bytes from `start` to the cursor.
    pub fn replace_before_cursor(&mut self, start: usize, with: &str) {
        self.remember(Last::Other);
        self.text.replace_range(start..self.cursor, with);
        self.cursor = start + with.len();
    }

    pub fn insert(&mut self, text: &str) {
        let typed = if text.len() == 1 && text != " " {
            Last::Typed
        } else {
            Last::Other
        };
        if self.last != Last::Typed || typed != Last::Typed {
            self.remember(typed);
        }
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        // A combining mark joins the character before it.
        self.cursor = self.boundary_at_or_after(self.cursor);
    }

    pub fn delete_back(&mut self) {
        let start = self.before(self.cursor);
        self.remove(start, self.cursor, Last::Other);
    }

    pub fn delete_forward(&mut self) {
        let end = self.after(self.cursor);
        self.remove(self.cursor, end, Last::Other);
    }

    pub fn left(&mut self) {
        self.move_to(self.before(self.cursor));
    }

    pub fn right(&mut self) {
        self.move_to(self.after(self.cursor));
    }

    pub fn word_left(&mut self) {
        self.move_to(self.word_start());
    }

    pub fn word_right(&mut self) {
        self.move_to(self.word_end());
    }

    pub fn line_start(&mut self) {
        self.move_to(self.start_of_line());
    }

    pub fn line_end(&mut self) {
        self.move_to(self.end_of_line());
    }

    /// Moves a line up, to the same number of characters; false in the first line.
    pub fn up(&mut self) -> bool {
        let start = self.start_of_line();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.cursor].graphemes(true).count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        self.move_to_column(above, column);
        true
    }

    /// Moves a line down, to the same number of characters; false in the last line.
    pub fn down(&mut self) -> bool {
        let end = self.end_of_line();
        if end == self.text.len() {
            return false;
        }
        let column = self.text[self.start_of_line()..self.cursor]
            .graphemes(true)
            .count();
        self.move_to_column(end + 1, column);
        true
    }

    pub fn kill_to_start(&mut self) {
        self.kill(self.start_of_line(), self.cursor, true);
    }

    /// Cuts to the end of the line; at the end, the line ending.
    pub fn kill_to_end(&mut self) {
        let end = self.end_of_line();
        let end = if end == self.cursor {
            self.after(end)
        } else {
            end
        };
        self.kill(self.cursor, end, false);
    }

    /// Cuts to the space before the last word.
    pub fn kill_word_back(&mut self) {
        let before = self.text[..self.cursor].trim_end();
        let start = before.rfind(char::is_whitespace);
        let start = start.map_or(0, |at| self.after(at));
        self.kill(start, self.cursor, true);
    }

    /// Cuts the letters and digits before the cursor, and what is between.
    pub fn kill_part_back(&mut self) {
        self.kill(self.word_start(), self.cursor, true);
    }

    pub fn kill_word_forward(&mut self) {
        self.kill(self.cursor, self.word_end(), false);
    }

    pub fn yank(&mut self) {
        let Some(text) = self.killed.last().cloned() else {
            return;
        };
        self.remember(Last::Other);
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.last = Last::Yanked {
            bytes: text.len(),
            from: self.killed.len() - 1,
        };
    }

    /// Replaces what was just yanked with what was cut before it.
    pub fn yank_pop(&mut self) {
        let Last::Yanked { bytes, from } = self.last else {
            return;
        };
        let from = from.checked_sub(1).unwrap_or(self.killed.len() - 1);
        let text = self.killed[from].clone();
        self.text
            .replace_range(self.cursor - bytes..self.cursor, &text);
        self.cursor = self.cursor - bytes + text.len();
        self.last = Last::Yanked {
            bytes: text.len(),
            from,
        };
    }

    /// Swaps the two characters around the cursor, or the last two of the line.
    pub fn transpose(&mut self) {
        let (mut middle, end) = (self.cursor, self.end_of_line());
        if middle == end {
            middle = self.before(middle);
        }
        let (start, end) = (self.before(middle), self.after(middle));
        if start == middle || start < self.start_of_line() {
            return;
        }
        self.remember(Last::Other);
        let swapped = format!("{}{}", &self.text[middle..end], &self.text[start..middle]);
        self.text.replace_range(start..end, &swapped);
        self.cursor = end;
    }

    pub fn undo(&mut self) {
        if let Some((text, cursor)) = self.undo.pop() {
            (self.text, self.cursor) = (text, cursor);
        }
        self.last = Last::Other;
    }

    fn remember(&mut self, last: Last) {
        if self.undo.len() == UNDO_MAX {
            self.undo.remove(0);
        }
        self.undo.push((self.text.clone(), self.cursor));
        self.last = last;
    }

    fn remove(&mut self, start: usize, end: usize, last: Last) {
        if start < end {
            self.remember(last);
            self.text.replace_range(start..end, "");
            self.cursor = start;
        }
    }

    /// Cuts a part. Parts that are cut one after the other are yanked together.
    fn kill(&mut self, start: usize, end: usize, is_before: bool) {
        if start >= end {
            return;
        }
        let text = self.text[start..end].to_owned();
        match self.killed.last_mut() {
            Some(last) if self.last == Last::Killed && is_before => last.insert_str(0, &text),
            Some(last) if self.last == Last::Killed => last.push_str(&text),
            _ => {
                if self.killed.len() == KILLED_MAX {
                    self.killed.remove(0);
                }
                self.killed.push(text);
            }
        }
        self.remove(start, end, Last::Killed);
    }

    fn move_to(&mut self, place: usize) {
        self.cursor = place;
        self.last = Last::Other;
    }

    fn move_to_column(&mut self, start: usize, column: usize) {
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        let ahead: usize = line.graphemes(true).take(column).map(str::len).sum();
        self.move_to(start + ahead);
    }

    fn before(&self, place: usize) -> usize {
        let last = self.text[..place].grapheme_indices(true).next_back();
        last.map_or(0, |(at, _)| at)
    }

    fn after(&self, place: usize) -> usize {
        let next = self.text[place..].graphemes(true).next();
        place + next.map_or(0, str::len)
    }

    fn boundary_at_or_after(&self, place: usize) -> usize {
        let mut ends = self
            .text
            .grapheme_indices(true)
            .map(|(at, text)| at + text.len());
        ends.find(|end| *end >= place).unwrap_or(place)
    }

    fn start_of_line(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn end_of_line(&self) -> usize {
        let rest = &self.text[self.cursor..];
        self.cursor + rest.find('\n').unwrap_or(rest.len())
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end_matches(|c: char| !c.is_alphanumeric());
        before.trim_end_matches(char::is_alphanumeric).len()
    }

    fn word_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        let word = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let after = word.trim_start_matches(char::is_alphanumeric);
        self.text.len() - after.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str) -> Input {
        let mut input = Input::default();
        input.insert(text);
        input
    }

    #[test]
    fn keys_of_readline_do_what_readline_does() {
        let mut input = with("one two-three");
        input.kill_part_back();
        assert_eq!(input.text(), "one two-");
        input.kill_word_back();
        assert_eq!(input.text(), "one ");
        input.yank();
        assert_eq!(input.text(), "one two-three");
        input.line_start();
        input.word_right();
        input.kill_to_end();
        assert_eq!(input.text(), "one");
        input.yank();
        input.yank_pop();
        assert_eq!(input.text(), "onetwo-three");
        input.line_start();
        input.kill_word_forward();
        assert_eq!(input.text(), "-three");
        input.undo();
        input.undo();
        assert_eq!(input.text(), "one");
    }

    #[test]
    fn transpose_swaps_around_the_cursor_and_at_the_end() {
        let mut input = with("ab");
        input.transpose();
        assert_eq!(input.text(), "ba");
        input.left();
        input.transpose();
        assert_eq!((input.text(), input.cursor()), ("ab", 2));
        let mut input = with("a");
        input.transpose();
        assert_eq!(input.text(), "a");
    }

    #[test]
    fn what_looks_like_one_character_is_one() {
        let mut input = with("e\u{301}👨‍👩‍👧日");
        input.delete_back();
        assert_eq!(input.text(), "e\u{301}👨‍👩‍👧");
        input.delete_back();
        assert_eq!(input.text(), "e\u{301}");
        input.left();
        assert_eq!(input.cursor(), 0);
        input.delete_forward();
        assert_eq!(input.text(), "");
    }

    #[test]
    fn up_and_down_keep_the_column() {
        let mut input = with("first\nx\nthird");
        input.up();
        assert_eq!(input.cursor(), 7);
        assert!(input.up());
        assert_eq!(input.cursor(), 1);
        assert!(!input.up());
        assert!(input.down() && input.down() && !input.down());
        input.line_start();
        input.kill_to_start();
        assert_eq!(input.text(), "first\nx\nthird");
    }

    #[test]
    fn typed_letters_are_undone_together() {
        let mut input = Input::default();
        for letter in ["a", "b", " ", "c", "d"] {
            input.insert(letter);
        }
        input.undo();
        assert_eq!(input.text(), "ab ");
        input.undo();
        input.undo();
        input.undo();
        assert_eq!(input.text(), "");
    }

    proptest! {
        #[test]
        fn any_editing_keeps_the_cursor_between_graphemes(
            text in "[a-z \n日e\u{301}\u{200d}👍🏽\u{1f1e6}]{0,12}",
            steps in proptest::collection::vec(0_u8..20, 0..40),
        ) {
            let mut input = with(&text);
            for step in steps {
                match step {
                    0 => input.left(),
                    1 => input.right(),
                    2 => input.word_left(),
                    3 => input.word_right(),
                    4 => input.delete_back(),
                    5 => input.delete_forward(),
                    6 => input.kill_to_start(),
                    7 => input.kill_to_end(),
                    8 => input.kill_word_back(),
                    9 => input.kill_part_back(),
                    10 => input.kill_word_forward(),
                    11 => input.yank(),
                    12 => input.yank_pop(),
                    13 => input.transpose(),
                    14 => input.undo(),
                    15 => _ = input.up(),
                    16 => _ = input.down(),
                    17 => input.insert("\u{301}"),
                    18 => input.insert("日\n"),
                    _ => input.line_end(),
                }
                prop_assert!(input.text().is_char_boundary(input.cursor()));
                prop_assert!(input.cursor() <= input.text().len());
            }
        }
    }
}
