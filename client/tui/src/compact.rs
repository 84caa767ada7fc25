//! Turns changed cells into few bytes for the terminal. Knows nothing of what they show.
//!
//! The back end of ratatui for crossterm takes four sequences for a change of style, and one for each colour. A screen
//! full of coloured text is half as long this way, which is what a slow line shows.

use std::io::Write as _;

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

use crate::links::Links;

/// The least number of blanks that are erased with one sequence: fewer take as many bytes.
const ERASED_MIN: usize = 9;

/// The colours and attributes of a cell.
type Style = (Color, Color, Modifier);

const PLAIN: Style = (Color::Reset, Color::Reset, Modifier::empty());
/// The attributes and their numbers in SGR.
const ATTRIBUTES: [(Modifier, &str); 9] = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::SLOW_BLINK, "5"),
    (Modifier::RAPID_BLINK, "6"),
    (Modifier::REVERSED, "7"),
    (Modifier::HIDDEN, "8"),
    (Modifier::CROSSED_OUT, "9"),
];

/// Returns the number of a colour of the text in SGR, or of the ground: those are 10 higher.
fn number(color: Color, ground: u8) -> String {
    let basic = match color {
        Color::Reset => return (39 + ground).to_string(),
        Color::Indexed(at) => return format!("{};5;{at}", 38 + ground),
        Color::Rgb(red, green, blue) => return format!("{};2;{red};{green};{blue}", 38 + ground),
        Color::Black => 30,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Blue => 34,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::Gray => 37,
        Color::DarkGray => 90,
        Color::LightRed => 91,
        Color::LightGreen => 92,
        Color::LightYellow => 93,
        Color::LightBlue => 94,
        Color::LightMagenta => 95,
        Color::LightCyan => 96,
        Color::White => 97,
    };
    (basic + ground).to_string()
}

/// Returns the sequence that changes one style into another.
fn sequence(before: Style, (text, ground, attributes): Style) -> String {
    // Attributes cannot be taken away one by one: bold and dim end together.
    let mut numbers = Vec::new();
    if before != PLAIN {
        numbers.push("0".to_owned());
    }
    for (attribute, number) in ATTRIBUTES {
        if attributes.contains(attribute) {
            numbers.push(number.to_owned());
        }
    }
    if text != Color::Reset {
        numbers.push(number(text, 0));
    }
    if ground != Color::Reset {
        numbers.push(number(ground, 10));
    }
    if numbers.len() == 1 && before != PLAIN {
        numbers.clear();
    }
    format!("\x1b[{}m", numbers.join(";"))
}

/// Appends the bytes that write cells, which come row by row.
pub fn write_cells(bytes: &mut Vec<u8>, cells: &[(u16, u16, &Cell)], links: &Links) {
    // Nothing fails: the bytes go into memory.
    let mut put = |text: &str| _ = bytes.write_all(text.as_bytes());
    let mut style = PLAIN;
    let mut link = None;
    // The row of the cursor, and its column if all terminals agree about it.
    let mut place: Option<(u16, Option<u16>)> = None;
    let mut at = 0;
    while let Some(&(x, y, cell)) = cells.get(at) {
        match place {
            Some((row, Some(here))) if (here, row) == (x, y) => {}
            Some((row, Some(here))) if row == y && here + 1 == x => put("\x1b[C"),
            Some((row, Some(here))) if row == y && here < x => put(&format!("\x1b[{}C", x - here)),
            Some((row, _)) if row == y => put(&format!("\x1b[{}G", x + 1)),
            _ => put(&format!("\x1b[{};{}H", y + 1, x + 1)),
        }
        let next_link = links.target(cell);
        if next_link != link {
            put(&format!("\x1b]8;;{}\x1b\\", next_link.unwrap_or_default()));
            link = next_link;
        }
        let next = style_of(cell);
        if next != style {
            put(&sequence(style, next));
            style = next;
        }
        let blanks = (0..)
            .zip(&cells[at..])
            .take_while(|(offset, (column, row, cell))| {
                (*column, *row) == (x + offset, y) && is_blank(cell)
            })
            .count();
        if blanks >= ERASED_MIN {
            put(&format!("\x1b[{blanks}X"));
            at += blanks;
            place = Some((y, Some(x)));
            continue;
        }
        let symbol = cell.symbol();
        put(symbol);
        place = Some((y, agreed_width(symbol).map(|width| x + width)));
        at += 1;
    }
    if link.is_some() {
        put("\x1b]8;;\x1b\\");
    }
    if style != PLAIN {
        put(&sequence(style, PLAIN));
    }
}

fn style_of(cell: &Cell) -> Style {
    (cell.fg, cell.bg, cell.modifier)
}

fn is_blank(cell: &Cell) -> bool {
    cell.symbol() == " " && style_of(cell) == PLAIN
}

/// Returns the cells that a character takes, if all terminals agree: they do not about emoji and combining marks.
fn agreed_width(symbol: &str) -> Option<u16> {
    let mut chars = symbol.chars();
    match (chars.next()?, chars.next()) {
        (' '..='~', None) => Some(1),
        ('\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{370}'..='\u{482}', None) => Some(1),
        ('─' | '│', None) => Some(1),
        // Kana, ideographs and Hangul.
        ('\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}', None) => Some(2),
        ('\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}', None) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn a_style_is_one_sequence_and_a_row_one_move() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 2));
        let bold = Style::default()
            .fg(Color::Magenta)
            .add_modifier(Modifier::BOLD);
        buffer.set_string(1, 0, "ann", bold);
        buffer.set_string(4, 0, ":", bold.fg(Color::Red));
        buffer.set_string(6, 0, "é日.👍!", Style::default());
        buffer.set_string(0, 1, "x", Style::default().bg(Color::Rgb(1, 2, 3)));
        let mut before = Buffer::empty(buffer.area);
        before.set_string(12, 0, "somethings long", Style::default());
        let mut bytes = Vec::new();
        write_cells(&mut bytes, &before.diff(&buffer), &Links::default());
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "\x1b[1;2H\x1b[1;35mann\x1b[0;1;31m:\x1b[C\x1b[mé日.👍\x1b[13G!\x1b[9X\x1b[10C    \
             \x1b[2;1H\x1b[48;2;1;2;3mx\x1b[m"
        );
    }
}
