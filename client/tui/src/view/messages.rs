//! The messages of the open conversation, with day lines and the line above what is new.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, Timelike as _, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Theme, put};
use crate::conversation::{Conversation, Older};
use crate::item::{Item, Mark};
use crate::links::Links;
use crate::model::Places;
use crate::model::{Connection, Model};
use crate::text::{Piece, fit, links_of, width};

/// The lines that stand above a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinesAbove {
    day: bool,
    new: bool,
}

impl LinesAbove {
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.day) + usize::from(self.new)
    }
}

/// Returns which lines stand above the message at this place.
#[must_use]
pub fn lines_above(open: &Conversation, at: usize, is_utc: bool) -> LinesAbove {
    let item = &open.items[at];
    let before = at.checked_sub(1).map(|at| &open.items[at]);
    LinesAbove {
        day: before.is_none_or(|before| day(before, is_utc) != day(item, is_utc)),
        new: open.new_line() == Some(at),
    }
}

/// Returns a time in the zone of the reader.
fn local(ms: i64, is_utc: bool) -> NaiveDateTime {
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    if is_utc {
        time.naive_utc()
    } else {
        time.with_timezone(&Local).naive_local()
    }
}

/// Returns a time as hours and minutes, in the zone of the reader.
#[must_use]
pub fn time_of_day(ms: i64, is_utc: bool) -> String {
    local(ms, is_utc).format("%H:%M").to_string()
}

/// Returns the minute of the day at a time, in the zone of the reader.
#[must_use]
pub fn minute_of_day(ms: i64, is_utc: bool) -> u32 {
    let time = local(ms, is_utc).time();
    time.hour() * 60 + time.minute()
}

fn day(item: &Item, is_utc: bool) -> NaiveDate {
    local(item.at_ms, is_utc).date()
}

/// One row of the messages.
enum Row<'a> {
    Line {
        text: String,
        is_new: bool,
    },
    Text {
        item: &'a Item,
        is_first: bool,
        pieces: Vec<Piece>,
    },
}

pub(super) fn draw(
    model: &Model,
    theme: &Theme,
    buffer: &mut Buffer,
    links: &mut Links,
    area: Rect,
    places: &Places,
) {
    let Some(open) = model.opened() else {
        return empty(model, theme, buffer, area);
    };
    let rows = visible(model, open, places);
    let free = usize::from(area.height).saturating_sub(rows.len());
    let first_y = area.y + u16::try_from(free).unwrap_or(0);
    if free > 0 {
        let text = if model.thread.is_some() {
            "the beginning of the thread".to_owned()
        } else {
            top_text(open)
        };
        put(
            buffer,
            area.x,
            first_y - 1,
            places.middle,
            &fit(&text, places.middle),
            theme.dim(),
        );
    }
    for (y, row) in (first_y..).zip(&rows) {
        match row {
            Row::Line { text, is_new } => {
                let style = if *is_new {
                    theme.new_line()
                } else {
                    theme.dim()
                };
                let rest = places.middle.saturating_sub(width(text) + 4);
                let line = format!("── {text} {}", "─".repeat(rest));
                put(buffer, area.x, y, places.middle, &line, style);
            }
            Row::Text {
                item,
                is_first,
                pieces,
            } => {
                if pieces.iter().any(|piece| piece.face.link > 0) {
                    for link in links_of(&item.text) {
                        links.add(crate::links::number(&link), &link);
                    }
                }
                text_row(
                    model,
                    theme,
                    buffer,
                    (area.x, y),
                    item,
                    *is_first,
                    pieces,
                    places,
                );
            }
        }
    }
}

/// Returns the rows on the screen, from the top to the bottom.
fn visible<'a>(model: &'a Model, open: &'a Conversation, places: &Places) -> Vec<Row<'a>> {
    let is_utc = model.settings.is_utc;
    let (from_newest, mut hidden) = open.scroll.place();
    let count = open.items.len();
    let end = count.saturating_sub(from_newest.min(count.saturating_sub(1)));
    let mut rows = Vec::with_capacity(places.height);
    for at in (0..end).rev() {
        let item = &open.items[at];
        let lines = model.lines_of(open, item, places);
        let first = lines.len() - 1;
        let texts = lines
            .into_iter()
            .rev()
            .enumerate()
            .map(|(index, pieces)| Row::Text {
                item,
                is_first: index == first,
                pieces,
            });
        let above = lines_above(open, at, is_utc);
        let new = above.new.then(|| Row::Line {
            text: "new".to_owned(),
            is_new: true,
        });
        let day = above.day.then(|| Row::Line {
            text: day(item, is_utc).format("%A, %-d %B %Y").to_string(),
            is_new: false,
        });
        for row in texts.chain(new).chain(day) {
            if hidden > 0 {
                hidden -= 1;
            } else {
                rows.push(row);
            }
            if rows.len() == places.height {
                rows.reverse();
                return rows;
            }
        }
    }
    rows.reverse();
    rows
}

#[allow(clippy::too_many_arguments, reason = "the parts of one row")]
fn text_row(
    model: &Model,
    theme: &Theme,
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    item: &Item,
    is_first: bool,
    pieces: &[Piece],
    places: &Places,
) {
    let is_selected = model
        .opened()
        .is_some_and(|open| item.cursor > 0 && open.selected == Some(item.cursor));
    if is_selected {
        // In the column between the time and the sender.
        put(buffer, x + 5, y, 1, "▶", theme.bold());
    }
    if is_first {
        let time = time_of_day(item.at_ms, model.settings.is_utc);
        put(buffer, x, y, 5, &time, theme.dim());
        if places.indent >= 20 && !item.is_system {
            let name = fit(&item.sender, 12);
            let start = x + 6 + u16::try_from(12 - width(&name)).unwrap_or(0);
            put(
                buffer,
                start,
                y,
                12,
                &name,
                theme.sender(&item.sender, item.is_mine),
            );
        }
    }
    let mut at = x + u16::try_from(places.indent).unwrap_or(0);
    let edge = x + u16::try_from(places.middle).unwrap_or(0);
    for piece in pieces {
        let is_faint = item.is_system || item.is_deleted || item.is_changing;
        let style = if is_faint || item.mark == Mark::Sending {
            theme.dim()
        } else if matches!(item.mark, Mark::Failed { .. }) {
            theme.error()
        } else {
            theme.face(piece.face)
        };
        at += put(
            buffer,
            at,
            y,
            usize::from(edge.saturating_sub(at)),
            &piece.text,
            style,
        );
    }
}

fn top_text(open: &Conversation) -> String {
    match open.older {
        Older::Loading => "loading older messages …".to_owned(),
        Older::Page(_) => "PageUp loads older messages".to_owned(),
        Older::None if open.items.is_empty() => "no messages yet: write the first".to_owned(),
        Older::None => "the beginning of the conversation".to_owned(),
        Older::Unknown => String::new(),
    }
}

/// Tells a person without a conversation how to get to one.
fn empty(model: &Model, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let lines: &[&str] = match model.connection {
        Connection::Connected { .. } => &[
            "No conversation is open.",
            "",
            "Ctrl-G   go to a person or a room",
            "/rooms   list the rooms that you can join",
            "/who     list the people",
            "F1       show all keys and commands",
        ],
        _ => &["Connecting …"],
    };
    for (y, line) in (area.y + 1..area.bottom()).zip(lines) {
        put(
            buffer,
            area.x + 2,
            y,
            usize::from(area.width.saturating_sub(2)),
            line,
            theme.dim(),
        );
    }
}
