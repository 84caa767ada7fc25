//! The rows across the screen: the name on top, the notice, the state of the connection, and the input.

use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use super::{Theme, input_layout, put};
use crate::conversation::Conversation;
use crate::model::Places;
use crate::model::{Connection, Model};
use crate::text::{Face, Piece, fit, one_line, width, wrap};

/// The most rows of a notice.
const NOTICE_ROWS_MAX: usize = 3;
/// The time without a connection after which the reason is shown, in milliseconds.
const WHY_AFTER_MS: i64 = 3_000;

/// Fills a row with a text on the left and one on the right; the right one is cut first.
fn bar(theme: &Theme, buffer: &mut Buffer, y: u16, left: &str, right: &str) {
    let columns = usize::from(buffer.area.width);
    let left = fit(left, columns.saturating_sub(1));
    let room = columns.saturating_sub(width(&left) + 3);
    let right = if width(right) <= room { right } else { "" };
    let gap = columns.saturating_sub(width(&left) + width(right) + 2);
    let line = format!(" {left}{}{right} ", " ".repeat(gap));
    put(buffer, 0, y, columns, &line, theme.bar());
}

pub(super) fn top(model: &Model, theme: &Theme, buffer: &mut Buffer) {
    let left = match model.opened() {
        Some(open) if model.thread.is_some() => {
            format!("{} — a thread: Esc goes back", open.name)
        }
        Some(open) if open.topic.is_empty() => open.name.clone(),
        Some(open) => format!("{} — {}", open.name, one_line(&open.topic)),
        None => "Tercet".to_owned(),
    };
    let others = model
        .conversations
        .values()
        .filter(|one| Some(&one.name) != model.opened().map(|open| &open.name));
    let unread: u32 = others.map(Conversation::disturbing).sum();
    let right = match (unread, model.is_quiet()) {
        (0, false) => model.me.clone(),
        (0, true) => format!("do not disturb · {}", model.me),
        (unread, _) => format!("{unread} unread elsewhere · {}", model.me),
    };
    bar(theme, buffer, 0, &left, &right);
}

/// Returns the state of the connection in words.
#[must_use]
pub fn status_text(model: &Model) -> String {
    let seconds = |since_ms: i64| (model.now_ms - since_ms).max(0) / 1_000;
    match &model.connection {
        Connection::Connecting { since_ms } => match seconds(*since_ms) {
            0 => "connecting".to_owned(),
            seconds => format!("connecting {seconds} s"),
        },
        Connection::Reconnecting { since_ms, .. } => {
            format!("reconnecting {} s", seconds(*since_ms))
        }
        Connection::Over { why } => format!("logged out: {}", one_line(why)),
        Connection::Connected { replica } => {
            let mut text = format!("connected · leader {replica}");
            if let Some(cluster) = &model.cluster {
                let (members, all) = (cluster.members(), cluster.replicas.len());
                text.push_str(&match members {
                    _ if members == all => format!(" · {members} of {all} replicas"),
                    1 => format!(" · redundancy lost: 1 of {all}"),
                    _ => format!(" · only {members} of {all} replicas"),
                });
            }
            match model.caught_up {
                Some((0, _)) => text.push_str(" · caught up"),
                Some((count, _)) => text.push_str(&format!(" · caught up, {count} new")),
                None => {}
            }
            text
        }
    }
}

/// Returns the state of the connection in words that fit, if few words do.
fn fitting_status(model: &Model, max: usize) -> String {
    let text = status_text(model);
    if width(&text) <= max {
        return text;
    }
    let text = text.replacen("connected · ", "", 1);
    if width(&text) <= max {
        return text;
    }
    text.replacen(" replicas", "", 1)
}

pub(super) fn status(model: &Model, theme: &Theme, buffer: &mut Buffer, y: u16) {
    let below = model.opened().map_or(0, |open| {
        let (from_newest, hidden) = open.scroll.place();
        from_newest + usize::from(hidden > 0)
    });
    let above = model.opened().map_or(0, |open| open.unread);
    let right = match below {
        0 if !model.writing_text().is_empty() => model.writing_text(),
        0 if above > 0 => {
            let place = if model.is_unread_shown() {
                ""
            } else {
                " above"
            };
            format!("{above} unread{place} · Esc: all read")
        }
        0 if model.settings.vi => format!("{} · F1 help", model.vi.word()),
        0 => "F1 help".to_owned(),
        1 => "1 message below · Esc".to_owned(),
        below => format!("{below} messages below · Esc"),
    };
    let room = usize::from(buffer.area.width).saturating_sub(2);
    bar(theme, buffer, y, &fitting_status(model, room), &right);
}

/// Returns the lines above the status: a notice, what the input is for, or why there is no connection. The choices of a
/// completion take one line, which is empty here.
#[must_use]
pub fn notice_lines(model: &Model) -> Vec<String> {
    if model.completion.is_some() {
        return vec![String::new()];
    }
    let columns = usize::from(model.columns);
    if let Some(notice) = &model.notice {
        let sign = if notice.is_error { '!' } else { '*' };
        let text = format!("{sign} {}", one_line(&notice.text));
        let most = usize::from(model.rows / 6).clamp(1, NOTICE_ROWS_MAX);
        return cut_lines(&text, columns, most);
    }
    if let Some(text) = model.aim_text() {
        return vec![fit(&format!("> {text}"), columns)];
    }
    match &model.connection {
        Connection::Reconnecting { since_ms, why } if model.now_ms - since_ms >= WHY_AFTER_MS => {
            vec![fit(&format!("* {}", one_line(why)), columns)]
        }
        _ => Vec::new(),
    }
}

/// Breaks a text into at most so many lines; a cut one ends with `…`.
pub(super) fn cut_lines(text: &str, columns: usize, most: usize) -> Vec<String> {
    let face = Face::default();
    let text = text.to_owned();
    let lines = wrap(&[vec![Piece { face, text }]], columns);
    let mut lines: Vec<String> = lines
        .iter()
        .map(|line| line.iter().map(|piece| &*piece.text).collect())
        .collect();
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = fit(&format!("{last} more than fits"), columns);
        }
    }
    lines
}

/// Draws the notice, or the choices of a completion. Returns the rows that it takes.
pub(super) fn notice(model: &Model, theme: &Theme, buffer: &mut Buffer, y: u16) -> u16 {
    let columns = usize::from(buffer.area.width);
    if let Some(completion) = &model.completion {
        let mut x = 1;
        for (at, choice) in completion
            .choices
            .iter()
            .enumerate()
            .skip(completion.at / 8 * 8)
        {
            let style = if at == completion.at {
                theme.selected()
            } else {
                theme.dim()
            };
            let room = columns.saturating_sub(usize::from(x));
            if room == 0 {
                break;
            }
            x += put(buffer, x, y, room, choice.trim_end(), style) + 2;
        }
        return 1;
    }
    let style = match &model.notice {
        Some(notice) if notice.is_error => theme.error(),
        _ => theme.bold(),
    };
    let lines = notice_lines(model);
    for (y, line) in (y..).zip(&lines) {
        put(buffer, 0, y, columns, line, style);
    }
    u16::try_from(lines.len()).unwrap_or(0)
}

/// Draws the input, and returns the place of the cursor.
pub(super) fn input(
    model: &Model,
    theme: &Theme,
    buffer: &mut Buffer,
    y: u16,
    places: &Places,
) -> Option<Position> {
    let prompt_width = model.prompt_width();
    let columns = usize::from(buffer.area.width);
    let room = columns.saturating_sub(prompt_width).max(1);
    put(
        buffer,
        0,
        y,
        prompt_width,
        &fit(&model.prompt(), prompt_width),
        theme.bold(),
    );
    let (rows, (row, cell)) = input_layout(model.input.text(), model.input.cursor(), room);
    let first = (row + 1).saturating_sub(places.input);
    let x = u16::try_from(prompt_width).unwrap_or(0);
    for (at, text) in (y..).zip(rows.iter().skip(first).take(places.input)) {
        put(buffer, x, at, room, text, ratatui::style::Style::default());
    }
    let more = rows.len().saturating_sub(places.input);
    if more > 0 {
        let text = format!("{} lines", rows.len());
        put(
            buffer,
            0,
            y + 1,
            prompt_width.saturating_sub(1),
            &fit(&text, prompt_width.saturating_sub(1)),
            theme.dim(),
        );
    }
    Some(Position {
        x: x + u16::try_from(cell).unwrap_or(0),
        y: y + u16::try_from(row - first).unwrap_or(0),
    })
}
