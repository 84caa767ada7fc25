//! Access for `benches/`, with the feature `bench`, to the encoding of peer messages.

use bytes::Bytes;
use prost::Message as _;
use tercet_core::{
    id::{Lsn, Time},
    log::Entry,
    message::{Append, Message},
};
use tercet_proto::peer::Frame;

use crate::peers;

/// Encodes an Append with these entries after entry 1.
#[must_use]
pub fn encode_append(entries: &[Entry]) -> Vec<u8> {
    let append = Message::Append(Append {
        epoch: entries[0].epoch,
        prev_lsn: entries[0].lsn.prev(),
        prev_epoch: entries[0].epoch,
        entries: entries.to_vec(),
        commit: Lsn::ZERO,
        last: Lsn::ZERO,
        config_lsn: Lsn(1),
        member: true,
        released: false,
        sent_at: Time(1),
        nonce: 1,
    });
    peers::to_frame(&append).encode_to_vec()
}

/// Decodes those bytes as a backup does.
///
/// # Panics
/// When the bytes are not a message.
#[must_use]
pub fn decode_append(bytes: Bytes) -> Message {
    let frame = Frame::decode(bytes).expect("bytes of a frame");
    peers::from_frame(frame).expect("a message")
}
