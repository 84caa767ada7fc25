//! The content of the terminal, and the shortest way to the next frame. Knows nothing of the meaning of the frame.
//!
//! When the messages move up, because one came or the input grew, all their rows change. The terminal moves them by
//! itself then, and gets only what is new.

use std::io::{self, Write};

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};

use crate::compact::write_cells;
use crate::links::Links;

/// The bytes of a frame from which on it is tried to move rows.
const MOVED_FROM: usize = 500;
/// The rows that must be the same after the move.
const SAME_MIN: usize = 3;

/// A frame that is being drawn.
pub struct Frame<'a> {
    pub buffer: &'a mut Buffer,
    pub links: &'a mut Links,
    /// The part whose rows may have moved as one.
    pub moving: Rect,
}

/// The cells of a terminal.
pub struct Screen<W: Write> {
    writer: W,
    /// The content of the terminal; `None` if it is not known.
    shown: Option<Buffer>,
    next: Buffer,
    links: Links,
    /// The part of the last frame that could move.
    moved: Rect,
    /// Where the cursor is; `None` if it is hidden.
    cursor: Option<Position>,
}

impl<W: Write> Screen<W> {
    #[must_use]
    pub fn new(writer: W) -> Screen<W> {
        Screen {
            writer,
            shown: None,
            next: Buffer::empty(Rect::default()),
            links: Links::default(),
            moved: Rect::default(),
            cursor: None,
        }
    }

    /// Forgets what the terminal shows: the next frame is drawn whole.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Draws a frame of this size, which gives the place of the cursor.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(
        &mut self,
        (columns, rows): (u16, u16),
        draw: impl FnOnce(&mut Frame<'_>) -> Option<Position>,
    ) -> io::Result<()> {
        let area = Rect::new(0, 0, columns, rows);
        self.next.resize(area);
        self.next.reset();
        self.links.clear();
        let mut frame = Frame {
            buffer: &mut self.next,
            links: &mut self.links,
            moving: Rect::default(),
        };
        let cursor = draw(&mut frame);
        let moving = frame.moving;
        let mut bytes = Vec::new();
        let is_known = self.shown.as_ref().is_some_and(|old| old.area == area);
        let shown = self.shown.take().filter(|_| is_known);
        let mut shown = shown.unwrap_or_else(|| {
            // The cursor may be anywhere, and seen or not.
            bytes.extend_from_slice(b"\x1b[?25l\x1b[m\x1b[2J");
            self.cursor = None;
            Buffer::empty(area)
        });
        let start = bytes.len();
        write_cells(&mut bytes, &shown.diff(&self.next), &self.links);
        if is_known && bytes.len() > MOVED_FROM {
            let region = moving.union(self.moved).intersection(area);
            if let Some(moved) = self.moved_frame(&mut shown, region)
                && moved.len() < bytes.len()
            {
                bytes.truncate(start);
                bytes.extend_from_slice(&moved);
            }
        }
        match cursor {
            Some(place) if !bytes.is_empty() || self.cursor != cursor => {
                bytes
                    .extend_from_slice(format!("\x1b[{};{}H", place.y + 1, place.x + 1).as_bytes());
                if self.cursor.is_none() {
                    bytes.extend_from_slice(b"\x1b[?25h");
                }
            }
            None if self.cursor.is_some() => bytes.extend_from_slice(b"\x1b[?25l"),
            _ => {}
        }
        self.writer.write_all(&bytes)?;
        self.writer.flush()?;
        self.cursor = cursor;
        self.moved = moving;
        self.shown = Some(std::mem::replace(&mut self.next, shown));
        Ok(())
    }

    /// Returns the bytes of a frame for which rows are moved first; `None` if none would be the same. Changes the cells
    /// of `shown` as the terminal does.
    fn moved_frame(&self, shown: &mut Buffer, region: Rect) -> Option<Vec<u8>> {
        let by = best_move(shown, &self.next, region)?;
        let (top, bottom) = (region.y + 1, region.bottom());
        let letter = if by > 0 { 'S' } else { 'T' };
        // A terminal with synchronized output (mode 2026) does not show the moved rows before the new ones are drawn.
        let move_rows = format!(
            "\x1b[?2026h\x1b[{top};{bottom}r\x1b[{}{letter}\x1b[r",
            by.unsigned_abs()
        );
        let mut bytes = move_rows.into_bytes();
        move_cells(shown, region, by);
        write_cells(&mut bytes, &shown.diff(&self.next), &self.links);
        bytes.extend_from_slice(b"\x1b[?2026l");
        Some(bytes)
    }
}

fn row(buffer: &Buffer, region: Rect, y: u16) -> &[Cell] {
    let start = buffer.index_of(region.x, y);
    &buffer.content[start..start + usize::from(region.width)]
}

/// Returns by how many rows up (or down, if negative) the region has moved, if that makes rows the same that were not.
fn best_move(shown: &Buffer, next: &Buffer, region: Rect) -> Option<i32> {
    if region.is_empty() {
        return None;
    }
    let height = i32::from(region.height);
    let is_same = |y: i32, by: i32| {
        let from = y + by;
        let (y, from) = (u16::try_from(y).ok()?, u16::try_from(from).ok()?);
        let new = row(next, region, region.y + y);
        let has_text = |row: &[Cell]| row.iter().any(|cell| cell.symbol() != " ");
        (new == row(shown, region, region.y + from) && has_text(new)).then_some(())
    };
    let count = |by: i32| {
        let rows = 0.max(-by)..height.min(height - by);
        rows.filter(|y| is_same(*y, by).is_some()).count()
    };
    let stays = count(0);
    let moves = (1..height).flat_map(|by| [by, -by]);
    let (same, by) = moves
        .map(|by| (count(by), by))
        .max_by_key(|(same, by)| (*same, -by.abs()))?;
    (same >= SAME_MIN && same > stays).then_some(by)
}

/// Moves whole rows, as wide as the screen; those that come in are blank.
fn move_cells(buffer: &mut Buffer, region: Rect, by: i32) {
    let width = usize::from(buffer.area.width);
    let (top, bottom) = (
        usize::from(region.y) * width,
        usize::from(region.bottom()) * width,
    );
    let cells = &mut buffer.content[top..bottom];
    let count = (by.unsigned_abs() as usize * width).min(cells.len());
    if by > 0 {
        cells.rotate_left(count);
        let from = cells.len() - count;
        cells[from..].iter_mut().for_each(Cell::reset);
    } else {
        cells.rotate_right(count);
        cells[..count].iter_mut().for_each(Cell::reset);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::style::{Modifier, Style};

    use super::*;

    const COLUMNS: u16 = 40;
    const ROWS: u16 = 20;

    /// Draws rows of text with a bar on the left, from the top row to `height`.
    fn draw(frame: &mut Frame<'_>, lines: &[String], height: u16) -> Option<Position> {
        let moving = Rect::new(4, 1, COLUMNS - 4, height);
        let bold = Style::default().add_modifier(Modifier::BOLD);
        for y in 0..height {
            frame.buffer.set_string(0, 1 + y, format!("{y:02}│"), bold);
        }
        for (y, line) in (1..=height).zip(lines) {
            frame.buffer.set_string(4, y, line, Style::default());
        }
        frame.buffer.set_string(0, 1 + height, "the status", bold);
        frame.moving = moving;
        Some(Position::new(3, ROWS - 1))
    }

    fn shown(parser: &vt100::Parser) -> Vec<String> {
        let contents = parser.screen().contents();
        let mut rows: Vec<String> = contents
            .lines()
            .map(|row| row.trim_end().to_owned())
            .collect();
        rows.resize(usize::from(ROWS), String::new());
        rows
    }

    fn line(number: usize) -> String {
        format!("{number} 日本 {}", "some words ".repeat(number % 3))
    }

    proptest! {
        #[test]
        fn a_terminal_shows_each_frame_however_it_got_there(
            steps in prop::collection::vec((0..40_usize, 5..ROWS - 3), 1..12)
        ) {
            let mut screen = Screen::new(Vec::new());
            let mut parser = vt100::Parser::new(ROWS, COLUMNS, 0);
            for (from, height) in steps {
                let lines: Vec<String> = (from..from + 30).map(line).collect();
                screen.writer.clear();
                screen.draw((COLUMNS, ROWS), |frame| draw(frame, &lines, height)).unwrap();
                parser.process(&screen.writer);
                let mut fresh = Screen::new(Vec::new());
                fresh.draw((COLUMNS, ROWS), |frame| draw(frame, &lines, height)).unwrap();
                let mut other = vt100::Parser::new(ROWS, COLUMNS, 0);
                other.process(&fresh.writer);
                prop_assert_eq!(shown(&parser), shown(&other));
                prop_assert_eq!(parser.screen().cursor_position(), (ROWS - 1, 3));
            }
        }
    }

    #[test]
    fn rows_that_move_are_moved_by_the_terminal() {
        let mut screen = Screen::new(Vec::new());
        let lines: Vec<String> = (0..30)
            .map(|number| format!("{number} {}", line(number).repeat(2)))
            .collect();
        screen
            .draw((COLUMNS, ROWS), |frame| draw(frame, &lines, 16))
            .unwrap();
        let whole = screen.writer.len();
        screen.writer.clear();
        screen
            .draw((COLUMNS, ROWS), |frame| draw(frame, &lines[1..], 15))
            .unwrap();
        assert!(String::from_utf8_lossy(&screen.writer).contains("\x1b[2;17r\x1b[1S\x1b[r"));
        assert!(
            screen.writer.len() < whole / 3,
            "{} of {whole}",
            screen.writer.len()
        );
        screen.writer.clear();
        screen
            .draw((COLUMNS, ROWS), |frame| draw(frame, &lines[1..], 15))
            .unwrap();
        assert_eq!(screen.writer.len(), 0, "nothing has changed");
    }
}
