//! The limits of requests that clients run into (`docs/api.md`): each refusal has its status, its reason, and the field.

mod cluster;

use cluster::{Cluster, people::log_in};
use tercet_client::new_request_id;
use tercet_proto::v1::{self, change_room_request::Change, chat_service_client::ChatServiceClient};
use tercet_types::limits::*;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

/// Makes a call; gives the status of its refusal, `Ok` when there is none.
macro_rules! call {
    ($client:expr, $token:expr, $method:ident, $request:expr) => {{
        let mut request = Request::new($request);
        let bearer = format!("Bearer {}", $token).parse().expect("a token");
        request.metadata_mut().insert("authorization", bearer);
        $client.$method(request).await.map(drop)
    }};
}

fn id() -> String {
    new_request_id().to_string()
}

/// Gives a text that is one longer than a limit.
fn over(limit: usize) -> String {
    "a".repeat(limit + 1)
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    info.reason.clone()
}

type Refusal = Result<(), Status>;

/// Each limit of a field, and the refusal of a request that is just beyond it.
async fn beyond_fields(
    chat: &mut ChatServiceClient<Channel>,
    token: &str,
) -> Vec<(&'static str, &'static str, Refusal)> {
    let account = |username: String, password: String| v1::CreateAccountRequest {
        request_id: id(),
        username,
        password,
    };
    let profile =
        |display_name: Option<String>, status_text: Option<String>| v1::UpdateProfileRequest {
            request_id: id(),
            display_name,
            status_text,
        };
    let api_token = |name: String, valid_days: u32| v1::CreateApiTokenRequest {
        request_id: id(),
        name,
        scopes: vec![v1::ApiScope::Read.into()],
        valid_days,
    };
    let state = |key: String, value: String| v1::CompareAndSetRequest {
        request_id: id(),
        conversation: "ann".into(),
        key,
        value: Some(value),
        ..v1::CompareAndSetRequest::default()
    };
    let program = |program: String, arguments: Vec<String>| v1::SubmitRequest {
        request_id: id(),
        conversation: "ann".into(),
        key: "k".into(),
        program,
        arguments,
    };
    let change = |change| v1::ChangeRoomRequest {
        request_id: id(),
        room: "#tea".into(),
        change: Some(change),
    };
    let message = || v1::SendMessageRequest {
        request_id: id(),
        recipient: "ann".into(),
        body: "x".into(),
        reply_to: 0,
    };
    let search = |query: String| v1::SearchMessagesRequest {
        query,
        ..v1::SearchMessagesRequest::default()
    };
    let good = || "correct horse".to_owned();
    let mut all = Vec::new();
    macro_rules! beyond {
        ($($field:literal, $reason:literal: $method:ident $request:expr;)+) => {
            $(all.push(($field, $reason, call!(chat, token, $method, $request)));)+
        };
    }
    beyond! {
        "username", "INVALID_USERNAME": create_account account(over(USERNAME_CHARS_MAX), good());
        "password", "INVALID_PASSWORD": create_account account("bob".into(), "a".repeat(PASSWORD_BYTES_MIN - 1));
        "password", "INVALID_PASSWORD": create_account account("bob".into(), over(PASSWORD_BYTES_MAX));
        "label", "INVALID_LABEL": login v1::LoginRequest {
            request_id: id(),
            username: "ann".into(),
            password: good(),
            label: over(LABEL_CHARS_MAX),
        };
        "display_name", "INVALID_DISPLAY_NAME": update_profile profile(Some(over(DISPLAY_NAME_CHARS_MAX)), None);
        "status_text", "INVALID_STATUS_TEXT": update_profile profile(None, Some(over(STATUS_TEXT_CHARS_MAX)));
        "name", "INVALID_TOKEN_NAME": create_api_token api_token(over(TOKEN_NAME_CHARS_MAX), 1);
        "valid_days", "INVALID_VALID_DAYS": create_api_token api_token("bot".into(), TOKEN_DAYS_MAX + 1);
        "pattern", "INVALID_PATTERN": list_accounts v1::ListAccountsRequest {
            pattern: over(PATTERN_CHARS_MAX),
            ..v1::ListAccountsRequest::default()
        };
        "room", "INVALID_ROOM_NAME": create_room v1::CreateRoomRequest {
            request_id: id(),
            room: format!("#{}", over(USERNAME_CHARS_MAX)),
            ..v1::CreateRoomRequest::default()
        };
        "topic", "INVALID_TOPIC": change_room change(Change::Topic(over(TOPIC_CHARS_MAX)));
        "retention_ms", "INVALID_RETENTION": change_room change(Change::RetentionMs(RETENTION_MS_MIN - 1));
        "retention_ms", "INVALID_RETENTION": change_room change(Change::RetentionMs(RETENTION_MS_MAX + 1));
        "body", "INVALID_BODY": send_message v1::SendMessageRequest {
            body: over(BODY_BYTES_MAX),
            ..message()
        };
        "messages", "INVALID_MESSAGES": batch_send_messages v1::BatchSendMessagesRequest {
            messages: (0..=BATCH_MESSAGES_MAX).map(|_| message()).collect(),
        };
        "message_ids", "INVALID_MESSAGE_IDS": acknowledge_messages v1::AcknowledgeMessagesRequest {
            request_id: id(),
            message_ids: (0..=ACKNOWLEDGED_MAX).map(|_| id()).collect(),
        };
        "reaction", "INVALID_REACTION": set_reaction v1::SetReactionRequest {
            request_id: id(),
            conversation: "ann".into(),
            seq: 1,
            reaction: over(REACTION_BYTES_MAX),
            remove: false,
        };
        "query", "INVALID_QUERY": search_messages search(over(SEARCH_CHARS_MAX));
        "query", "INVALID_QUERY": search_messages search("a ".repeat(SEARCH_TERMS_MAX + 1));
        "key", "INVALID_KEY": compare_and_set state(over(STATE_KEY_CHARS_MAX), "x".into());
        "value", "INVALID_VALUE": compare_and_set state("k".into(), over(STATE_VALUE_BYTES_MAX));
        "program", "INVALID_PROGRAM": submit program(over(PROGRAM_BYTES_MAX), vec![]);
        "arguments", "INVALID_ARGUMENTS": submit program("1".into(), vec![String::new(); PROGRAM_ARGUMENTS_MAX + 1]);
        "arguments", "INVALID_ARGUMENTS": submit program("1".into(), vec![over(PROGRAM_ARGUMENT_BYTES_MAX)]);
    }
    all
}

#[test]
fn a_request_beyond_a_limit_is_refused_with_its_field_or_the_reason_in_the_documents() {
    let cluster = Cluster::start(1);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.json(&["room", "create", "#tea", "--json"]);
    cluster.json(&["send", "ann", "a note", "--json"]);
    let session = cluster.json(&["login", "ann", "--password", "correct horse", "--json"]);
    let token = session["token"].as_str().expect("a token");
    let address = cluster.replicas[&1].address.clone();
    let (runtime, [_ann]) = log_in(&cluster, ["ann"]);
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
        let channel = channel.connect().await.expect("connect");
        let mut chat = ChatServiceClient::new(channel);
        for (field, expected, refusal) in beyond_fields(&mut chat, token).await {
            let status = refusal.expect_err(expected);
            assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
            assert_eq!(reason(&status), expected, "{field}: {status}");
            let details = status.get_error_details();
            let bad = details.bad_request().expect("a BadRequest");
            let fields: Vec<&str> = bad
                .field_violations
                .iter()
                .map(|one| one.field.as_str())
                .collect();
            assert_eq!(fields, [field], "{status}");
            assert!(!bad.field_violations[0].description.is_empty());
        }

        // Limits of what is kept: one more than fits is refused, without a field that would be wrong.
        let mut full = Vec::new();
        for n in 0..=MESSAGE_REACTIONS_MAX {
            let request = v1::SetReactionRequest {
                request_id: id(),
                conversation: "ann".into(),
                seq: 1,
                reaction: format!("r{n}"),
                remove: false,
            };
            full.push(call!(chat, token, set_reaction, request));
        }
        let mut refused = vec![(
            "TOO_MANY_REACTIONS",
            Code::ResourceExhausted,
            MESSAGE_REACTIONS_MAX,
            full,
        )];
        let mut full = Vec::new();
        for n in 0..=ACCOUNT_TOKENS_MAX {
            let request = v1::CreateApiTokenRequest {
                request_id: id(),
                name: format!("bot {n}"),
                scopes: vec![v1::ApiScope::Read.into()],
                valid_days: 1,
            };
            full.push(call!(chat, token, create_api_token, request));
        }
        refused.push((
            "TOO_MANY_TOKENS",
            Code::FailedPrecondition,
            ACCOUNT_TOKENS_MAX,
            full,
        ));
        let mut full = Vec::new();
        for n in 0..=CONVERSATION_PINS_MAX {
            let message = v1::SendMessageRequest {
                request_id: id(),
                recipient: "ann".into(),
                body: "x".into(),
                reply_to: 0,
            };
            call!(chat, token, send_message, message).expect("sent");
            let request = v1::PinMessageRequest {
                request_id: id(),
                conversation: "ann".into(),
                seq: n as u64 + 1,
            };
            full.push(call!(chat, token, pin_message, request));
        }
        refused.push((
            "TOO_MANY_PINS",
            Code::ResourceExhausted,
            CONVERSATION_PINS_MAX,
            full,
        ));
        let value = |n: usize, conversation: &str, bytes: usize| v1::CompareAndSetRequest {
            request_id: id(),
            conversation: conversation.into(),
            key: format!("k{n:04}"),
            value: Some("x".repeat(bytes)),
            ..v1::CompareAndSetRequest::default()
        };
        let mut full = Vec::new();
        for n in 0..=STATE_KEYS_MAX as usize {
            full.push(call!(chat, token, compare_and_set, value(n, "ann", 1)));
        }
        refused.push((
            "TOO_MANY_KEYS",
            Code::ResourceExhausted,
            STATE_KEYS_MAX as usize,
            full,
        ));
        // With its key of 5 bytes, each takes a 64th of what fits.
        let each = STATE_BYTES_MAX as usize / 64;
        let mut full = Vec::new();
        for n in 0..=64 {
            full.push(call!(
                chat,
                token,
                compare_and_set,
                value(n, "#tea", each - 5)
            ));
        }
        refused.push(("STATE_FULL", Code::ResourceExhausted, 64, full));
        for (expected, code, fits, mut answers) in refused {
            let status = answers.pop().expect("one").expect_err(expected);
            assert_eq!(answers.len(), fits);
            for answer in answers {
                answer.expect(expected);
            }
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (code, expected),
                "{status}"
            );
            assert!(
                status.get_error_details().bad_request().is_none(),
                "{status}"
            );
        }
    });
}
