//! Types that several crates of Tercet need and none of them owns. It knows no other crate of Tercet and nothing of
//! sockets, SQL or async: the client library depends on it too.

pub mod address;
pub mod durable;
pub mod fair;
pub mod fair_channel;
pub mod limits;
pub mod name;
pub mod plain_text;
