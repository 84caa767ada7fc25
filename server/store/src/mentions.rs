//! Mentions in a text: the words after an `@`, outside of code. Pure; `commands/mentions` decides whom they mean.
//!
//! - A word is the longest run of characters that a name may have. An `@` after such a character, or after another `@`,
//!   begins none: an address mentions nobody.
//! - Code is text between backticks, as in Markdown: between a run of them and the next run of the same length, or between
//!   two lines that begin with three or more. A fence without an end goes to the end of the text; any other run without an
//!   end is no code.
//! - A combining mark (U+0300 to U+036F) makes another letter of the character before it, which no name has. So a text
//!   means the same in each normal form.

use std::collections::{BTreeSet, HashMap};

use tercet_types::{limits::MENTIONS_MAX, name::is_name_char};

/// The word that mentions the members who are connected.
pub const HERE: &str = "here";
/// The word that mentions all members.
pub const ROOM: &str = "room";

/// The way in which a message mentions an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MentionKind {
    /// By its name.
    Name = 1,
    /// By `@here`.
    Here = 2,
    /// By `@room`.
    Room = 3,
}

impl MentionKind {
    pub(crate) fn of_number(number: i64) -> Option<MentionKind> {
        [MentionKind::Name, MentionKind::Here, MentionKind::Room]
            .into_iter()
            .find(|kind| *kind as i64 == number)
    }
}

/// A word after an `@`. Dots, hyphens and underscores at its end belong to a name if there is one with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'t>(&'t str);

impl<'t> Word<'t> {
    /// Gives the names that the word may be, the first one first.
    pub fn names(self) -> impl Iterator<Item = &'t str> {
        let bare = self.0.trim_end_matches(['.', '-', '_']);
        let bare = (bare.len() < self.0.len() && !bare.is_empty()).then_some(bare);
        [Some(self.0), bare].into_iter().flatten()
    }

    fn is(self, group: &str) -> bool {
        self.names().any(|name| name.eq_ignore_ascii_case(group))
    }

    pub fn is_here(self) -> bool {
        self.is(HERE)
    }

    pub fn is_room(self) -> bool {
        self.is(ROOM)
    }
}

/// Tells whether a text has the word `@here`, so that a message needs to know who is connected.
#[must_use]
pub fn names_here(text: &str) -> bool {
    words(text).into_iter().any(Word::is_here)
}

/// Gives the first [`MENTIONS_MAX`] different words after an `@`, in their order. The text is gone through once.
pub(crate) fn words(text: &str) -> Vec<Word<'_>> {
    let mut found: Vec<Word<'_>> = Vec::new();
    if !text.contains('@') {
        return found;
    }
    let mut seen = BTreeSet::new();
    let mut from = 0;
    for (start, end) in code(text).into_iter().chain([(text.len(), text.len())]) {
        // Code ends a word, and an `@` after it begins one.
        for word in words_of(&text[from..start]) {
            if seen.insert(word.0.to_ascii_lowercase()) {
                found.push(word);
            }
            if found.len() == MENTIONS_MAX {
                return found;
            }
        }
        from = end;
    }
    found
}

fn words_of(text: &str) -> impl Iterator<Item = Word<'_>> {
    text.match_indices('@').filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| is_name_char(c) || c == '@') {
            return None;
        }
        let rest = &text[at + 1..];
        let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        let next = rest[end..].chars().next();
        let is_marked = next.is_some_and(|c| ('\u{300}'..='\u{36f}').contains(&c));
        let end = end.saturating_sub(usize::from(is_marked));
        (end > 0).then(|| Word(&rest[..end]))
    })
}

/// A run of backticks.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    length: usize,
    /// Whether nothing but up to three spaces stands before it on its line.
    begins_line: bool,
    /// Whether nothing but spaces stands behind it on its line.
    ends_line: bool,
    /// Whether no other run stands behind it on its line.
    is_last: bool,
}

/// Gives the parts of a text that are code, ascending.
fn code(text: &str) -> Vec<(usize, usize)> {
    let runs = runs(text);
    // The next run of the same length.
    let mut next: Vec<Option<usize>> = vec![None; runs.len()];
    let mut latest: HashMap<usize, usize> = HashMap::new();
    for (at, run) in runs.iter().enumerate().rev() {
        next[at] = latest.insert(run.length, at);
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(run) = runs.get(at) {
        let end = |run: &Run| run.start + run.length;
        if run.length >= 3 && run.begins_line && run.is_last {
            let closes =
                |other: &Run| other.begins_line && other.ends_line && other.length >= run.length;
            let close = (at + 1..runs.len()).find(|other| closes(&runs[*other]));
            parts.push((
                run.start,
                close.map_or(text.len(), |close| end(&runs[close])),
            ));
            at = close.map_or(runs.len(), |close| close + 1);
        } else if let Some(close) = next[at] {
            parts.push((run.start, end(&runs[close])));
            at = close + 1;
        } else {
            at += 1;
        }
    }
    parts
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let (first, mut at) = (runs.len(), 0);
        while let Some(found) = line[at..].find('`') {
            let start = at + found;
            let length = line[start..].len() - line[start..].trim_start_matches('`').len();
            let before = &line[..start];
            at = start + length;
            runs.push(Run {
                start: from + start,
                length,
                begins_line: runs.len() == first
                    && before.len() <= 3
                    && before.bytes().all(|byte| byte == b' '),
                ends_line: false,
                is_last: false,
            });
        }
        if let Some(last) = runs[first..].last_mut() {
            last.is_last = true;
            last.ends_line = line[at..].trim().is_empty();
        }
        from += line.len();
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|word| word.0).collect()
    }

    #[test]
    fn a_word_is_what_a_name_may_be_and_an_address_has_none() {
        for (text, expected) in [
            ("", &[][..]),
            ("hello bob", &[]),
            ("@bob", &["bob"]),
            ("hi @bob, @Ann_B.c-9!", &["bob", "Ann_B.c-9"]),
            ("@bob's", &["bob"]),
            ("(@bob)", &["bob"]),
            ("@bobby", &["bobby"]),
            ("@bob2", &["bob2"]),
            ("a@bob", &[]),
            ("a.@bob 1@bob _@bob -@bob", &[]),
            ("@@bob", &[]),
            ("@ bob", &[]),
            ("@", &[]),
            ("@bob@cy", &["bob"]),
            ("@bob @BOB @cy", &["bob", "cy"]),
            ("茶@bob你好", &["bob"]),
            ("@bobé", &["bob"]),
            ("@bobe\u{301}", &["bob"]),
            ("@e\u{301}", &[]),
            ("\n@bob\n", &["bob"]),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
        }
    }

    #[test]
    fn dots_at_the_end_belong_to_a_name_that_has_them_or_to_none() {
        let names = |text| words(text)[0].names().collect::<Vec<_>>();
        assert_eq!(names("@bob."), ["bob.", "bob"]);
        assert_eq!(names("@bob..."), ["bob...", "bob"]);
        assert_eq!(names("@bob.smith"), ["bob.smith"]);
        assert_eq!(names("@..."), ["..."]);
        for here in ["@here", "@HERE!", "so @here.", "@here..."] {
            assert!(names_here(here), "{here}");
        }
        for other in ["@hereby", "here", "a@here", "`@here`", "@room"] {
            assert!(!names_here(other), "{other}");
        }
        assert!(words("@Room.")[0].is_room());
    }

    #[test]
    fn code_mentions_nobody() {
        for (text, expected) in [
            ("`@bob`", &[][..]),
            ("`@bob` @cy", &["cy"]),
            ("`a`@bob", &["bob"]),
            ("``@bob ` @cy``", &[]),
            ("`@bob", &["bob"]),
            ("`a``@bob", &["bob"]),
            ("``a`@bob`", &[]),
            ("```\n@bob\n```\n@cy", &["cy"]),
            ("```rust\n@bob\n```", &[]),
            ("```\n@bob", &[]),
            ("   ```\n@bob\n   ````\n@cy", &["cy"]),
            ("a ```\n@bob", &["bob"]),
            ("````\n```\n@bob\n````\n@cy", &["cy"]),
            ("```\n@bob ```\n@cy", &[]),
            ("``` @bob ``` @cy", &["cy"]),
            ("```@bob``` @cy", &["cy"]),
            ("    ```\n@bob", &["bob"]),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_full_of_marks_is_gone_through_once() {
        let names: String = (0..2_000).map(|n| format!("@n{n} ")).collect();
        assert_eq!(found(&names).len(), MENTIONS_MAX);
        let ticks: String = (1..180).map(|n| format!("{}x", "`".repeat(n))).collect();
        assert!(found(&ticks).is_empty());
        let fences = format!("@a\n{}", "````\n```\n".repeat(1_800));
        assert_eq!(found(&fences), ["a"]);
    }
}
