//! Lists of what is in the conversations: everything that is unread, and the links.

use super::{Choice, Effect, Model};
use crate::text::{links_of, one_line};

/// The unread messages of one conversation that are listed.
const UNREAD_LISTED: usize = 50;
/// The links that are listed.
const LINKS_LISTED: usize = 200;

impl Model {
    /// Lists the conversations with unread messages, and these messages as far as they are loaded.
    pub(super) fn open_unread(&mut self) {
        let mut rows = Vec::new();
        let mut unread: Vec<_> = self.loud().collect();
        unread.sort_by_key(|one| (one.mentions == 0, one.name.to_lowercase()));
        for one in unread {
            let mentions = match one.mentions {
                0 => String::new(),
                _ if !one.is_room() => String::new(),
                count => format!(", {count} for you"),
            };
            let title = format!("{}  {} unread{mentions}", one.name, one.unread);
            rows.push((title, Choice::Open(one.name.clone())));
            let from = one.first_unread().unwrap_or(one.items.len());
            let loaded = one.items[from..].iter().filter(|item| item.is_countable());
            let mut shown = 0;
            for item in loaded.take(UNREAD_LISTED) {
                shown += 1;
                let time = crate::view::time_of_day(item.at_ms, self.settings.is_utc);
                let text = format!("    {time} {}: {}", item.sender, one_line(&item.text));
                let (name, cursor) = (one.name.clone(), item.cursor);
                rows.push((text, Choice::Message { name, cursor }));
            }
            if shown == 0 && !one.preview.is_empty() {
                let text = format!("    … {}", one_line(&one.preview));
                rows.push((text, Choice::Open(one.name.clone())));
            }
        }
        if rows.is_empty() {
            return self.tell("nothing is unread".to_owned());
        }
        self.pick("Unread: Enter goes there", rows);
    }

    /// Lists the links of the messages that are loaded, the newest first.
    pub(super) fn open_links(&mut self) {
        let mut rows: Vec<(String, Choice)> = Vec::new();
        let items = self
            .opened()
            .into_iter()
            .flat_map(|open| open.items.iter().rev());
        for item in items.filter(|item| item.is_text() && item.text.contains("http")) {
            for link in links_of(&item.text) {
                let row = (
                    format!("{link}  ({})", item.sender),
                    Choice::Do(Effect::OpenLink(link)),
                );
                if rows.len() < LINKS_LISTED && !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
        if rows.is_empty() {
            return self.tell("no loaded message here has a link".to_owned());
        }
        self.pick("Links: Enter opens one, or copies it", rows);
    }
}
