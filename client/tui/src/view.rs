//! Draws the model on a screen of cells. Holds no state, and changes none.

mod bars;
mod boxes;
mod messages;
mod sides;
mod theme;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use tercet_types::plain_text::harmless;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::item::{Item, Mark};
use crate::links::Links;
use crate::model::{Mode, Model};
use crate::screen::Frame;
use crate::text::width;

pub use bars::{notice_lines, status_text};
pub use messages::{lines_above, minute_of_day, time_of_day};
pub use theme::Theme;

/// The smallest screen that is drawn on.
pub(crate) const SMALLEST: (u16, u16) = (20, 6);

/// Draws the model on a buffer, and returns the place of the cursor.
pub fn draw(model: &Model, theme: &Theme, buffer: &mut Buffer) -> Option<Position> {
    let mut frame = Frame {
        buffer,
        links: &mut Links::default(),
        moving: Rect::default(),
    };
    draw_frame(model, theme, &mut frame)
}

/// Draws the model, and returns the place of the cursor.
pub fn draw_frame(model: &Model, theme: &Theme, frame: &mut Frame<'_>) -> Option<Position> {
    let Frame {
        buffer,
        links,
        moving,
    } = frame;
    let area = buffer.area;
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("too small: {}x{} is the least", SMALLEST.0, SMALLEST.1);
        put(
            buffer,
            0,
            0,
            usize::from(area.width),
            &text,
            Style::default(),
        );
        return None;
    }
    if let Mode::Login(form) = &model.mode {
        return boxes::login(form, model, theme, buffer);
    }
    let places = model.places();
    let middle = Rect {
        x: u16::try_from(places.list + usize::from(places.list > 0)).unwrap_or(0),
        y: 1,
        width: u16::try_from(places.middle).unwrap_or(area.width),
        height: u16::try_from(places.height).unwrap_or(area.height),
    };
    bars::top(model, theme, buffer);
    sides::draw(model, theme, buffer, &places);
    messages::draw(model, theme, buffer, links, middle, &places);
    *moving = middle;
    let mut y = 1 + middle.height;
    y += bars::notice(model, theme, buffer, y);
    bars::status(model, theme, buffer, y);
    let cursor = bars::input(model, theme, buffer, y + 1, &places);
    match &model.mode {
        Mode::Pick(picker) => boxes::picker(picker, theme, buffer),
        Mode::Cluster => {
            boxes::cluster(model, theme, buffer);
            None
        }
        _ => cursor,
    }
}

/// Writes a text of at most `max` cells, and returns the cells that it took.
fn put(buffer: &mut Buffer, x: u16, y: u16, max: usize, text: &str, style: Style) -> u16 {
    if !buffer.area.contains(Position { x, y }) {
        return 0;
    }
    let (end, _) = buffer.set_stringn(x, y, text, max, style);
    end - x
}

/// Returns what stands after a message: how far it has come.
#[must_use]
pub fn mark_text(item: &Item, peer_read: u64) -> String {
    let is_read = item.seq > 0 && item.seq <= peer_read;
    match &item.mark {
        _ if item.is_changing => " …".to_owned(),
        Mark::None => String::new(),
        Mark::Sending => " …".to_owned(),
        Mark::Sent | Mark::Delivered if is_read => " ✓✓ read".to_owned(),
        Mark::Sent => " ✓".to_owned(),
        Mark::Delivered => " ✓✓".to_owned(),
        Mark::Failed {
            why,
            is_unknown: false,
        } => format!(" ✗ not sent: {why}"),
        Mark::Failed { why, .. } => format!(" ✗ perhaps not sent: {why}"),
    }
}

/// Returns the rows that a text takes in the input.
#[must_use]
pub fn input_rows(text: &str, max: usize) -> usize {
    input_layout(text, text.len(), max).0.len()
}

/// Breaks the text of the input into rows, and returns the row and the cell of the cursor.
fn input_layout(text: &str, cursor: usize, max: usize) -> (Vec<String>, (usize, usize)) {
    let mut rows = vec![String::new()];
    let mut used = 0;
    let mut place = (0, 0);
    for (at, grapheme) in text.grapheme_indices(true) {
        let shown = if grapheme.contains('\n') {
            String::new()
        } else {
            harmless(grapheme)
        };
        let next = width(&shown);
        let is_full = used + next > max && used > 0;
        if is_full {
            rows.push(String::new());
            used = 0;
        }
        if at == cursor {
            place = (rows.len() - 1, used);
        }
        if grapheme.contains('\n') {
            rows.push(String::new());
            used = 0;
        } else if let Some(row) = rows.last_mut() {
            row.push_str(&shown);
            used += next;
        }
    }
    if cursor >= text.len() {
        if used >= max {
            rows.push(String::new());
            used = 0;
        }
        place = (rows.len() - 1, used);
    }
    (rows, place)
}
