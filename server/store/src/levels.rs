//! The notification level of a conversation: what its account wants to be notified of.

/// What an account wants to be notified of in a conversation.
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
