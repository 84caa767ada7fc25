//! The targets of links on the screen (OSC 8), so that a terminal opens them.
//!
//! A cell has room for a colour of its underline, which the chat does not use: it holds the number of the link. So a cell
//! whose target changed counts as changed, although it shows the same letter.

use std::collections::BTreeMap;

use ratatui::buffer::Cell;
use ratatui::style::Color;

/// The most bytes of a target: terminals drop longer ones.
const TARGET_BYTES_MAX: usize = 2_000;

/// The links of a frame.
#[derive(Debug, Clone, Default)]
pub struct Links {
    targets: BTreeMap<u32, String>,
}

impl Links {
    /// Adds a link with its number.
    pub fn add(&mut self, number: u32, link: &str) {
        if let Some(target) = target(link) {
            self.targets.insert(number, target);
        }
    }

    /// Forgets all links.
    pub fn clear(&mut self) {
        self.targets.clear();
    }

    /// Returns the target of the link in a cell.
    pub(crate) fn target(&self, cell: &Cell) -> Option<&str> {
        let Color::Rgb(high, middle, low) = cell.underline_color else {
            return None;
        };
        let number = u32::from_be_bytes([0, high, middle, low]);
        self.targets.get(&number).map(String::as_str)
    }
}

/// Returns the number of a link: that of another one is another, most likely.
#[must_use]
pub fn number(link: &str) -> u32 {
    let sum = link.bytes().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    ((sum ^ (sum >> 24)) & 0x00ff_ffff).max(1)
}

/// Returns the colour of the underline that stands for a link.
#[must_use]
pub fn color(number: u32) -> Color {
    let [_, high, middle, low] = number.to_be_bytes();
    Color::Rgb(high, middle, low)
}

/// Returns what a terminal gets as the target: printable ASCII only; `None` if it is too long.
fn target(link: &str) -> Option<String> {
    let mut target = String::with_capacity(link.len());
    for byte in link.bytes() {
        if byte.is_ascii_graphic() {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    (target.len() <= TARGET_BYTES_MAX).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_no_byte_that_a_terminal_could_obey() {
        assert_eq!(
            target("https://x.y/é\u{1b}\\").unwrap(),
            "https://x.y/%C3%A9%1B\\"
        );
        assert_eq!(target(&"a".repeat(3_000)), None);
        assert_ne!(number("https://x.y/1"), number("https://x.y/2"));
    }
}
