//! Whatever a client sends, well formed or not: it is answered, with a stable reason where it is
//! refused, and the server serves on.

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use tercet_store::{fields, queries::Step};
use tercet_types::limits;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    runtime::{self, Runtime},
    time::timeout,
};
use tonic::{
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataValue,
};

use super::*;
use crate::rpc::{convert, page::Query};

/// An answer takes a few milliseconds; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

const METHODS: [&str; 59] = [
    "ChatService/CreateAccount",
    "ChatService/Login",
    "ChatService/Logout",
    "ChatService/ListSessions",
    "ChatService/EndSession",
    "ChatService/CreateApiToken",
    "ChatService/ListApiTokens",
    "ChatService/RevokeApiToken",
    "ChatService/DeleteAccount",
    "ChatService/GetProfile",
    "ChatService/UpdateProfile",
    "ChatService/ListAccounts",
    "ChatService/BlockAccount",
    "ChatService/UnblockAccount",
    "ChatService/ListBlocks",
    "ChatService/CreateRoom",
    "ChatService/JoinRoom",
    "ChatService/LeaveRoom",
    "ChatService/InviteToRoom",
    "ChatService/ChangeRoom",
    "ChatService/ListBans",
    "ChatService/ListRooms",
    "ChatService/ListMembers",
    "ChatService/ListConversations",
    "ChatService/SendMessage",
    "ChatService/EditMessage",
    "ChatService/DeleteMessage",
    "ChatService/SetReaction",
    "ChatService/ListEdits",
    "ChatService/PinMessage",
    "ChatService/UnpinMessage",
    "ChatService/ListPins",
    "ChatService/MarkRead",
    "ChatService/ListMentions",
    "ChatService/SetNotificationLevel",
    "ChatService/SetKeyword",
    "ChatService/ListKeywords",
    "ChatService/GetPresence",
    "ChatService/SetPresence",
    "ChatService/SetTyping",
    "ChatService/BatchSendMessages",
    "ChatService/StreamMessages",
    "ChatService/ListMessages",
    "ChatService/SearchMessages",
    "ChatService/ExportMessages",
    "ChatService/GetState",
    "ChatService/ListState",
    "ChatService/CompareAndSet",
    "ChatService/Submit",
    "ChatService/FetchUndelivered",
    "ChatService/AcknowledgeMessages",
    "ChatService/Subscribe",
    "ClusterService/IsMaster",
    "ClusterService/GetStatus",
    "ClusterService/CreateCheckpoint",
    "ClusterService/AddReplica",
    "ClusterService/RemoveReplica",
    "ClusterService/SetRetention",
    "ClusterService/StopReplica",
];

fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(cases),
        ..default
    }
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// One call, as it goes over the wire.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    request: Vec<u8>,
    authorization: Option<Vec<u8>>,
}

fn text() -> impl Strategy<Value = String> {
    let known = [
        "", "*", "ann", "ANN", "bob", "nobody", PASSWORD, "а", "ann\0", "İ", "#tea", "#", "#9",
    ];
    let id = any::<[u8; 16]>().prop_map(|bytes| Uuid::from_bytes(bytes).to_string());
    let edge = select(vec![
        31, 32, 33, 64, 65, 256, 257, 1_000, 16_384, 16_385, 70_000,
    ]);
    prop_oneof![
        6 => select(known.to_vec()).prop_map(String::from),
        6 => id,
        4 => any::<String>(),
        2 => "[a-z0-9_.-]{1,33}",
        2 => "(\\*|\\?|a|\\[|\\]|\\^|-){1,64}",
        2 => "[A-Za-z0-9_-]{20,60}",
        2 => (any::<char>(), edge).prop_map(|(c, length)| c.to_string().repeat(length)),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let id = any::<[u8; 16]>().prop_map(|bytes| Uuid::from_bytes(bytes).to_string());
    let id = prop_oneof![6 => id, 1 => text()];
    let token = prop_oneof![1 => Just(String::new()), 1 => text()];
    let size = prop_oneof![3 => 0..600, 1 => any::<i32>()];
    let numbers = (any::<u64>(), size, any::<bool>(), any::<bool>());
    let fields = (id, text(), text(), token, vec(text(), 0..4), numbers);
    let structured = (select(&METHODS[..]), fields).prop_map(|(method, fields)| {
        let request = request(method, fields);
        (method, request)
    });
    let bytes = (select(&METHODS[..]), vec(any::<u8>(), 0..200));
    let huge = (
        select(&METHODS[..]),
        (0..3_usize << 20).prop_map(|length| vec![0x0a; length]),
    );
    let what = prop_oneof![20 => structured, 5 => bytes, 1 => huge];
    let token = prop_oneof![
        8 => Just(None),
        2 => Just(Some(format!("Bearer {ADMIN_TOKEN}").into_bytes())),
        1 => vec(any::<u8>(), 0..100).prop_map(Some),
        1 => "[Bb]earer [A-Za-z0-9_-]{0,60}".prop_map(|text| Some(text.into_bytes())),
        1 => (0..9_000_usize).prop_map(|length| Some([b"Bearer ", &vec![b'x'; length][..]].concat())),
    ];
    (what, token).prop_map(|((method, request), authorization)| Call {
        method,
        request,
        authorization,
    })
}

type Numbers = (u64, i32, bool, bool);
type Fields = (String, String, String, String, Vec<String>, Numbers);

fn request(method: &str, fields: Fields) -> Vec<u8> {
    let (request_id, one, two, page_token, list, numbers) = fields;
    let (number, page_size, flag, other) = numbers;
    match method.split_once('/').expect("a service and a method").1 {
        "CreateAccount" => v1::CreateAccountRequest {
            request_id,
            username: one,
            password: two,
        }
        .encode_to_vec(),
        "Login" => v1::LoginRequest {
            request_id,
            username: one,
            password: two,
            label: page_token,
        }
        .encode_to_vec(),
        "CreateApiToken" => v1::CreateApiTokenRequest {
            request_id,
            name: one,
            scopes: vec![page_size % 5; (number % 4) as usize],
            valid_days: if flag { number as u32 } else { 1 },
        }
        .encode_to_vec(),
        "GetProfile" => v1::GetProfileRequest { username: one }.encode_to_vec(),
        "UpdateProfile" => v1::UpdateProfileRequest {
            request_id,
            display_name: flag.then_some(one),
            status_text: other.then_some(two),
        }
        .encode_to_vec(),
        "GetState" => v1::GetStateRequest {
            conversation: one,
            key: two,
        }
        .encode_to_vec(),
        "ListState" => v1::ListStateRequest {
            conversation: one,
            prefix: two,
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "CompareAndSet" => v1::CompareAndSetRequest {
            request_id,
            conversation: one,
            key: two,
            expected_version: flag.then_some(number % 3),
            value: other.then_some(page_token),
        }
        .encode_to_vec(),
        "Submit" => v1::SubmitRequest {
            request_id,
            conversation: one,
            key: two,
            program: page_token,
            arguments: list,
        }
        .encode_to_vec(),
        "RevokeApiToken" => v1::RevokeApiTokenRequest {
            request_id,
            name: one,
        }
        .encode_to_vec(),
        // No session has such an id.
        "EndSession" => v1::EndSessionRequest {
            request_id,
            session_id: one,
        }
        .encode_to_vec(),
        // Not of the session that all calls share.
        "Logout" => v1::LogoutRequest {
            request_id: String::new(),
        }
        .encode_to_vec(),
        "DeleteAccount" => v1::DeleteAccountRequest {
            request_id,
            password: format!("not {one}"),
        }
        .encode_to_vec(),
        "ListAccounts" => v1::ListAccountsRequest {
            pattern: one,
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "BlockAccount" => v1::BlockAccountRequest {
            request_id,
            username: one,
            refuse: flag,
        }
        .encode_to_vec(),
        "UnblockAccount" => v1::UnblockAccountRequest {
            request_id,
            username: one,
        }
        .encode_to_vec(),
        "ListBlocks" => v1::ListBlocksRequest {
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "CreateRoom" => v1::CreateRoomRequest {
            request_id,
            room: one,
            topic: two,
            private: flag,
            announce_only: other,
            feed: number.is_multiple_of(3),
        }
        .encode_to_vec(),
        // Of one form on the wire.
        "JoinRoom" | "LeaveRoom" => v1::JoinRoomRequest {
            request_id,
            room: one,
        }
        .encode_to_vec(),
        "InviteToRoom" => v1::InviteToRoomRequest {
            request_id,
            room: one,
            username: two,
        }
        .encode_to_vec(),
        "ListRooms" => v1::ListRoomsRequest {
            feeds_only: flag,
            pattern: one,
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "EditMessage" => v1::EditMessageRequest {
            request_id,
            conversation: one,
            seq: number,
            body: two,
        }
        .encode_to_vec(),
        "DeleteMessage" => v1::DeleteMessageRequest {
            request_id,
            conversation: one,
            seq: number,
        }
        .encode_to_vec(),
        "SetReaction" => v1::SetReactionRequest {
            request_id,
            conversation: one,
            seq: number,
            reaction: two,
            remove: flag,
        }
        .encode_to_vec(),
        "PinMessage" => v1::PinMessageRequest {
            request_id,
            conversation: one,
            seq: number,
        }
        .encode_to_vec(),
        "UnpinMessage" => v1::UnpinMessageRequest {
            request_id,
            conversation: one,
            seq: number,
        }
        .encode_to_vec(),
        "ListEdits" => v1::ListEditsRequest {
            room: one,
            seq: number,
        }
        .encode_to_vec(),
        "ListPins" => v1::ListPinsRequest { conversation: one }.encode_to_vec(),
        "MarkRead" => v1::MarkReadRequest {
            request_id,
            conversation: one,
            conversation_id: if flag { number } else { 0 },
            seq: number % 3,
            unread_from: number % 2,
        }
        .encode_to_vec(),
        "SetNotificationLevel" => v1::SetNotificationLevelRequest {
            request_id,
            conversation: one,
            level: number as i32 % 5,
        }
        .encode_to_vec(),
        "GetPresence" => v1::GetPresenceRequest {
            usernames: vec![one, two],
        }
        .encode_to_vec(),
        "SetPresence" => v1::SetPresenceRequest { away: flag }.encode_to_vec(),
        "SetTyping" => v1::SetTypingRequest { conversation: one }.encode_to_vec(),
        "SetKeyword" => v1::SetKeywordRequest {
            request_id,
            keyword: one,
            remove: flag,
        }
        .encode_to_vec(),
        "ListMentions" => v1::ListMentionsRequest {
            page_size: number as i32,
            page_token: two,
        }
        .encode_to_vec(),
        "ChangeRoom" => {
            use v1::change_room_request::Change;
            let role = v1::MemberRoleChange {
                username: two.clone(),
                role: number as i32 % 5,
            };
            let change = match number % 13 {
                0 => None,
                1 => Some(Change::Kick(two)),
                2 => Some(Change::Ban(two)),
                3 => Some(Change::Unban(two)),
                4 => Some(Change::Role(role)),
                5 => Some(Change::Topic(two)),
                6 => Some(Change::Name(two)),
                7 => Some(Change::Private(flag)),
                8 => Some(Change::AnnounceOnly(flag)),
                9 => Some(Change::KeepsEdits(flag)),
                10 => Some(Change::RetentionMs((number as i64).wrapping_mul(1_000_000))),
                _ => Some(Change::Archive(flag)),
            };
            v1::ChangeRoomRequest {
                request_id,
                room: one,
                change,
            }
            .encode_to_vec()
        }
        // Of one form on the wire.
        "ListBans" | "ListMembers" => v1::ListMembersRequest {
            room: one,
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "ListConversations" => v1::ListConversationsRequest {
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "SendMessage" => v1::SendMessageRequest {
            request_id,
            recipient: one,
            body: two,
            reply_to: 0,
        }
        .encode_to_vec(),
        // Of one form on the wire.
        "BatchSendMessages" | "StreamMessages" => v1::BatchSendMessagesRequest {
            messages: (0..if flag { number % 102 } else { 1 })
                .map(|_| v1::SendMessageRequest {
                    request_id: request_id.clone(),
                    recipient: one.clone(),
                    body: two.clone(),
                    reply_to: 0,
                })
                .collect(),
        }
        .encode_to_vec(),
        "ListMessages" => v1::ListMessagesRequest {
            conversation_id: number % 3,
            peer: one,
            peer_account_id: if flag { number } else { 0 },
            page_size,
            page_token,
            oldest_first: other,
            before_seq: if other { 0 } else { number % 9 },
            after_seq: number % 3,
            thread_seq: if other { number % 5 } else { 0 },
            before_ms: if other { 0 } else { number.cast_signed() / 3 },
            after_ms: if flag { number.cast_signed() } else { 0 },
            before_cursor: 0,
            after_cursor: if flag { number } else { 0 },
        }
        .encode_to_vec(),
        "SearchMessages" => v1::SearchMessagesRequest {
            query: one,
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "ExportMessages" => v1::ExportMessagesRequest {
            room: one,
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "FetchUndelivered" => v1::FetchUndeliveredRequest {
            page_size,
            page_token,
        }
        .encode_to_vec(),
        "AcknowledgeMessages" => v1::AcknowledgeMessagesRequest {
            request_id,
            message_ids: match flag {
                true => vec![one; (number % 1_002) as usize],
                false => list,
            },
        }
        .encode_to_vec(),
        "Subscribe" => v1::SubscribeRequest {
            cursor: if other { number % 4 } else { number },
            from_now: flag,
            presence: flag,
        }
        .encode_to_vec(),
        "AddReplica" => v1::AddReplicaRequest {
            request_id,
            replica_id: (number % 12) as u32,
            address: if flag { format!("host:{number}") } else { one },
            peer_address: if other { "host:70".to_owned() } else { two },
        }
        .encode_to_vec(),
        // None of the view: it would answer when the view is without it.
        "RemoveReplica" => v1::RemoveReplicaRequest {
            request_id,
            replica_id: (number % 12) as u32 | 4,
        }
        .encode_to_vec(),
        "SetRetention" => v1::SetRetentionRequest {
            request_id,
            retention_ms: (number as i64).wrapping_mul(1_000_000),
        }
        .encode_to_vec(),
        "StopReplica" => v1::StopReplicaRequest {
            replica_id: (number % 3) as u32,
            force: flag,
        }
        .encode_to_vec(),
        _ => Vec::new(),
    }
}

/// Bytes out as they are; what comes back is not looked into.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        bytes::Buf::advance(buffer, bytes::Buf::remaining(buffer));
        Ok(Some(()))
    }
}

/// The first response, or why there is none.
async fn answer(channel: &Channel, token: &str, call: Call) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("the server is there");
    let mut request = Request::new(call.request);
    let given = call.authorization.map(MetadataValue::try_from);
    // What no client can put on the wire is left out.
    let value = match given {
        Some(Ok(value)) => Some(value),
        Some(Err(_)) => None,
        None => Some(format!("Bearer {token}").parse().expect("a token is plain")),
    };
    if let Some(value) = value {
        request.metadata_mut().insert("authorization", value);
    }
    let path = format!("/tercet.v1.{}", call.method)
        .parse()
        .expect("a path");
    let mut stream = grpc
        .server_streaming(request, path, Raw)
        .await?
        .into_inner();
    stream.message().await.map(|_| ())
}

/// Refused with a reason, and not as if this replica had failed.
fn is_well_refused(status: &Status) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason);
    let named = reason.is_some_and(|reason| !reason.is_empty());
    named && !matches!(status.code(), Code::Unknown | Code::Internal)
}

#[test]
fn any_call_is_answered_or_refused_with_a_reason() {
    let runtime = runtime();
    let (replica, mut ann) = runtime.block_on(async {
        let replica = Replica::start().await;
        let ann = replica.person("ann").await;
        replica.person("bob").await;
        replica.found_roster().await;
        (replica, ann)
    });
    let channel = runtime.block_on(replica.channel());
    let token = ann.token.clone();
    let mut runner = TestRunner::new(config(1_500));
    let done = runner.run(&call(), |call| {
        let answered =
            runtime.block_on(async { timeout(PATIENCE, answer(&channel, &token, call)).await });
        let answered = answered.map_err(|_| TestCaseError::fail("no answer"))?;
        if let Err(status) = answered {
            prop_assert!(is_well_refused(&status), "{status:?}");
        }
        Ok(())
    });
    done.unwrap_or_else(|failed| panic!("{failed}"));
    runtime.block_on(async {
        let sent = ann.send(&id(), "bob", "still here?").await;
        assert!(sent.is_ok(), "{sent:?}");
        // Streams that were opened and left are no burden.
        assert!(!replica.served.is_finished());
    });
}

#[test]
fn bytes_that_are_no_call_disturb_nobody() {
    let runtime = runtime();
    let replica = runtime.block_on(Replica::start());
    let cluster = runtime.block_on(replica.cluster());
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let starts = select(vec![Vec::new(), http2, b"POST /tercet.v1.".to_vec()]);
    let mut runner = TestRunner::new(config(60));
    let noise = (starts, vec(any::<u8>(), 0..2_000));
    let done = runner.run(&noise, |(start, noise)| {
        let mut cluster = cluster.clone();
        runtime.block_on(async {
            let mut stream = TcpStream::connect(replica.address).await.unwrap();
            // The server may have closed already: that is an answer.
            let _ = stream.write_all(&[start, noise].concat()).await;
            let _ = stream.shutdown().await;
            let asked = timeout(PATIENCE, cluster.is_master(v1::IsMasterRequest {}));
            let answered = asked.await.map_err(|_| TestCaseError::fail("no answer"))?;
            prop_assert!(answered.is_ok(), "{answered:?}");
            Ok(())
        })
    });
    done.unwrap_or_else(|failed| panic!("{failed}"));
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn what_passes_the_edge_is_within_the_limits(text in text(), size in any::<i32>()) {
        if let Ok(id) = fields::request_id(&text) {
            prop_assert_eq!(convert::uuid_text(id), text.to_lowercase());
        }
        if let Ok(name) = fields::username("username", &text) {
            prop_assert!((1..=limits::USERNAME_CHARS_MAX).contains(&name.len()) && name.is_ascii());
        }
        if let Ok(password) = fields::new_password("password", &text) {
            let limits = limits::PASSWORD_BYTES_MIN..=limits::PASSWORD_BYTES_MAX;
            prop_assert!(limits.contains(&password.len()));
        }
        if let Ok(body) = fields::body(text.clone()) {
            prop_assert!((1..=limits::BODY_BYTES_MAX).contains(&body.len()));
            prop_assert!(body.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
        }
        if let Ok(pattern) = fields::pattern(&text) {
            prop_assert!((1..=limits::PATTERN_CHARS_MAX).contains(&pattern.chars().count()));
        }
        if let Ok(size) = fields::page_size(size, 100, 1_000) {
            prop_assert!((1..=1_000).contains(&size));
        }
    }

    #[test]
    fn a_garbled_page_token_is_refused_or_of_the_same_query(
        lsn in 0..=fields::LSN_MAX,
        at in any::<prop::sample::Index>(),
        letter in any::<char>(),
        account_id in any::<u64>(),
    ) {
        let query = Query::Undelivered { account_id };
        let token = query.at(Step::After(lsn));
        prop_assert_eq!(query.step(&token).unwrap(), Some(Step::After(lsn)));
        let mut garbled: Vec<char> = token.chars().collect();
        garbled[at.index(token.len())] = letter;
        let garbled: String = garbled.into_iter().collect();
        if let Ok(Some(Step::Before(lsn) | Step::After(lsn))) = query.step(&garbled) {
            prop_assert!(lsn <= fields::LSN_MAX);
        }
        let other = Query::Undelivered { account_id: account_id ^ 1 };
        prop_assert!(other.step(&garbled).is_err());
        prop_assert!(query.name(&letter.to_string().repeat(40)).is_err());
    }
}
