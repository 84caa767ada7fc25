//! The notification level of a conversation: what its account wants to be notified of.

/// The level of an account in a conversation: the messages of which it wants to be notified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// All messages.
    #[default]
    All = 1,
    /// Messages that mention the account.
    Mentions = 2,
    /// Nothing: the conversation is muted.
    None = 3,
}

impl Level {
    /// Gives the level with that number in commands and rows.
    pub(crate) fn of_number(number: u32) -> Option<Level> {
        [Level::All, Level::Mentions, Level::None]
            .into_iter()
            .find(|level| *level as u32 == number)
    }
}
