//! The response of Subscribe as the server sends it: a message, or bytes that were encoded once for many streams.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

use crate::v1::SubscribeResponse;

/// A `SubscribeResponse`, encoded already or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Streamed {
    Message(Box<SubscribeResponse>),
    /// The encoding of one, shared by all streams that send it.
    Encoded(Bytes),
}

impl Streamed {
    /// Encodes a response for any number of streams.
    #[must_use]
    pub fn encoded(response: &SubscribeResponse) -> Streamed {
        Streamed::Encoded(response.encode_to_vec().into())
    }
}

impl From<SubscribeResponse> for Streamed {
    fn from(response: SubscribeResponse) -> Streamed {
        Streamed::Message(Box::new(response))
    }
}

impl Default for Streamed {
    fn default() -> Streamed {
        SubscribeResponse::default().into()
    }
}

impl Message for Streamed {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        match self {
            Streamed::Message(response) => response.encode_raw(buffer),
            Streamed::Encoded(bytes) => buffer.put_slice(bytes),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if let Streamed::Encoded(bytes) = self {
            *self = SubscribeResponse::decode(&bytes[..])?.into();
        }
        match self {
            Streamed::Message(response) => response.merge_field(tag, wire_type, buffer, context),
            Streamed::Encoded(_) => Ok(()),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Streamed::Message(response) => response.encoded_len(),
            Streamed::Encoded(bytes) => bytes.len(),
        }
    }

    fn clear(&mut self) {
        *self = Streamed::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Subscribed, subscribe_response::Event};

    #[test]
    fn both_forms_are_the_same_on_the_wire() {
        let response = SubscribeResponse {
            cursor: 7,
            event: Some(Event::Subscribed(Subscribed { account_id: 3 })),
        };
        let shared = Streamed::encoded(&response);
        let own = Streamed::from(response.clone());
        assert_eq!(shared.encode_to_vec(), own.encode_to_vec());
        assert_eq!(shared.encoded_len(), own.encoded_len());
        let decoded = Streamed::decode(&shared.encode_to_vec()[..]);
        assert_eq!(decoded, Ok(own));
    }
}
