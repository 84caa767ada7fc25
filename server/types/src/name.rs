//! The grammar of account names.

use crate::limits::USERNAME_CHARS_MAX;

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
}
