//! The queries of people: words, phrases, prefixes and filters. Parses them, compares them with texts, and writes them
//! for the index.

use chrono::{DateTime, NaiveDate, NaiveTime};
use tercet_types::{
    limits::{SEARCH_CHARS_MAX, SEARCH_TERMS_MAX},
    name::ROOM_MARK,
};

use super::units::{Kind, Unit, units};
use crate::fields::{self, BadField, bad};

/// Letters that a prefix has at least: a shorter one would find too much.
const PREFIX_CHARS_MIN: usize = 2;
/// Places of one text that are marked.
const SPANS_MAX: usize = 100;

/// A checked query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchQuery {
    terms: Vec<Term>,
    /// The name of the sender.
    pub(super) from: Option<String>,
    pub(super) place: Option<Place>,
    /// Milliseconds since the Unix epoch: only messages sent before.
    pub(super) before_ms: Option<i64>,
    /// Only messages sent then or later.
    pub(super) after_ms: Option<i64>,
    has_link: bool,
    /// Only messages with a reaction, or that are pinned.
    pub(super) has_reaction: bool,
    pub(super) has_pin: bool,
}

/// The conversation that is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The name of a room, without the `#`.
    Room(String),
    /// The name of the other account.
    Account(String),
}

/// A word, or several that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// One or more.
    units: Vec<Unit>,
    /// Whether the last unit is the beginning of a word.
    is_prefix: bool,
}

/// Checks a query.
///
/// # Errors
/// When it is too long, has too many words, or a filter that does not exist or has no valid value.
pub fn parse(text: &str) -> Result<SearchQuery, BadField> {
    if text.chars().count() > SEARCH_CHARS_MAX {
        return Err(wrong(format!(
            "is longer than {SEARCH_CHARS_MAX} characters"
        )));
    }
    let mut query = SearchQuery::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let after;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (phrase, end) = quoted.split_once('"').unwrap_or((quoted, ""));
            let is_prefix = end.starts_with('*');
            query.add(phrase, is_prefix)?;
            after = end.strip_prefix('*').unwrap_or(end);
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || c == '"')
                .unwrap_or(rest.len());
            let (word, end) = rest.split_at(end);
            match word.split_once(':') {
                Some((key, value)) if is_filter(key) => query.filter(key, value)?,
                _ => match word.strip_suffix('*') {
                    Some(prefix) => query.add(prefix, true)?,
                    None => query.add(word, false)?,
                },
            }
            after = end;
        }
        rest = after.trim_start();
    }
    if query == SearchQuery::default() {
        return Err(wrong("has no word to search for and no filter"));
    }
    Ok(query)
}

fn wrong(what: impl Into<String>) -> BadField {
    bad("query", "INVALID_QUERY", what)
}

fn is_filter(key: &str) -> bool {
    let known = ["from", "in", "before", "after", "has"];
    known.iter().any(|one| key.eq_ignore_ascii_case(one))
}

impl SearchQuery {
    /// Adds a term; a text without units, such as punctuation, is none.
    fn add(&mut self, text: &str, is_prefix: bool) -> Result<(), BadField> {
        let units = units(text);
        let Some(last) = units.last() else {
            return Ok(());
        };
        // Characters are whole units: there is nothing to complete.
        let is_prefix = is_prefix && last.kind == Kind::Word;
        if is_prefix && last.text.chars().count() < PREFIX_CHARS_MIN {
            let what = format!("has a `*` after fewer than {PREFIX_CHARS_MIN} letters");
            return Err(wrong(what));
        }
        if self.terms.len() == SEARCH_TERMS_MAX {
            let what = format!("has more than {SEARCH_TERMS_MAX} words and phrases");
            return Err(wrong(what));
        }
        self.terms.push(Term { units, is_prefix });
        Ok(())
    }

    fn filter(&mut self, key: &str, value: &str) -> Result<(), BadField> {
        let key = key.to_ascii_lowercase();
        let once = |is_first: bool| match is_first {
            true => Ok(()),
            false => Err(wrong(format!("has `{key}:` more than once"))),
        };
        match key.as_str() {
            "from" => {
                once(self.from.is_none())?;
                self.from = Some(fields::username("query", value)?);
            }
            "in" => {
                once(self.place.is_none())?;
                self.place = Some(match value.starts_with(ROOM_MARK) {
                    true => Place::Room(fields::room_name("query", value)?),
                    false => Place::Account(fields::username("query", value)?),
                });
            }
            "before" => {
                once(self.before_ms.is_none())?;
                self.before_ms = Some(time(&key, value)?);
            }
            "after" => {
                once(self.after_ms.is_none())?;
                self.after_ms = Some(time(&key, value)?);
            }
            _ if value.eq_ignore_ascii_case("link") => self.has_link = true,
            _ if value.eq_ignore_ascii_case("reaction") => self.has_reaction = true,
            _ if value.eq_ignore_ascii_case("pin") => self.has_pin = true,
            _ => return Err(wrong("has `has:` without one of: link, pin, reaction")),
        }
        Ok(())
    }

    /// Finds the places of all terms in a text, in order; `None` when it does not have all of them.
    pub(super) fn find(&self, text: &str) -> Option<Vec<(usize, usize)>> {
        if self.has_link && !has_link(text) {
            return None;
        }
        let units = units(text);
        let mut spans = Vec::new();
        for term in &self.terms {
            let count = spans.len();
            let windows = units.windows(term.units.len());
            spans.extend(
                windows
                    .filter_map(|window| term.span(window))
                    .take(SPANS_MAX),
            );
            if spans.len() == count {
                return None;
            }
        }
        spans.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (start, end) in spans {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged.truncate(SPANS_MAX);
        Some(merged)
    }

    /// Writes the terms and filters of texts for the index; every text with the terms has what is written.
    pub(super) fn for_index(&self) -> Vec<String> {
        let mut all: Vec<String> = self.terms.iter().flat_map(Term::for_index).collect();
        if self.has_link {
            all.push(format!("marks : \"{LINK_MARK}\""));
        }
        all
    }
}

impl Term {
    /// Gives the place of a text's units if they are those of the term.
    fn span(&self, window: &[Unit]) -> Option<(usize, usize)> {
        let last = self.units.len() - 1;
        let mut pairs = self.units.iter().zip(window).enumerate();
        let is_found = pairs.all(|(number, (wanted, found))| match number == last {
            true if self.is_prefix => found.text.starts_with(&wanted.text),
            _ => found.text == wanted.text,
        });
        let (first, last) = (window.first()?, window.last()?);
        is_found.then_some((first.start, last.end))
    }

    fn for_index(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let runs = self.units.chunk_by(|one, next| {
            one.kind == next.kind && (one.kind == Kind::Word || one.end == next.start)
        });
        for run in runs {
            match run {
                [one] if one.kind == Kind::Character => {
                    parts.push(format!("characters : \"{}\"", one.text));
                }
                _ => parts.push(format!("words : \"{}\"", words(run))),
            }
        }
        if self.is_prefix
            && let Some(last) = parts.last_mut()
        {
            last.push_str(" *");
        }
        parts
    }
}

/// The mark of texts with a link.
pub(super) const LINK_MARK: &str = "hlink";

pub(super) fn has_link(text: &str) -> bool {
    text.contains("http://") || text.contains("https://")
}

/// Writes units as the index has them: words, and the pairs of adjacent characters.
pub(super) fn words(units: &[Unit]) -> String {
    let mut text = String::new();
    let mut before: Option<&Unit> = None;
    for unit in units {
        match unit.kind {
            Kind::Word => push(&mut text, &[&unit.text]),
            Kind::Character => {
                let is_adjacent =
                    |one: &&Unit| one.kind == Kind::Character && one.end == unit.start;
                if let Some(before) = before.filter(is_adjacent) {
                    push(&mut text, &[&before.text, &unit.text]);
                }
            }
        }
        before = Some(unit);
    }
    text
}

/// Writes the units that are characters.
pub(super) fn characters(units: &[Unit]) -> String {
    let mut text = String::new();
    for unit in units.iter().filter(|unit| unit.kind == Kind::Character) {
        push(&mut text, &[&unit.text]);
    }
    text
}

fn push(text: &mut String, parts: &[&str]) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.extend(parts.iter().copied());
}

/// Parses a day, which means its beginning in UTC, or a time.
fn time(key: &str, text: &str) -> Result<i64, BadField> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let day = day.map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    let time = || {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.timestamp_millis())
    };
    day.or_else(time).ok_or_else(|| {
        wrong(format!(
            "has `{key}:` without a day such as 2026-11-28, or a time such as 2026-11-28T10:00:00Z"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str, text: &str) -> Option<Vec<String>> {
        let spans = parse(query).unwrap().find(text)?;
        Some(
            spans
                .into_iter()
                .map(|(start, end)| text[start..end].to_owned())
                .collect(),
        )
    }

    #[test]
    fn all_words_must_be_there_in_any_order_and_short_ones_too() {
        assert_eq!(found("quick ok", "ok, be quick").unwrap(), ["ok", "quick"]);
        assert_eq!(found("quick ok", "the quick fox"), None);
        assert_eq!(found("cafe", "Un Café!").unwrap(), ["Café"]);
        assert_eq!(found("quick", "quickly"), None);
        assert_eq!(
            found("qui*", "quickly, a quiz").unwrap(),
            ["quickly", "quiz"]
        );
    }

    #[test]
    fn phrases_are_words_in_their_order() {
        assert_eq!(found("\"be quick\"", "ok, be quick").unwrap(), ["be quick"]);
        assert_eq!(found("\"quick be\"", "ok, be quick"), None);
        assert_eq!(found("\"be qui\"*", "be quick").unwrap(), ["be quick"]);
        assert_eq!(found("3.14", "pi is 3.14").unwrap(), ["3.14"]);
        // An unfinished quotation goes to the end.
        assert_eq!(found("\"be quick", "be quick").unwrap(), ["be quick"]);
    }

    #[test]
    fn characters_without_spaces_are_found_anywhere() {
        assert_eq!(found("京都", "東京都").unwrap(), ["京都"]);
        assert_eq!(found("猫", "黒猫").unwrap(), ["猫"]);
        assert_eq!(found("京東", "東京都"), None);
        assert_eq!(found("iphone用", "新しいiPhone用").unwrap(), ["iPhone用"]);
    }

    #[test]
    fn the_index_gets_words_pairs_and_single_characters() {
        let for_index = |text: &str| parse(text).unwrap().for_index().join(" AND ");
        assert_eq!(
            for_index("Be quick*"),
            "words : \"be\" AND words : \"quick\" *"
        );
        assert_eq!(for_index("\"be quick\""), "words : \"be quick\"");
        assert_eq!(for_index("東京都"), "words : \"東京 京都\"");
        assert_eq!(for_index("猫"), "characters : \"猫\"");
        assert_eq!(
            for_index("iphone用 has:link"),
            "words : \"iphone\" AND characters : \"用\" AND marks : \"hlink\""
        );
        let text = units("新しい iPhone");
        assert_eq!(words(&text), "新し しい iphone");
        assert_eq!(characters(&text), "新 し い");
    }

    #[test]
    fn filters_have_values() {
        let query = parse("from:Ann in:#tea before:2026-11-28 AFTER:2026-11-01T10:00:00Z").unwrap();
        assert_eq!(query.from.as_deref(), Some("Ann"));
        assert_eq!(query.place, Some(Place::Room("tea".into())));
        assert_eq!(query.before_ms, Some(1_795_824_000_000));
        assert_eq!(query.after_ms, Some(1_793_527_200_000));
        assert_eq!(
            parse("in:bob").unwrap().place,
            Some(Place::Account("bob".into()))
        );
        // No filter, but a text.
        assert_eq!(
            found("http://x.org", "see http://x.org").unwrap(),
            ["http://x.org"]
        );
        assert_eq!(found("has:link", "see http://x.org").unwrap(), [""; 0]);
        assert_eq!(found("has:link", "see x.org"), None);
        let many = "x ".repeat(SEARCH_TERMS_MAX + 1);
        let long = "x".repeat(SEARCH_CHARS_MAX + 1);
        for (text, reason) in [
            ("", "INVALID_QUERY"),
            (" ?! \"\" ", "INVALID_QUERY"),
            ("a*", "INVALID_QUERY"),
            ("from:a from:b", "INVALID_QUERY"),
            ("from:", "INVALID_USERNAME"),
            ("from:a!", "INVALID_USERNAME"),
            ("in:#", "INVALID_ROOM_NAME"),
            ("before:yesterday", "INVALID_QUERY"),
            ("has:wings", "INVALID_QUERY"),
            (&many, "INVALID_QUERY"),
            (&long, "INVALID_QUERY"),
        ] {
            let rejected = parse(text).unwrap_err();
            assert_eq!(
                (rejected.field, rejected.reason),
                ("query", reason),
                "{text}"
            );
        }
    }
}
