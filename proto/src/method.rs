//! The methods of one request and one response, each named by the type of its request. Clients and servers pass
//! such messages to tonic in one form for all methods, so that its code is compiled once and not for each of them.

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// The request of a method with one response.
pub trait Method: Message + Default + 'static {
    type Response: Message + Default + 'static;
    /// The path of a call: `/PACKAGE.SERVICE/METHOD`.
    const PATH: &'static str;
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The codec of messages that are bytes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.len());
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A response that is encoded when it is written, so that a large one is never held twice.
pub trait Encode: Send {
    /// Writes the encoding.
    ///
    /// # Errors
    /// `INTERNAL`, for a buffer without room.
    fn encode(&self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status>;
}

impl<M: Message> Encode for M {
    fn encode(&self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(self.encoded_len());
        Message::encode(self, buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

/// A response that is encoded already, for many streams.
#[derive(Clone, Debug)]
pub struct Encoded(pub Bytes);

impl Encode for Encoded {
    fn encode(&self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(self.0.len());
        buffer.put_slice(&self.0);
        Ok(())
    }
}

/// The codec of a server: requests are bytes, responses encode themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerCodec;

impl Codec for ServerCodec {
    type Encode = Box<dyn Encode>;
    type Decode = Bytes;
    type Encoder = ServerCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> ServerCodec {
        ServerCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for ServerCodec {
    type Item = Box<dyn Encode>;
    type Error = Status;

    fn encode(&mut self, response: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        response.encode(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::Method;
    use crate::v1;

    #[test]
    fn each_request_names_its_method() {
        assert_eq!(v1::LoginRequest::PATH, "/tercet.v1.ChatService/Login");
        assert_eq!(
            v1::IsMasterRequest::PATH,
            "/tercet.v1.ClusterService/IsMaster"
        );
    }
}
