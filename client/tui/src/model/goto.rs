//! Going to a day or a time in a conversation.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};

use super::{Effect, Model};
use crate::conversation::Older;

impl Model {
    /// Scrolls to the first message at a time or after it: `2026-11-28`, `10:30` (today), or both. False if it is no
    /// time.
    pub(super) fn go_to(&mut self, text: &str, effects: &mut Vec<Effect>) -> bool {
        let Some(at_ms) = self.time_of(text) else {
            return false;
        };
        if self.opened().is_none() || self.thread.is_some() {
            self.fail("open a conversation first".to_owned());
            return false;
        }
        self.opened_mut(|open| open.wanted_at_ms = Some(at_ms));
        self.seek_time(effects);
        true
    }

    /// Scrolls to the wanted time, or loads older messages until it is there.
    pub(super) fn seek_time(&mut self, effects: &mut Vec<Effect>) {
        let Some((open, wanted)) = self
            .opened()
            .and_then(|open| Some((open, open.wanted_at_ms?)))
        else {
            return;
        };
        let reaches = open.items.first().is_some_and(|item| item.at_ms < wanted);
        if !reaches && open.older != Older::None {
            return self.load_older(effects);
        }
        let first = open.items.iter().position(|item| item.at_ms >= wanted);
        self.opened_mut(|open| open.wanted_at_ms = None);
        match first {
            Some(first) => self.scroll_from(first),
            None => self.tell("nothing was written since then".to_owned()),
        }
    }

    /// Reads a day, a time of today, or both, in the zone of the reader, as milliseconds since the Unix epoch.
    fn time_of(&self, text: &str) -> Option<i64> {
        let is_utc = self.settings.is_utc;
        let now = DateTime::<Utc>::from_timestamp_millis(self.now_ms)?;
        let today = if is_utc {
            now.date_naive()
        } else {
            now.with_timezone(&Local).date_naive()
        };
        let (mut day, mut time) = (today, NaiveTime::MIN);
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() || words.len() > 2 {
            return None;
        }
        for (at, word) in words.iter().enumerate() {
            if let Ok(named) = word.parse::<NaiveDate>() {
                day = named;
            } else {
                let is_last = at + 1 == words.len();
                time = NaiveTime::parse_from_str(word, "%H:%M")
                    .ok()
                    .filter(|_| is_last)?;
            }
        }
        let named = NaiveDateTime::new(day, time);
        if is_utc {
            return Some(named.and_utc().timestamp_millis());
        }
        let local = Local.from_local_datetime(&named).earliest()?;
        Some(local.timestamp_millis())
    }
}
