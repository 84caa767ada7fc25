//! The values of searches in messages.

use tercet_proto::v1;

use super::{FromWire, Message, list};

/// A message that a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// The places of the words in its body, in bytes: ascending, apart from each other, and at the borders of
    /// characters.
    pub spans: Vec<std::ops::Range<usize>>,
}

impl FromWire<v1::SearchHit> for Hit {
    fn from_wire(wire: v1::SearchHit) -> Self {
        let message = wire.message.map(Message::from_wire).unwrap_or_default();
        let mut spans: Vec<std::ops::Range<usize>> = Vec::new();
        for span in wire.spans {
            let start = span.start as usize;
            let place = start..start.saturating_add(span.length as usize);
            let is_apart = spans.last().is_none_or(|last| last.end <= start);
            // Another server may be wrong: users cut the body at these places.
            if is_apart && message.body.get(place.clone()).is_some() {
                spans.push(place);
            }
        }
        Hit { message, spans }
    }
}

/// One page of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HitsPage {
    /// The hits, the newest first.
    pub hits: Vec<Hit>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
    /// The cursor up to which messages were looked at.
    pub through: u64,
    /// Whether that is all that was committed before the call.
    pub complete: bool,
}

impl FromWire<v1::SearchMessagesResponse> for HitsPage {
    fn from_wire(wire: v1::SearchMessagesResponse) -> Self {
        HitsPage {
            hits: list(wire.hits),
            next_page_token: wire.next_page_token,
            through: wire.through,
            complete: wire.complete,
        }
    }
}
