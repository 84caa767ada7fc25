//! The wishes of an account for notifications.

use tercet_proto::v1;
use unicode_normalization::UnicodeNormalization as _;

/// The level of an account in a conversation: the messages of which it wants to be notified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotificationLevel {
    /// All messages.
    #[default]
    All,
    /// Messages that mention the account, or have one of its keywords.
    Mentions,
    /// Nothing: the conversation is muted.
    None,
}

impl NotificationLevel {
    /// Returns the name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NotificationLevel::All => "all",
            NotificationLevel::Mentions => "mentions",
            NotificationLevel::None => "none",
        }
    }

    pub(in crate::api) fn wire(self) -> v1::NotificationLevel {
        match self {
            NotificationLevel::All => v1::NotificationLevel::All,
            NotificationLevel::Mentions => v1::NotificationLevel::Mentions,
            NotificationLevel::None => v1::NotificationLevel::None,
        }
    }

    /// Decodes the level of the contract. A server without levels notifies of all messages.
    pub(in crate::api) fn of(wire: v1::NotificationLevel) -> NotificationLevel {
        match wire {
            v1::NotificationLevel::Mentions => NotificationLevel::Mentions,
            v1::NotificationLevel::None => NotificationLevel::None,
            v1::NotificationLevel::All | v1::NotificationLevel::Unspecified => {
                NotificationLevel::All
            }
        }
    }
}

/// Tells whether a text has one of the keywords, as whole words and without case.
#[must_use]
pub fn has_keyword(text: &str, keywords: &[String]) -> bool {
    if keywords.is_empty() {
        return false;
    }
    let fold = |text: &str| text.nfc().collect::<String>().to_lowercase();
    let text = fold(text);
    keywords.iter().map(|keyword| fold(keyword)).any(|keyword| {
        !keyword.is_empty()
            && text.match_indices(&keyword).any(|(start, found)| {
                let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                apart(text[..start].chars().next_back())
                    && apart(text[start + found.len()..].chars().next())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_found_as_whole_words_without_case() {
        let keywords = ["Tea", "green tea", "Rene\u{301}e"].map(str::to_owned);
        for text in [
            "TEA?",
            "my tea",
            "(tea)",
            "tea-time",
            "REN\u{c9}E",
            "Green Tea",
        ] {
            assert!(has_keyword(text, &keywords), "{text}");
        }
        for text in ["teas", "team", "steak", "", "t e a", "renee"] {
            assert!(!has_keyword(text, &keywords), "{text}");
        }
        assert!(!has_keyword("tea", &[]));
    }
}
