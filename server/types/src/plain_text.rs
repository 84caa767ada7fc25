//! Text of other people in a form that is safe to print: names, messages, errors of a server, lines of a
//! log. Only this file decides which characters reach a terminal, and how the others are shown.
//!
//! A character is hidden when it moves the cursor, turns the direction of the text, breaks the line,
//! or has no shape at all: with such a text one message passes for another. Each is shown as its
//! number, `\u{202e}`. The end of a line stays; whoever shows a text sets its later lines off.

/// Ranges of hidden characters, ascending: controls, line and paragraph separators, everything of
/// the category "format" and what else has no width of its own, but the two variation selectors of
/// emoji (U+FE0E, U+FE0F). Unicode 16.
const HIDDEN: [(u32, u32); 27] = [
    (0x0000, 0x001f),
    (0x007f, 0x009f),
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0d),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

const ZERO_WIDTH_JOINER: char = '\u{200d}';
const TAB: &str = "    ";

/// Escapes every character that a terminal acts upon, except line endings. A joiner inside an emoji stays;
/// a tab becomes four spaces.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' => shown.push(c),
            '\t' => shown.push_str(TAB),
            ZERO_WIDTH_JOINER if joins(before, rest.peek().copied()) => shown.push(c),
            _ if is_hidden(c) => shown.extend(c.escape_unicode()),
            _ => shown.push(c),
        }
        before = Some(c);
    }
    shown
}

/// Writes every hidden character of JSON as `\uXXXX`; the JSON means the same. Hidden characters occur in
/// strings only, and `serde_json` has escaped those below U+0020 already.
pub fn harmless_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Indents the later lines of a text, so that they cannot pass for another message.
pub fn indent(text: &str) -> String {
    text.replace('\n', "\n    ")
}

pub fn is_hidden(c: char) -> bool {
    let c = u32::from(c);
    let place = HIDDEN.partition_point(|&(_, last)| last < c);
    HIDDEN.get(place).is_some_and(|&(first, _)| first <= c)
}

/// True if a joiner between these characters makes one emoji of two.
fn joins(before: Option<char>, after: Option<char>) -> bool {
    before.is_some_and(is_pictorial) && after.is_some_and(is_pictorial)
}

/// True for the blocks that emoji are made of, and for the selector that follows some of them.
fn is_pictorial(c: char) -> bool {
    matches!(u32::from(c), 0xfe0f | 0x2190..=0x2bff | 0x1f000..=0x1faff)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn what_turns_or_hides_text_is_shown_as_its_number() {
        assert_eq!(harmless("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(harmless("\u{1b}[31m\u{7}\r"), "\\u{1b}[31m\\u{7}\\u{d}");
        assert_eq!(
            harmless("a\u{ad}\u{200b}\u{feff}\u{9b}"),
            "a\\u{ad}\\u{200b}\\u{feff}\\u{9b}"
        );
        assert_eq!(
            harmless("one\u{2028}two\u{2029}"),
            "one\\u{2028}two\\u{2029}"
        );
        assert_eq!(harmless("\u{e0041}"), "\\u{e0041}");
        assert_eq!(harmless("two\nlines\tand"), "two\nlines    and");
    }

    #[test]
    fn words_and_emoji_stay_as_they_are() {
        for text in [
            "naïve e\u{301}",
            "שלום",
            "日本語",
            "❤\u{fe0f}",
            "👩\u{200d}🚀",
            "🏳\u{fe0f}\u{200d}🌈",
        ] {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(harmless("a\u{200d}b"), "a\\u{200d}b");
    }

    fn odd_text() -> impl Strategy<Value = String> {
        let odd = prop_oneof![
            (0_usize..HIDDEN.len(), any::<u32>()).prop_map(|(at, more)| {
                let (first, last) = HIDDEN[at];
                char::from_u32(first + more % (last - first + 1)).unwrap_or('x')
            }),
            any::<char>(),
        ];
        vec(odd, 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_ever_shown(text in odd_text()) {
            let shown = harmless(&text);
            let bad = |c: char| c != '\n' && c != ZERO_WIDTH_JOINER && (c.is_control() || is_hidden(c));
            prop_assert!(!shown.contains(bad), "{:?}", shown);
            prop_assert_eq!(harmless(&shown), shown);
        }

        #[test]
        fn json_means_the_same_and_hides_nothing(text in odd_text()) {
            let json = harmless_json(&serde_json::to_string(&text).unwrap());
            prop_assert!(!json.contains(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
