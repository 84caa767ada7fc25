//! Batches and streams of messages, end to end.

use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic_types::RpcStatusExt as _;
use v1::{SendMessageOutcome, SendMessageRequest, send_message_outcome::Result as Told};

use super::*;

/// Long enough for a slow machine; only a broken stream takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

fn message(recipient: &str, body: &str) -> SendMessageRequest {
    SendMessageRequest {
        request_id: id(),
        recipient: recipient.into(),
        body: body.into(),
        reply_to: 0,
    }
}

fn numbered(count: usize) -> Vec<SendMessageRequest> {
    (0..count)
        .map(|number| message("bob", &number.to_string()))
        .collect()
}

/// Both ends of one stream.
struct Stream {
    frames: mpsc::Sender<v1::StreamMessagesRequest>,
    responses: Streaming<v1::StreamMessagesResponse>,
}

impl Stream {
    async fn send(&self, messages: Vec<SendMessageRequest>) {
        let frame = v1::StreamMessagesRequest { messages };
        self.frames.send(frame).await.unwrap();
    }

    async fn response(&mut self) -> Result<Option<v1::StreamMessagesResponse>, Status> {
        let response = timeout(PATIENCE, self.responses.message()).await;
        response.expect("an answer or an end")
    }

    /// That many outcomes, by number.
    async fn outcomes(&mut self, count: usize) -> Vec<SendMessageOutcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            outcomes.extend(self.response().await.unwrap().unwrap().outcomes);
        }
        outcomes.sort_by_key(|outcome| outcome.sequence);
        outcomes
    }

    /// Why it ended; everything before was told.
    async fn end(&mut self) -> Status {
        self.response().await.expect_err("the stream ends")
    }
}

impl Client {
    async fn open(&mut self) -> Result<Stream, Status> {
        let (frames, queue) = mpsc::channel(16);
        let request = self.by(ReceiverStream::new(queue));
        let responses = self.chat.stream_messages(request).await?.into_inner();
        Ok(Stream { frames, responses })
    }

    async fn batch(
        &mut self,
        messages: Vec<SendMessageRequest>,
    ) -> Result<Vec<SendMessageOutcome>, Status> {
        let request = self.by(v1::BatchSendMessagesRequest { messages });
        let answer = self.chat.batch_send_messages(request).await?;
        Ok(answer.into_inner().outcomes)
    }

    async fn bodies_from(&mut self, peer: &str) -> Vec<String> {
        let request = self.by(v1::ListMessagesRequest {
            peer: peer.into(),
            page_size: 500,
            oldest_first: true,
            ..Default::default()
        });
        let page = self.chat.list_messages(request).await.unwrap().into_inner();
        page.messages.into_iter().map(|one| one.body).collect()
    }
}

fn cursor(outcome: &SendMessageOutcome) -> u64 {
    match &outcome.result {
        Some(Told::Sent(sent)) => sent.cursor,
        other => panic!("{other:?}"),
    }
}

/// The error of one message: its code and its reason.
fn error(outcome: &SendMessageOutcome) -> (Code, String) {
    match &outcome.result {
        Some(Told::Error(status)) => {
            let info = status.get_details_error_info();
            (Code::from(status.code), info.expect("a reason").reason)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn stream_keeps_the_order_and_numbers_each_outcome() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    let messages = numbered(150);
    stream.send(messages[..1].to_vec()).await;
    let first = stream.outcomes(1).await;
    stream.send(messages[1..100].to_vec()).await;
    stream.send(messages[100..].to_vec()).await;
    let outcomes = [first, stream.outcomes(149).await].concat();
    for (number, (outcome, message)) in outcomes.iter().zip(&messages).enumerate() {
        assert_eq!(outcome.sequence, number as u64);
        let Some(Told::Sent(sent)) = &outcome.result else {
            panic!("{outcome:?}");
        };
        assert_eq!(sent.message_id, message.request_id);
    }
    assert!(outcomes.is_sorted_by_key(cursor));
    let expected: Vec<String> = (0..150).map(|number| number.to_string()).collect();
    assert_eq!(bob.bodies_from("ann").await, expected);

    // The same again, on another stream, gets the first answers.
    let mut again = ann.open().await.unwrap();
    again.send(messages[..100].to_vec()).await;
    assert_eq!(again.outcomes(100).await, outcomes[..100]);
}

#[tokio::test]
async fn half_closed_stream_ends_when_all_outcomes_are_told() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    stream.send(numbered(100)).await;
    stream.frames = mpsc::channel(1).0;
    assert_eq!(stream.outcomes(100).await.len(), 100);
    assert_eq!(stream.response().await.unwrap(), None);
}

#[tokio::test]
async fn bad_messages_of_a_stream_get_their_own_errors_and_it_goes_on() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    let good = message("bob", "one");
    let reused = SendMessageRequest {
        body: "two".into(),
        ..good.clone()
    };
    let no_id = SendMessageRequest {
        request_id: "x".into(),
        ..good.clone()
    };
    let bad = message("bob", "\x1b[2J");
    stream
        .send(vec![good, no_id, bad, message("nobody", "hello"), reused])
        .await;
    let outcomes = stream.outcomes(5).await;
    cursor(&outcomes[0]);
    let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    assert_eq!(error(&outcomes[1]), invalid("INVALID_REQUEST_ID"));
    assert_eq!(error(&outcomes[2]), invalid("INVALID_BODY"));
    let unknown = (Code::NotFound, "UNKNOWN_RECIPIENT".to_owned());
    assert_eq!(error(&outcomes[3]), unknown);
    assert_eq!(error(&outcomes[4]), invalid("REQUEST_ID_REUSED"));
    let Some(Told::Error(status)) = &outcomes[2].result else {
        panic!("{outcomes:?}");
    };
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "body");
    stream.send(numbered(1)).await;
    cursor(&stream.outcomes(1).await[0]);
}

#[tokio::test]
async fn frame_with_too_many_messages_ends_the_stream_after_what_came_before() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    stream.send(numbered(100)).await;
    stream.send(numbered(101)).await;
    assert!(stream.outcomes(100).await.is_sorted_by_key(cursor));
    let end = stream.end().await;
    assert_eq!(end.code(), Code::InvalidArgument);
    assert_eq!(reason(&end), "INVALID_MESSAGES");
}

#[tokio::test]
async fn revoked_token_opens_no_stream_and_sends_nothing_on_an_open_one() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    stream.send(vec![message("bob", "before")]).await;
    cursor(&stream.outcomes(1).await[0]);
    ann.log_out(&id()).await.unwrap();
    stream.send(vec![message("bob", "after")]).await;
    let refused_for = error(&stream.outcomes(1).await[0]);
    assert_eq!(refused_for.0, Code::Unauthenticated);
    assert_eq!(refused_for.1, "INVALID_TOKEN");
    let opened = ann.open().await.map(|_| ());
    refused(opened, Code::Unauthenticated, "INVALID_TOKEN");
    assert_eq!(bob.bodies_from("ann").await, ["before"]);
}

#[tokio::test]
async fn deleted_account_sends_nothing_on_an_open_stream() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    ann.delete(&id(), PASSWORD).await.unwrap();
    stream.send(vec![message("bob", "from nobody")]).await;
    let (code, _) = error(&stream.outcomes(1).await[0]);
    assert_eq!(code, Code::Unauthenticated);
    let unknown = bob.send(&id(), "ann", "hello").await;
    refused(unknown, Code::NotFound, "UNKNOWN_RECIPIENT");
}

#[tokio::test]
async fn stream_of_a_replica_that_leads_no_more_names_the_leader_and_ends() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    replica.lose_lead(Some(ReplicaId(2)));
    stream.send(numbered(3)).await;
    for outcome in stream.outcomes(3).await {
        let Some(Told::Error(status)) = &outcome.result else {
            panic!("{outcome:?}");
        };
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "NOT_LEADER");
        assert_eq!(info.metadata["leader_address"], "localhost:5002");
    }
    let end = stream.end().await;
    assert_eq!(end.code(), Code::FailedPrecondition);
    assert_eq!(reason(&end), "NOT_LEADER");
    let opened = ann.open().await.map(|_| ());
    refused(opened, Code::FailedPrecondition, "NOT_LEADER");
    let batch = ann.batch(numbered(2)).await;
    refused(batch, Code::FailedPrecondition, "NOT_LEADER");
}

#[tokio::test]
async fn unknown_fate_ends_the_stream_and_a_retry_settles_it() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    let messages = numbered(3);
    replica.mute.store(true, Ordering::SeqCst);
    stream.send(messages.clone()).await;
    let outcomes = stream.outcomes(3).await;
    let unknown = (Code::Unavailable, "OUTCOME_UNKNOWN".to_owned());
    assert_eq!(error(&outcomes[0]), unknown);
    assert_eq!(stream.end().await.code(), Code::Unavailable);
    replica.mute.store(false, Ordering::SeqCst);
    let mut stream = ann.open().await.unwrap();
    stream.send(messages).await;
    assert!(stream.outcomes(3).await.is_sorted_by_key(cursor));
    assert_eq!(bob.bodies_from("ann").await, ["0", "1", "2"]);
}

#[tokio::test]
async fn more_messages_than_are_taken_at_once_wait_their_turn() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    replica.person("bob").await;
    let mut stream = ann.open().await.unwrap();
    let frames = stream.frames.clone();
    let sending = tokio::spawn(async move {
        for _ in 0..30 {
            let messages = numbered(100);
            let frame = v1::StreamMessagesRequest { messages };
            frames.send(frame).await.unwrap();
        }
    });
    let outcomes = stream.outcomes(3_000).await;
    sending.await.unwrap();
    assert!(outcomes.is_sorted_by_key(cursor));
    assert_eq!(outcomes[2_999].sequence, 2_999);
}

#[tokio::test]
async fn batch_gives_each_message_its_outcome_in_the_order_of_the_request() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut messages = numbered(100);
    messages[1].body = String::new();
    messages[2].recipient = "nobody".into();
    messages[4] = messages[3].clone();
    let outcomes = ann.batch(messages.clone()).await.unwrap();
    let places: Vec<u64> = outcomes.iter().map(|outcome| outcome.sequence).collect();
    assert_eq!(places, (0..100).collect::<Vec<u64>>());
    assert_eq!(error(&outcomes[1]).1, "INVALID_BODY");
    assert_eq!(error(&outcomes[2]).1, "UNKNOWN_RECIPIENT");
    // A request id that comes twice is a retry.
    assert_eq!(cursor(&outcomes[4]), cursor(&outcomes[3]));
    assert!(outcomes[5..].is_sorted_by_key(cursor));
    assert_eq!(bob.bodies_from("ann").await.len(), 97);
    assert_eq!(ann.batch(messages).await.unwrap(), outcomes);
}

#[tokio::test]
async fn batch_fails_as_a_whole_for_its_own_faults_only() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    for wrong in [numbered(0), numbered(101)] {
        let refusal = ann.batch(wrong).await;
        refused(refusal, Code::InvalidArgument, "INVALID_MESSAGES");
    }
    let longest = "x".repeat(16_384);
    let large: Vec<_> = (0..100).map(|_| message("bob", &longest)).collect();
    assert!(ann.batch(large).await.unwrap().is_sorted_by_key(cursor));
    ann.log_out(&id()).await.unwrap();
    let batch = ann.batch(numbered(1)).await;
    refused(batch, Code::Unauthenticated, "INVALID_TOKEN");
    assert_eq!(bob.bodies_from("ann").await.len(), 64);
}
