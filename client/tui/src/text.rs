//! Text for the screen: harmless, styled, and broken into lines that fit. Widths are in terminal cells.

use tercet_types::plain_text::harmless;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// The way in which a piece of a text is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Face {
    pub bold: bool,
    pub italic: bool,
    pub code: bool,
    pub quote: bool,
    /// The number of the link; 0 for none. A link that is broken into lines keeps it.
    pub link: u32,
    /// A name of the reader.
    pub mention: bool,
}

/// A part of a line in one face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub face: Face,
    pub text: String,
}

/// Returns the width of a text in cells.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to a width; a cut text ends with `…`.
#[must_use]
pub fn fit(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let next = width(grapheme);
        if used + next + 1 > max {
            break;
        }
        fitted.push_str(grapheme);
        used += next;
    }
    if max > 0 {
        fitted.push('…');
    }
    fitted
}

/// Makes a text of somebody else harmless, and puts it on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    harmless(text).replace('\n', " ")
}

/// Replaces emoji with their `:names:`.
#[must_use]
pub fn emoji_as_names(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    for grapheme in text.graphemes(true) {
        match emojis::get(grapheme).and_then(emojis::Emoji::shortcode) {
            Some(name) if !grapheme.is_ascii() => {
                named.push(':');
                named.push_str(name);
                named.push(':');
            }
            _ => named.push_str(grapheme),
        }
    }
    named
}

/// Replaces the `:names:` of emoji with the emoji, outside of code.
#[must_use]
pub fn emoji_of_names(text: &str) -> String {
    let mut rest = text;
    let mut made = String::with_capacity(text.len());
    while let Some(start) = rest.find(':') {
        let after = &rest[start + 1..];
        let name = after.split(':').next().unwrap_or_default();
        let is_name =
            !name.is_empty() && name.len() < after.len() && !name.contains(char::is_whitespace);
        match emojis::get_by_shortcode(name).filter(|_| is_name) {
            Some(emoji) => {
                made.push_str(&rest[..start]);
                made.push_str(emoji.as_str());
                rest = &after[name.len() + 1..];
            }
            None => {
                made.push_str(&rest[..=start]);
                rest = after;
            }
        }
    }
    made.push_str(rest);
    made
}

/// Breaks the text of a message into lines of pieces: emphasis, code, quotes and links get a face. `me` is the
/// reader's name, which gets one, too. The characters that make the face stay: nothing of a text is hidden.
#[must_use]
pub fn styled(text: &str, me: &str) -> Vec<Vec<Piece>> {
    let mut is_fenced = false;
    harmless(text)
        .split('\n')
        .map(|line| {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
                return one_face(
                    line,
                    Face {
                        code: true,
                        ..Face::default()
                    },
                );
            }
            if is_fenced {
                return one_face(
                    line,
                    Face {
                        code: true,
                        ..Face::default()
                    },
                );
            }
            let base = Face {
                quote: line.starts_with('>'),
                ..Face::default()
            };
            inline(line, base, me)
        })
        .collect()
}

fn one_face(text: &str, face: Face) -> Vec<Piece> {
    vec![Piece {
        face,
        text: text.to_owned(),
    }]
}

fn inline(line: &str, base: Face, me: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain_from = 0;
    let mut at = 0;
    let mut before: Option<char> = None;
    while let Some(c) = line[at..].chars().next() {
        let rest = &line[at..];
        let is_start = before.is_none_or(|c| !c.is_alphanumeric());
        let found = match c {
            '`' => closed(rest, '`').map(|length| (length, Face { code: true, ..base })),
            '*' if is_start => {
                closed(rest, '*').map(|length| (length, Face { bold: true, ..base }))
            }
            '_' if is_start => closed(rest, '_').map(|length| {
                (
                    length,
                    Face {
                        italic: true,
                        ..base
                    },
                )
            }),
            'h' if is_start && (rest.starts_with("https://") || rest.starts_with("http://")) => {
                let length = link_length(rest);
                let link = crate::links::number(&rest[..length]);
                Some((length, Face { link, ..base }))
            }
            '@' if is_start => called(&rest[1..], me).map(|length| {
                (
                    length + 1,
                    Face {
                        mention: true,
                        ..base
                    },
                )
            }),
            _ if is_start => mention(rest, me).map(|length| {
                (
                    length,
                    Face {
                        mention: true,
                        ..base
                    },
                )
            }),
            _ => None,
        };
        match found {
            Some((length, face)) => {
                push(&mut pieces, base, &line[plain_from..at]);
                push(&mut pieces, face, &rest[..length]);
                at += length;
                plain_from = at;
                before = line[..at].chars().next_back();
            }
            None => {
                at += c.len_utf8();
                before = Some(c);
            }
        }
    }
    push(&mut pieces, base, &line[plain_from..]);
    pieces
}

fn push(pieces: &mut Vec<Piece>, face: Face, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece {
            face,
            text: text.to_owned(),
        });
    }
}

/// Returns the length of a text between two marks, with both, if it begins and ends without a space.
fn closed(rest: &str, mark: char) -> Option<usize> {
    let inner = &rest[1..];
    let end = inner.find(mark)?;
    let text = &inner[..end];
    let is_tight = !text.is_empty() && text.trim() == text;
    let next = inner[end + 1..].chars().next();
    (is_tight && next.is_none_or(|c| !c.is_alphanumeric())).then_some(end + 2)
}

fn link_length(rest: &str) -> usize {
    let link = rest.split(char::is_whitespace).next().unwrap_or_default();
    link.trim_end_matches(['.', ',', ')', ']', '>', '"', '\'', ';', ':', '!', '?'])
        .len()
}

/// Returns the links of a text.
#[must_use]
pub fn links_of(text: &str) -> Vec<String> {
    let lines = styled(text, "");
    let pieces = lines.into_iter().flatten();
    let links = pieces.filter(|piece| piece.face.link > 0);
    links.map(|piece| piece.text).collect()
}

/// Returns the length of the reader's name, if the text begins with it as a word.
fn mention(rest: &str, me: &str) -> Option<usize> {
    let start = rest
        .get(..me.len())
        .filter(|start| !me.is_empty() && start.eq_ignore_ascii_case(me))?;
    let next = rest[start.len()..].chars().next();
    let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    next.is_none_or(|c| !goes_on(c)).then_some(start.len())
}

/// Returns the length of what stands after `@` and calls the reader: the name, or all members.
fn called(rest: &str, me: &str) -> Option<usize> {
    let all = [me, "room", "here"];
    let mut found = all.iter().filter(|_| !me.is_empty());
    found.find_map(|name| mention(rest, name))
}

/// Tells whether a text names the reader.
#[must_use]
pub fn mentions(text: &str, me: &str) -> bool {
    let lines = styled(text, me);
    lines.iter().flatten().any(|piece| piece.face.mention)
}

/// Breaks lines of pieces into lines of at most `max` cells, at spaces where there are some.
#[must_use]
pub fn wrap(lines: &[Vec<Piece>], max: usize) -> Vec<Vec<Piece>> {
    let max = max.max(2);
    let mut wrapped = Vec::new();
    for line in lines {
        wrap_line(line, max, &mut wrapped);
    }
    wrapped
}

fn wrap_line(line: &[Piece], max: usize, wrapped: &mut Vec<Vec<Piece>>) {
    // Each grapheme with its face and width; a line is a range of them.
    let mut cells: Vec<(&str, Face, usize)> = Vec::new();
    for piece in line {
        let graphemes = piece.text.graphemes(true);
        cells.extend(graphemes.map(|g| (g, piece.face, width(g))));
    }
    let mut start = 0;
    while start < cells.len() {
        let (mut end, mut used, mut space) = (start, 0, None);
        while end < cells.len() && used + cells[end].2 <= max {
            used += cells[end].2;
            if cells[end].0 == " " {
                space = Some(end);
            }
            end += 1;
        }
        let mut next = end;
        if end < cells.len() {
            if cells[end].0 == " " {
                next = end + 1;
            } else if let Some(space) = space.filter(|space| *space > start) {
                (end, next) = (space, space + 1);
            } else if end == start {
                (end, next) = (start + 1, start + 1);
            }
        }
        wrapped.push(joined(&cells[start..end]));
        start = next;
    }
    if cells.is_empty() {
        wrapped.push(Vec::new());
    }
}

fn joined(cells: &[(&str, Face, usize)]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (grapheme, face, _) in cells {
        match pieces.last_mut() {
            Some(last) if last.face == *face => last.text.push_str(grapheme),
            _ => push(&mut pieces, *face, grapheme),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, max: usize) -> Vec<String> {
        let lines = wrap(&styled(text, "ann"), max);
        let join = |line: &Vec<Piece>| line.iter().map(|piece| &*piece.text).collect();
        lines.iter().map(join).collect()
    }

    fn faces(text: &str) -> Vec<(String, Face)> {
        let pieces = styled(text, "ann").into_iter().flatten();
        pieces.map(|piece| (piece.text, piece.face)).collect()
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(shown("one two three", 8), ["one two", "three"]);
        assert_eq!(shown("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(shown("日本語です", 5), ["日本", "語で", "す"]);
        assert_eq!(shown("a\n\nb", 8), ["a", "", "b"]);
    }

    #[test]
    fn faces_are_for_whole_words() {
        let bold = Face {
            bold: true,
            ..Face::default()
        };
        assert!(faces("a *b* c").contains(&("*b*".to_owned(), bold)));
        for plain in ["2*3*4", "* a * b", "snake_case_name", "**"] {
            assert_eq!(faces(plain), [(plain.to_owned(), Face::default())]);
        }
        let link = faces("see https://x.y/z).");
        assert_eq!(link[1].0, "https://x.y/z");
        assert!(
            faces("hi Ann, `x`")
                .iter()
                .any(|(text, face)| text == "Ann" && face.mention)
        );
        assert!(!mentions("planning annual", "ann"));
        assert!(mentions("@ann?", "ann"));
    }

    #[test]
    fn emoji_have_names() {
        assert_eq!(emoji_as_names("so 👍 1"), "so :+1: 1");
        assert_eq!(
            emoji_of_names("at 10:42:30 :+1: :nothing: :"),
            "at 10:42:30 👍 :nothing: :"
        );
    }

    #[test]
    fn nothing_hostile_reaches_the_screen() {
        let text: String = shown("a\u{1b}[31m\u{202e}b\u{200b}\r", 80).concat();
        assert_eq!(text, "a\\u{1b}[31m\\u{202e}b\\u{200b}\\u{d}");
        assert_eq!(one_line("a\nb"), "a b");
        assert_eq!(fit("日本語", 5), "日本…");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_allowed_and_nothing_is_lost(text in "[a-z *_`:日👍\u{301}\n]{0,60}", max in 2_usize..20) {
            let lines = shown(&text, max);
            for line in &lines {
                prop_assert!(width(line) <= max, "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&harmless(&text)));
        }
    }
}
