//! The colours: those of the terminal, so that they fit light and dark. Without colour everything still has a word, a
//! sign or an attribute.

use std::env;

use ratatui::style::{Color, Modifier, Style};

use crate::text::Face;

/// The colours of senders: readable on light and on dark.
const SENDERS: [Color; 6] = [
    Color::Cyan,
    Color::Green,
    Color::Magenta,
    Color::Yellow,
    Color::Blue,
    Color::Red,
];

/// Styles for the parts of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    has_color: bool,
}

impl Theme {
    /// Makes the styles, with colours or without.
    #[must_use]
    pub fn new(has_color: bool) -> Theme {
        Theme { has_color }
    }

    /// Makes the styles that the environment asks for: `NO_COLOR` means none.
    #[must_use]
    pub fn of_environment() -> Theme {
        let is_off = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Theme::new(!is_off)
    }

    fn color(self, color: Color) -> Style {
        if self.has_color {
            Style::default().fg(color)
        } else {
            Style::default()
        }
    }

    pub(super) fn bar(self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn dim(self) -> Style {
        Style::default().add_modifier(Modifier::DIM)
    }

    pub(super) fn bold(self) -> Style {
        Style::default().add_modifier(Modifier::BOLD)
    }

    pub(super) fn error(self) -> Style {
        self.color(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn new_line(self) -> Style {
        self.color(Color::Red)
    }

    pub(super) fn selected(self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    pub(super) fn mention(self) -> Style {
        self.color(Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// Returns the style of a sender: the same for the same name.
    pub(super) fn sender(self, name: &str, is_mine: bool) -> Style {
        if is_mine {
            return self.bold();
        }
        let lower = name.to_ascii_lowercase();
        let sum = lower.bytes().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        self.color(SENDERS[sum % SENDERS.len()])
    }

    pub(super) fn face(self, face: Face) -> Style {
        let mut style = Style::default();
        if face.bold {
            style = style.add_modifier(Modifier::BOLD);
        }
        if face.italic {
            style = style.add_modifier(Modifier::ITALIC);
        }
        if face.quote {
            style = style.add_modifier(Modifier::DIM);
        }
        if face.code {
            style = style.patch(self.color(Color::Yellow));
        }
        if face.link > 0 {
            style = style
                .patch(self.color(Color::Blue))
                .underline_color(crate::links::color(face.link))
                .add_modifier(Modifier::UNDERLINED);
        }
        if face.mention {
            style = style.patch(self.mention());
        }
        style
    }
}
