//! The splitting of texts into units: what a search compares. Pure functions; they know nothing of the index.
//!
//! A unit is a word, or one character of a script that is written without spaces (Chinese, Japanese, Korean, Thai, …), or
//! a symbol such as an emoji. Units are folded: case, diacritics, and the widths and ligatures of characters do not count.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Bytes of a folded word that count; the rest of a longer word is ignored.
const WORD_BYTES_MAX: usize = 120;

/// The kind of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// One character that is a unit by itself.
    Character,
}

/// A unit of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Folded; not empty, without spaces and ASCII punctuation.
    pub text: String,
    pub kind: Kind,
    /// Its place in the text, in bytes.
    pub start: usize,
    pub end: usize,
}

/// The class of a character.
enum Class {
    /// A part of a word.
    Word,
    /// A unit by itself.
    Character,
    /// A part of the unit before it.
    Mark,
    Separator,
}

/// Splits a text into its units.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    // Whether the last unit is a word that goes on.
    let mut is_open = false;
    for (start, c) in text.char_indices() {
        let end = start + c.len_utf8();
        let class = class(c);
        if let Class::Word | Class::Mark = class
            && let Some(last) = units.last_mut()
            && (is_open || (matches!(class, Class::Mark) && last.end == start))
        {
            last.end = end;
            if is_open && last.text.len() < WORD_BYTES_MAX {
                fold(c, &mut last.text);
            }
            continue;
        }
        is_open = false;
        let kind = match class {
            Class::Word => Kind::Word,
            Class::Character => Kind::Character,
            Class::Mark | Class::Separator => continue,
        };
        let mut text = String::new();
        fold(c, &mut text);
        if !text.is_empty() {
            is_open = kind == Kind::Word;
            units.push(Unit {
                text,
                kind,
                start,
                end,
            });
        }
    }
    units
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return match c.is_ascii_alphanumeric() {
            true => Class::Word,
            false => Class::Separator,
        };
    }
    let is_letter = c.is_alphanumeric();
    // Skin tones of emoji count no more than accents.
    let is_mark = is_combining_mark(c) || matches!(c, '\u{1f3fb}'..='\u{1f3ff}');
    if (is_letter || is_mark) && has_no_spaces(c) || is_symbol(c) && !is_mark {
        Class::Character
    } else if is_mark {
        Class::Mark
    } else if is_letter {
        Class::Word
    } else {
        Class::Separator
    }
}

/// Tells whether a character is of a script whose words are not separated by spaces, or whose words have endings that
/// one searches without.
fn has_no_spaces(c: char) -> bool {
    matches!(c,
        // Thai, Lao, Myanmar, Korean, Khmer.
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}'
        // Radicals, kana, Chinese characters, Korean.
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3041}'..='\u{312f}' | '\u{3131}'..='\u{318e}' | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{20000}'..='\u{3ffff}')
}

/// Tells whether a character is a symbol that people search for.
fn is_symbol(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{2b50}'..='\u{2b55}' | '\u{1f000}'..='\u{1faff}')
}

/// Appends the folded form of a character, which may be empty.
fn fold(c: char, folded: &mut String) {
    if c.is_ascii() {
        folded.push(c.to_ascii_lowercase());
        return;
    }
    // Letters with a stroke and ligatures, which Unicode does not decompose.
    let plain = match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ł' | 'Ł' => "l",
        'ı' => "i",
        'þ' | 'Þ' => "th",
        'ς' => "σ",
        _ => "",
    };
    if !plain.is_empty() {
        folded.push_str(plain);
        return;
    }
    let parts = std::iter::once(c).nfkd().filter(|&part| !is_accent(part));
    folded.extend(parts.flat_map(char::to_lowercase).nfc().filter(|&part| {
        // Parts of decomposed symbols, such as the brackets of ㈱.
        !part.is_ascii() || part.is_ascii_alphanumeric()
    }));
}

/// Tells whether a mark is one that people leave out when they type: an accent of Latin, Greek and Cyrillic letters, or a
/// vowel of Hebrew and Arabic. Marks of other scripts, as of Indian ones, are as good as letters.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{591}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
        || matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        units(text).into_iter().map(|unit| unit.text).collect()
    }

    #[test]
    fn words_are_folded_and_separated_by_what_is_no_letter() {
        assert_eq!(
            texts("Quick, ok? snake_case don't 3.14"),
            ["quick", "ok", "snake", "case", "don", "t", "3", "14"]
        );
        assert_eq!(
            texts("Café CAFE\u{301} ÅNGSTRÖM Straße Łódź Σίσυφος"),
            ["cafe", "cafe", "angstrom", "strasse", "lodz", "σισυφοσ"]
        );
        assert_eq!(
            texts("ＡＢＣ１２ ﬁn İstanbul"),
            ["abc12", "fin", "istanbul"]
        );
        assert_eq!(texts(" \n…!? "), [""; 0]);
    }

    #[test]
    fn characters_of_scripts_without_spaces_are_units() {
        assert_eq!(texts("東京へ行く"), ["東", "京", "へ", "行", "く"]);
        assert_eq!(
            texts("iPhone用ｶﾀｶﾅ"),
            ["iphone", "用", "カ", "タ", "カ", "ナ"]
        );
        assert_eq!(texts("한국어"), ["한", "국", "어"]);
        assert_eq!(texts("ok 🎉👍🏽"), ["ok", "🎉", "👍"]);
    }

    #[test]
    fn marks_that_make_words_are_kept() {
        assert_eq!(texts("हिन्दी"), ["हिन्दी"]);
        assert_ne!(texts("कि"), texts("का"));
    }

    #[test]
    fn units_know_their_places() {
        let text = "né\u{301}e 東京";
        let places: Vec<&str> = units(text)
            .iter()
            .map(|unit| &text[unit.start..unit.end])
            .collect();
        assert_eq!(places, ["né\u{301}e", "東", "京"]);
        let long = "x".repeat(10_000);
        let one = units(&long);
        assert_eq!((one.len(), one[0].text.len()), (1, WORD_BYTES_MAX));
        assert_eq!(one[0].end, 10_000);
    }
}
