//! The calls about who is connected, and who is writing.

use tercet_proto::v1::{GetPresenceRequest, SetPresenceRequest, SetTypingRequest};

use super::types::list;
use super::{Client, Error, Presence};

impl Client {
    /// Shows whether accounts are connected now, in the order of the names: 1 to 100, each once. The leader keeps presence in
    /// its memory: after a failover it does not know when others were last seen.
    ///
    /// # Errors
    /// `UNKNOWN_ACCOUNT`; `INVALID_USERNAMES`; no leader until the deadline.
    pub async fn presence(&self, usernames: &[&str]) -> Result<Vec<Presence>, Error> {
        let usernames = usernames.iter().map(|name| (*name).to_owned()).collect();
        let answer = self.call(None, GetPresenceRequest { usernames }).await?;
        Ok(list(answer.presence))
    }

    /// Says that the person of this session is away, or is back. It holds for the streams that are open: say it again after
    /// each [`Event::Subscribed`](crate::Event::Subscribed).
    ///
    /// # Errors
    /// No leader until the deadline.
    pub async fn set_away(&self, away: bool) -> Result<(), Error> {
        self.call(None, SetPresenceRequest { away }).await?;
        Ok(())
    }

    /// Tells the others of a conversation that this client's account is writing: of a room, with its `#`, that has at most 200
    /// members, or the other account. More than one call in 3 seconds does nothing.
    ///
    /// # Errors
    /// `UNKNOWN_ACCOUNT`; `UNKNOWN_ROOM`; `NOT_A_MEMBER`; `ROLE_MAY_NOT`; no leader until the deadline.
    pub async fn set_typing(&self, conversation: &str) -> Result<(), Error> {
        let conversation = conversation.to_owned();
        self.call(None, SetTypingRequest { conversation }).await?;
        Ok(())
    }
}
