//! Pictures of terminals' screens, as SVG: still ones, and moving ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const CELL: (f32, f32) = (8.4, 18.0);
const FOREGROUND: &str = "#d8dee9";
const BACKGROUND: &str = "#1f2430";
/// The colours that a terminal has by number.
const COLORS: [&str; 8] = [
    "#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9",
];

/// The way in which a run of cells is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Style {
    foreground: &'static str,
    background: &'static str,
    bold: bool,
    dim: bool,
    underline: bool,
}

/// Draws the screen.
pub fn picture(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let mut svg = head(columns, rows, 1);
    for row in 0..rows {
        row_of(&mut svg, screen, row, 0.0);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Begins a picture of screens of this size, side by side.
fn head(columns: u16, rows: u16, screens: u16) -> String {
    let width = (f32::from(columns) * CELL.0 + 16.0) * f32::from(screens);
    let height = f32::from(rows) * CELL.1 + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    )
}

fn row_of(svg: &mut String, screen: &vt100::Screen, row: u16, left: f32) {
    let (_, columns) = screen.size();
    let mut column = 0;
    while column < columns {
        let style = style_of(screen, row, column);
        let start = column;
        let mut text = String::new();
        while column < columns && style_of(screen, row, column) == style {
            let Some(cell) = screen.cell(row, column) else {
                break;
            };
            if !cell.is_wide_continuation() {
                text.push_str(if cell.has_contents() {
                    cell.contents()
                } else {
                    " "
                });
            }
            column += 1;
        }
        run(svg, row, start, column, style, &text, left);
    }
}

/// A moving picture of screens side by side: what each row showed, and since when.
pub struct Recording {
    size: (u16, u16),
    screens: u16,
    rows: BTreeMap<(u16, u16), Vec<(f32, String)>>,
}

impl Recording {
    /// Begins a recording of so many screens of this size.
    pub fn new(columns: u16, rows: u16, screens: u16) -> Recording {
        Recording {
            size: (columns, rows),
            screens,
            rows: BTreeMap::new(),
        }
    }

    /// Notes what a screen shows so many seconds after the beginning.
    pub fn note(&mut self, at: f32, place: u16, screen: &vt100::Screen) {
        let left = f32::from(place) * (f32::from(self.size.0) * CELL.0 + 16.0);
        for row in 0..self.size.1 {
            let mut drawn = String::new();
            row_of(&mut drawn, screen, row, left);
            let shown = self.rows.entry((place, row)).or_default();
            if shown.last().is_none_or(|(_, last)| *last != drawn) {
                shown.push((at, drawn));
            }
        }
    }

    /// Draws the picture, which begins anew after so many seconds. A viewer without motion shows its end.
    pub fn picture(&self, seconds: f32) -> String {
        let mut svg = head(self.size.0, self.size.1, self.screens);
        for shown in self.rows.values() {
            for (at, (from, drawn)) in shown.iter().enumerate() {
                if drawn.is_empty() {
                    continue;
                }
                let until = shown.get(at + 1).map(|(until, _)| until / seconds);
                let from = from / seconds;
                let (values, times) = match until {
                    Some(until) => ("hidden;visible;hidden", format!("0;{from:.4};{until:.4}")),
                    None => ("hidden;visible", format!("0;{from:.4}")),
                };
                let hidden = if until.is_some() {
                    " visibility=\"hidden\""
                } else {
                    ""
                };
                let _ = writeln!(
                    svg,
                    "<g{hidden}>{drawn}<animate attributeName=\"visibility\" calcMode=\"discrete\" \
                     values=\"{values}\" keyTimes=\"{times}\" dur=\"{seconds:.1}s\" \
                     repeatCount=\"indefinite\"/></g>"
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn style_of(screen: &vt100::Screen, row: u16, column: u16) -> Option<Style> {
    let cell = screen.cell(row, column)?;
    let foreground = color(cell.fgcolor(), FOREGROUND);
    let background = color(cell.bgcolor(), BACKGROUND);
    let (foreground, background) = if cell.inverse() {
        (background, foreground)
    } else {
        (foreground, background)
    };
    Some(Style {
        foreground,
        background,
        bold: cell.bold(),
        dim: cell.dim(),
        underline: cell.underline(),
    })
}

fn color(color: vt100::Color, default: &'static str) -> &'static str {
    match color {
        vt100::Color::Idx(number) => COLORS[usize::from(number) % COLORS.len()],
        _ => default,
    }
}

fn run(
    svg: &mut String,
    row: u16,
    start: u16,
    end: u16,
    style: Option<Style>,
    text: &str,
    left: f32,
) {
    let Some(style) = style else {
        return;
    };
    let (x, y) = (
        left + 8.0 + f32::from(start) * CELL.0,
        8.0 + f32::from(row) * CELL.1,
    );
    let width = f32::from(end - start) * CELL.0;
    if style.background != BACKGROUND {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            CELL.1, style.background
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut more = String::new();
    if style.bold {
        more.push_str(" font-weight=\"bold\"");
    }
    if style.dim {
        more.push_str(" opacity=\"0.65\"");
    }
    if style.underline {
        more.push_str(" text-decoration=\"underline\"");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\" fill=\"{}\"{more}>{text}</text>",
        y + 13.0,
        style.foreground
    );
}
