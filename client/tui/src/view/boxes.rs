//! The boxes in front of the rest: lists to choose from, the state of the cluster, and the form of the login.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::{Theme, put};
use crate::model::{Field, LoginForm, Model, Picker};
use crate::text::{Face, Piece, fit, one_line, width, wrap};

/// Clears a box of at most this size in the middle of the screen, draws its border, and returns its inside.
fn framed(theme: &Theme, buffer: &mut Buffer, columns: u16, rows: u16, title: &str) -> Rect {
    let screen = buffer.area;
    let (columns, rows) = (columns.min(screen.width), rows.min(screen.height));
    let (x, y) = ((screen.width - columns) / 2, (screen.height - rows) / 2);
    let inner = usize::from(columns.saturating_sub(2));
    let title = fit(title, inner.saturating_sub(2));
    let rest = inner.saturating_sub(width(&title) + 2);
    for row in y..y + rows {
        let line = if row == y {
            format!("┌ {title} {}┐", "─".repeat(rest))
        } else if row + 1 == y + rows {
            format!("└{}┘", "─".repeat(inner))
        } else {
            format!("│{}│", " ".repeat(inner))
        };
        // Nothing of what was below may shine through.
        buffer.set_style(Rect::new(x, row, columns, 1), Style::reset());
        put(buffer, x, row, usize::from(columns), &line, theme.dim());
        buffer.set_style(
            Rect::new(x + 1, row, columns.saturating_sub(2), 1),
            if row == y {
                theme.bold()
            } else {
                Style::reset()
            },
        );
    }
    Rect::new(
        x + 1,
        y + 1,
        columns.saturating_sub(2),
        rows.saturating_sub(2),
    )
}

/// Draws a list with its filter, and returns the place of the cursor.
pub(super) fn picker(picker: &Picker, theme: &Theme, buffer: &mut Buffer) -> Option<Position> {
    let screen = buffer.area;
    let rows = screen.height.saturating_sub(2).min(24);
    let inside = framed(theme, buffer, screen.width.min(90), rows, &picker.title);
    let room = usize::from(inside.width);
    let used = put(
        buffer,
        inside.x,
        inside.y,
        room,
        &format!("> {}", one_line(&picker.typed)),
        Style::default(),
    );
    // A selected row that is too wide stands whole at the bottom of the box.
    let chosen = picker.shown().nth(picker.selected).map(one_line);
    let chosen = chosen.filter(|text| width(text) > room.saturating_sub(2) && inside.height >= 8);
    let whole = chosen.map(|text| super::bars::cut_lines(&text, room.saturating_sub(2), 3));
    let whole = whole.unwrap_or_default();
    for (y, line) in (inside
        .bottom()
        .saturating_sub(u16::try_from(whole.len()).unwrap_or(0))..)
        .zip(&whole)
    {
        put(buffer, inside.x + 1, y, room, line, theme.bold());
    }
    let height = usize::from(inside.height.saturating_sub(1)).saturating_sub(whole.len());
    let skipped = (picker.selected + 1).saturating_sub(height);
    let shown = picker.shown();
    if shown.len() == 0 {
        put(
            buffer,
            inside.x,
            inside.y + 1,
            room,
            "nothing matches",
            theme.dim(),
        );
    }
    for (y, (at, row)) in (inside.y + 1..).zip(shown.enumerate().skip(skipped).take(height)) {
        let style = if at == picker.selected {
            theme.selected()
        } else {
            Style::default()
        };
        let text = fit(&one_line(row), room.saturating_sub(2));
        let gap = " ".repeat(room.saturating_sub(width(&text) + 1));
        put(buffer, inside.x, y, room, &format!(" {text}{gap}"), style);
    }
    Some(Position {
        x: (inside.x + used).min(inside.right() - 1),
        y: inside.y,
    })
}

/// Draws the replicas with their roles, positions in the log, and lags.
pub(super) fn cluster(model: &Model, theme: &Theme, buffer: &mut Buffer) {
    let count = model
        .cluster
        .as_ref()
        .map_or(1, |cluster| cluster.replicas.len());
    let rows = u16::try_from(count).unwrap_or(9) + 6;
    let inside = framed(theme, buffer, 76, rows, "Cluster: any key closes");
    let room = usize::from(inside.width).saturating_sub(1);
    let mut line = |y: u16, text: &str, style: Style| {
        if y < inside.height {
            put(
                buffer,
                inside.x + 1,
                inside.y + y,
                room,
                &fit(text, room),
                style,
            );
        }
    };
    line(0, &super::status_text(model), theme.bold());
    let Some(cluster) = &model.cluster else {
        return line(2, "the leader has not answered yet", theme.dim());
    };
    line(
        2,
        &format!(
            "{:<3} {:<10} {:<21} {:>11} {:>8}  {}",
            "id", "role", "address", "lsn", "behind", "state"
        ),
        theme.dim(),
    );
    for (y, one) in (3..).zip(&cluster.replicas) {
        let state = if one.is_member { "in step" } else { "missing" };
        let text = format!(
            "{:<3} {:<10} {:<21} {:>11} {:>8}  {state}",
            one.id, one.role, one.address, one.lsn, one.lag
        );
        let style = if one.is_member {
            Style::default()
        } else {
            theme.error()
        };
        line(y, &text, style);
    }
}

/// Draws the form for a name and a password, and returns the place of the cursor.
pub(super) fn login(
    form: &LoginForm,
    model: &Model,
    theme: &Theme,
    buffer: &mut Buffer,
) -> Option<Position> {
    let title = match (form.is_empty, form.registers) {
        (true, _) => "Tercet: nobody has an account here yet, you are the first",
        (false, true) => "Tercet: make a new account",
        (false, false) => "Tercet: log in",
    };
    let inside = framed(theme, buffer, 64, 11, title);
    let room = usize::from(inside.width).saturating_sub(2);
    let mut cursor = None;
    let mut fields = vec![
        ("Name", Field::Name, form.name.clone()),
        ("Password", Field::Password, masked(&form.password)),
    ];
    if form.registers {
        fields.push(("The same again", Field::Again, masked(&form.again)));
    }
    for (y, (label, field, text)) in (inside.y + 1..).zip(&fields) {
        let has_keys = form.field == *field && !form.is_busy;
        let style = if has_keys {
            theme.bold()
        } else {
            Style::default()
        };
        let label = format!("{label:>14}: ");
        let used = put(buffer, inside.x + 1, y, room, &label, style);
        let x = inside.x + 1 + used;
        let text = one_line(text);
        let left = room.saturating_sub(usize::from(used) + 1);
        let shown: String = text
            .chars()
            .rev()
            .take(left)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        let used = put(buffer, x, y, left, &shown, Style::default());
        if has_keys {
            cursor = Some(Position { x: x + used, y });
        }
    }
    let why = if form.is_busy {
        format!("asking the cluster … ({})", super::status_text(model))
    } else {
        one_line(&form.why)
    };
    let why = Piece {
        face: Face::default(),
        text: why,
    };
    let lines = wrap(&[vec![why]], room);
    for (y, line) in (inside.y + 5..).zip(lines.iter().take(2)) {
        let text: String = line.iter().map(|piece| &*piece.text).collect();
        put(buffer, inside.x + 1, y, room, &text, theme.error());
    }
    let keys = match (form.is_empty, form.registers) {
        (true, _) => "Enter goes on · Ctrl-C leaves",
        (false, true) => "Enter goes on · Ctrl-R logs in instead · Ctrl-C leaves",
        (false, false) => "Enter goes on · Ctrl-R makes a new account · Ctrl-C leaves",
    };
    let lines = super::bars::cut_lines(keys, room, 2);
    let first = inside.y + 9 - u16::try_from(lines.len()).unwrap_or(1);
    for (y, line) in (first..).zip(&lines) {
        put(buffer, inside.x + 1, y, room, line, theme.dim());
    }
    cursor
}

fn masked(password: &str) -> String {
    "•".repeat(password.chars().count())
}
