//! The conversations on the left, and the members of a room on the right.

use ratatui::buffer::Buffer;

use super::{Theme, put};
use crate::conversation::key;
use crate::model::Model;
use crate::model::Places;
use crate::text::{fit, width};

pub(super) fn draw(model: &Model, theme: &Theme, buffer: &mut Buffer, places: &Places) {
    let (top, bottom) = (1, 1 + u16::try_from(places.height).unwrap_or(0));
    if places.list > 0 {
        list(model, theme, buffer, places);
        edge(
            theme,
            buffer,
            u16::try_from(places.list).unwrap_or(0),
            top,
            bottom,
        );
    }
    if places.members > 0 {
        let x = buffer.area.width - u16::try_from(places.members).unwrap_or(0) - 1;
        edge(theme, buffer, x, top, bottom);
        members(model, theme, buffer, x + 1, places);
    }
}

fn edge(theme: &Theme, buffer: &mut Buffer, x: u16, top: u16, bottom: u16) {
    for y in top..bottom {
        put(buffer, x, y, 1, "│", theme.dim());
    }
}

fn list(model: &Model, theme: &Theme, buffer: &mut Buffer, places: &Places) {
    let at = model
        .conversations
        .keys()
        .position(|key| Some(key) == model.open.as_ref());
    // The open conversation stays in sight.
    let skipped = at.map_or(0, |at| (at + 1).saturating_sub(places.height));
    let shown = model
        .conversations
        .values()
        .enumerate()
        .skip(skipped)
        .take(places.height);
    for (y, (place, one)) in (1..).zip(shown) {
        let is_open = model.open.as_deref() == Some(&*key(&one.name));
        let count = match (one.is_muted, one.unread, one.mentions) {
            (true, ..) => "muted".to_owned(),
            (_, 0, _) => String::new(),
            (_, _, 0) if one.is_for_mentions => String::new(),
            (_, unread, 0) => unread.to_string(),
            (_, unread, _) => format!("{unread}!"),
        };
        let number = if place < 9 {
            format!("{} ", place + 1)
        } else {
            "  ".to_owned()
        };
        let sign = if one.is_room() {
            ""
        } else {
            model.presence_sign(&one.name)
        };
        let room = places.list.saturating_sub(3 + width(&count));
        let name = fit(&one.name, room.saturating_sub(width(sign))) + sign;
        let gap = " ".repeat((room + 1).saturating_sub(width(&name)));
        let line = format!("{number}{name}{gap}{count}");
        let style = if is_open {
            theme.selected()
        } else if one.is_muted {
            theme.dim()
        } else if one.mentions > 0 {
            theme.mention()
        } else if one.disturbing() > 0 {
            theme.bold()
        } else {
            ratatui::style::Style::default()
        };
        put(buffer, 0, y, places.list, &line, style);
    }
}

fn members(model: &Model, theme: &Theme, buffer: &mut Buffer, x: u16, places: &Places) {
    let Some(open) = model.opened() else {
        return;
    };
    let count = open.members.len();
    let hidden = count.saturating_sub(places.height);
    for (y, member) in (1..).zip(open.members.iter().take(places.height)) {
        let is_last = usize::from(y) == places.height && hidden > 0;
        let (line, style) = if is_last {
            (format!(" … {} more: /members", hidden + 1), theme.dim())
        } else {
            let is_me = member.name.eq_ignore_ascii_case(&model.me);
            (
                format!(
                    "{}{}{}",
                    member.sign,
                    member.name,
                    model.presence_sign(&member.name)
                ),
                theme.sender(&member.name, is_me),
            )
        };
        put(
            buffer,
            x,
            y,
            places.members,
            &fit(&line, places.members),
            style,
        );
    }
}
