//! The grammar of the names of accounts and rooms.

use crate::limits::USERNAME_CHARS_MAX;

/// The character before the name of a room, on the wire and for people.
pub const ROOM_MARK: char = '#';

/// Tells whether a name may have this character: an ASCII letter or digit, `_`, `.` or `-`.
#[must_use]
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// Tells whether an account can have this name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=USERNAME_CHARS_MAX).contains(&text.len()) && text.chars().all(is_name_char)
}

/// Gives the rule of names, for people.
#[must_use]
pub fn name_rule() -> String {
    format!("1 to {USERNAME_CHARS_MAX} letters, digits, `_`, `.` or `-`")
}

/// Tells whether a text means a room and not an account, well formed or not.
#[must_use]
pub fn is_of_room(text: &str) -> bool {
    text.starts_with(ROOM_MARK)
}

/// Gives the name of a room without its mark. A room can have the names of accounts, except those that begin with a
/// digit or `-`.
#[must_use]
pub fn room_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix(ROOM_MARK)?;
    let first_may = |c: char| !c.is_ascii_digit() && c != '-';
    (is_name(name) && name.starts_with(first_may)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_one_to_thirty_two_plain_characters() {
        for right in ["a", "9", "Ann_B.c-9", &"x".repeat(32)] {
            assert!(is_name(right), "{right}");
        }
        for wrong in ["", "a b", "ann!", "\u{e4}nne", "a\n", "a*", &"x".repeat(33)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn name_of_a_room_has_a_mark_and_does_not_begin_as_a_number() {
        for right in ["#a", "#a9-", "#_.x", &format!("#{}", "x".repeat(32))] {
            assert_eq!(room_name(right), Some(&right[1..]));
        }
        for wrong in ["", "#", "a", "#9a", "#-a", "##a", "#a b", "# a"] {
            assert_eq!(room_name(wrong), None, "{wrong}");
        }
        assert_eq!(room_name(&format!("#{}", "x".repeat(33))), None);
        assert!(is_of_room("#9") && !is_of_room("a#"));
    }
}
