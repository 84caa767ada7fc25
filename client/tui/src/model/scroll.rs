//! The visible part of a conversation, and scrolling. Lines are counted as the view wraps them.

use super::{Effect, LIST_FROM, Model, WIDE};
use crate::conversation::{Conversation, Older, Scroll};
use crate::item::Item;
use crate::text::{Face, Piece, emoji_as_names, fit, one_line, styled, wrap};

/// The most rows that the input takes.
pub const INPUT_ROWS_MAX: usize = 6;

/// The places of the screen, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// The width of the list of conversations; 0 when it is not shown.
    pub list: usize,
    /// The width of the members; 0 when they are not shown.
    pub members: usize,
    /// The width of the messages.
    pub middle: usize,
    /// The height of the messages.
    pub height: usize,
    /// The rows of the input.
    pub input: usize,
    /// The cells before the text of a message: its time and its sender.
    pub indent: usize,
}

impl Model {
    /// Returns where everything stands on the screen.
    #[must_use]
    pub fn places(&self) -> Places {
        let (columns, rows) = (usize::from(self.columns), usize::from(self.rows));
        let list = match self.columns {
            0..LIST_FROM => 0,
            LIST_FROM..WIDE => 18,
            _ => 24,
        };
        let has_members = self.columns >= WIDE && self.members_shown;
        let members = if has_members && self.opened().is_some_and(Conversation::is_room) {
            18
        } else {
            0
        };
        let borders = usize::from(list > 0) + usize::from(members > 0);
        let middle = columns.saturating_sub(list + members + borders).max(1);
        let prompt = self.prompt_width();
        let most = INPUT_ROWS_MAX.min((rows / 3).max(1));
        let input =
            crate::view::input_rows(self.input.text(), columns.saturating_sub(prompt).max(1));
        let input = input.clamp(1, most);
        let notice = crate::view::notice_lines(self).len();
        Places {
            list,
            members,
            middle,
            height: rows.saturating_sub(2 + input + notice).max(1),
            input,
            indent: if middle >= 50 { 20 } else { 6 },
        }
    }

    /// Returns the width of the prompt.
    #[must_use]
    pub fn prompt_width(&self) -> usize {
        let most = usize::from(self.columns / 3);
        crate::text::width(&self.prompt()).min(most)
    }

    /// Returns the prompt: where the text goes.
    #[must_use]
    pub fn prompt(&self) -> String {
        let thread = if self.thread.is_some() { " thread" } else { "" };
        format!("{}{thread}> ", self.opened().map_or("", |open| &open.name))
    }

    /// Returns the lines that a message takes, without the day line above it: what it replies to, its text, and the
    /// reactions.
    #[must_use]
    pub fn lines_of(&self, open: &Conversation, item: &Item, places: &Places) -> Vec<Vec<Piece>> {
        let width = places.middle.saturating_sub(places.indent + 1).max(2);
        let mark = crate::view::mark_text(item, open.marker.peer_read);
        let mut text = match (item.is_deleted, self.settings.emoji_names) {
            (true, _) => "(deleted)".to_owned(),
            (false, true) => emoji_as_names(&item.text),
            (false, false) => item.text.clone(),
        };
        if item.is_edited && !item.is_deleted {
            text.push_str(" (edited)");
        }
        if places.indent < 20 && !item.is_system {
            text.insert_str(0, &format!("{}: ", item.sender));
        }
        let me = if item.is_mine || item.is_system {
            ""
        } else {
            &self.me
        };
        let thread = self.thread.as_ref().map_or(0, |thread| thread.seq);
        let is_quoting = item.reply_to > 0 && item.reply_to != thread && !item.is_deleted;
        let quote = is_quoting.then(|| {
            let quoted = match open.numbered(item.reply_to) {
                Some(answered) if answered.is_deleted => {
                    format!("{}: (deleted)", answered.sender)
                }
                Some(answered) => format!("{}: {}", answered.sender, one_line(&answered.text)),
                None => "a message further up".to_owned(),
            };
            faint(fit(&format!("↳ {quoted}"), width))
        });
        let mut lines: Vec<Vec<Piece>> = quote.into_iter().collect();
        let mut styled = styled(&text, me);
        if let Some(last) = styled.last_mut().filter(|_| !mark.is_empty()) {
            last.extend(faint(mark));
        }
        lines.extend(wrap(&styled, width));
        if !item.reactions.is_empty() && !item.is_deleted {
            let reactions = item.reactions.iter().map(|one| {
                let text = if self.settings.emoji_names {
                    emoji_as_names(&one.text)
                } else {
                    one.text.clone()
                };
                let yours = if one.is_mine { " (yours)" } else { "" };
                format!("{} {}{yours}", one_line(&text), one.count)
            });
            let reactions: Vec<String> = reactions.collect();
            lines.extend(wrap(&[faint(reactions.join(" · "))], width));
        }
        lines
    }

    /// Returns the rows that the message at this place takes, with the lines above it.
    fn rows_of(&self, open: &Conversation, at: usize, places: &Places) -> usize {
        let above = crate::view::lines_above(open, at, self.settings.is_utc);
        self.lines_of(open, &open.items[at], places).len() + above.count()
    }

    /// Returns the places of the first message on the screen, and of the last whose end is on it; `None` if there is
    /// none.
    pub(super) fn on_screen(&self) -> Option<(usize, usize)> {
        let places = self.places();
        let open = self.opened()?;
        let (from_newest, hidden) = open.scroll.place();
        let end = open.items.len().checked_sub(from_newest + 1)?;
        let last = if hidden > 0 { end.checked_sub(1)? } else { end };
        let mut first = end;
        let mut rows = self.rows_of(open, end, &places).saturating_sub(hidden);
        while rows < places.height && first > 0 {
            first -= 1;
            rows += self.rows_of(open, first, &places);
        }
        Some((first, last))
    }

    /// Scrolls so that the message at this place is at the top, below the one before it if that is short.
    pub(super) fn scroll_from(&mut self, first: usize) {
        let places = self.places();
        let Some(open) = self.opened() else {
            return;
        };
        let before = first.checked_sub(1);
        let before = before.map_or(0, |at| self.rows_of(open, at, &places));
        let mut rows = if before <= places.height / 4 {
            before
        } else {
            0
        };
        let mut scroll = Scroll::Bottom;
        for at in first..open.items.len() {
            rows += self.rows_of(open, at, &places);
            if rows > places.height {
                scroll = Scroll::Up {
                    from_newest: open.items.len() - 1 - at,
                    hidden: rows - places.height,
                };
                break;
            }
        }
        self.opened_mut(|open| open.scroll = scroll);
    }

    /// Scrolls up by lines, or down if negative. At the top older messages are loaded.
    pub(super) fn scroll_by(&mut self, lines: i32, effects: &mut Vec<Effect>) {
        let places = self.places();
        self.opened_mut(|open| (open.wants_new, open.wanted_at_ms) = (false, None));
        let Some(open) = self.opened() else {
            return;
        };
        let count = open.items.len();
        let (mut item, mut hidden) = match open.scroll {
            Scroll::Bottom => (0, 0),
            Scroll::Up {
                from_newest,
                hidden,
            } => (from_newest.min(count.saturating_sub(1)), hidden),
        };
        let height = |item: usize| self.rows_of(open, count - 1 - item, &places);
        if count == 0 {
            return self.load_older(effects);
        }
        let mut left = lines.unsigned_abs() as usize;
        let mut is_at_top = false;
        if lines > 0 {
            while left > 0 {
                let here = height(item) - hidden.min(height(item));
                if left < here {
                    hidden += left;
                    break;
                }
                left -= here;
                if item + 1 >= count {
                    is_at_top = true;
                    break;
                }
                (item, hidden) = (item + 1, 0);
            }
            // The screen stays full.
            let mut above = height(item).saturating_sub(hidden);
            let mut first = item;
            while above < places.height && first + 1 < count {
                first += 1;
                above += height(first);
            }
            is_at_top |= first + 1 >= count;
            while above < places.height && (item > 0 || hidden > 0) {
                if hidden > 0 {
                    hidden -= 1;
                } else {
                    item -= 1;
                    hidden = height(item) - 1;
                }
                above += 1;
            }
        } else {
            while left > 0 && (item > 0 || hidden > 0) {
                if hidden >= left {
                    hidden -= left;
                    break;
                }
                left -= hidden;
                hidden = 0;
                if item == 0 {
                    break;
                }
                item -= 1;
                hidden = height(item);
            }
        }
        let scroll = if item == 0 && hidden == 0 {
            Scroll::Bottom
        } else {
            Scroll::Up {
                from_newest: item,
                hidden,
            }
        };
        self.opened_mut(|open| open.scroll = scroll);
        if is_at_top {
            self.load_older(effects);
        }
    }

    /// Scrolls as far as the message at this place, counted from the newest, needs to be on the screen.
    pub(super) fn show_place(&mut self, place: usize, effects: &mut Vec<Effect>) {
        let places = self.places();
        let Some(open) = self.opened() else {
            return;
        };
        let (bottom, hidden) = open.scroll.place();
        if place < bottom || (place == bottom && hidden > 0) {
            let hidden = 0;
            let scroll = match place {
                0 => Scroll::Bottom,
                from_newest => Scroll::Up {
                    from_newest,
                    hidden,
                },
            };
            return self.opened_mut(|open| open.scroll = scroll);
        }
        let count = open.items.len();
        let mut needed = 0;
        for item in bottom..=place.min(count.saturating_sub(1)) {
            needed += self.rows_of(open, count - 1 - item, &places);
        }
        let missing = needed.saturating_sub(hidden + places.height);
        if missing > 0 {
            self.scroll_by(i32::try_from(missing).unwrap_or(i32::MAX), effects);
        }
    }

    pub(super) fn scroll_to_bottom(&mut self) {
        self.opened_mut(|open| {
            open.scroll = Scroll::Bottom;
            open.wants_new = false;
            if open.unread == 0 {
                open.new_after = None;
            }
        });
    }

    pub(super) fn page(&self) -> i32 {
        i32::try_from(self.places().height.saturating_sub(2).max(1)).unwrap_or(1)
    }

    /// Opens a conversation at a message, for which older pages are loaded until it is there.
    pub(super) fn show_message(&mut self, name: &str, cursor: u64, effects: &mut Vec<Effect>) {
        self.open(name, effects);
        self.opened_mut(|open| open.wanted = Some(cursor));
        self.seek(effects);
    }

    /// Scrolls to the wanted message and selects it, or loads older ones.
    pub(super) fn seek(&mut self, effects: &mut Vec<Effect>) {
        let Some((open, wanted)) = self.opened().and_then(|open| Some((open, open.wanted?))) else {
            return;
        };
        let place = open.items.iter().rposition(|item| item.cursor == wanted);
        let is_missing = place.is_none() && open.older == Older::None;
        if let Some(place) = place {
            self.opened_mut(|open| {
                open.wanted = None;
                open.selected = Some(wanted);
            });
            return self.scroll_from(place);
        }
        if is_missing {
            self.opened_mut(|open| open.wanted = None);
            return self.fail("that message is not there any more".to_owned());
        }
        self.load_older(effects);
    }

    pub(super) fn load_older(&mut self, effects: &mut Vec<Effect>) {
        let mut asked = None;
        self.opened_mut(|open| {
            if let Older::Page(token) = &open.older {
                asked = Some((open.name.clone(), token.clone()));
                open.older = Older::Loading;
            }
        });
        if let Some((name, token)) = asked {
            effects.push(Effect::History {
                name,
                token: Some(token),
            });
        }
    }

    /// Scrolls to the last loaded message with a text, above what is on the screen; false if there is none.
    pub(super) fn find(&mut self, text: &str) -> bool {
        let wanted = text.to_lowercase();
        let Some(open) = self.opened() else {
            return false;
        };
        let from = match open.scroll {
            Scroll::Bottom => 0,
            Scroll::Up { from_newest, .. } => from_newest + 1,
        };
        let newest_first = open.items.iter().rev().enumerate().skip(from);
        let found = newest_first
            .map(|(at, item)| (at, item.text.to_lowercase()))
            .find(|(_, text)| text.contains(&wanted));
        match found {
            Some((at, _)) => {
                self.opened_mut(|open| {
                    open.scroll = Scroll::Up {
                        from_newest: at,
                        hidden: 0,
                    }
                });
                true
            }
            None => {
                self.fail(format!(
                    "no loaded message above has `{text}`; PageUp loads more"
                ));
                false
            }
        }
    }
}

/// Makes a line that stands back.
fn faint(text: String) -> Vec<Piece> {
    let face = Face {
        quote: true,
        ..Face::default()
    };
    vec![Piece { face, text }]
}
