//! The methods of one request and one response, each named by the type of its request. Clients and servers pass
//! such messages to tonic as bytes, so that its code is compiled once and not for each method.

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
