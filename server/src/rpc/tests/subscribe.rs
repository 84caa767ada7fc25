//! Subscriptions, end to end.

use tokio::time::timeout;
use tonic::Streaming;
use v1::subscribe_response::Event;

use super::*;

type Stream = Streaming<v1::SubscribeResponse>;

/// Long enough for a slow machine; only a broken stream takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

impl Client {
    async fn subscribe(&mut self, cursor: u64, from_now: bool) -> Result<Stream, Status> {
        let request = self.by(v1::SubscribeRequest {
            cursor,
            from_now,
            presence: false,
        });
        Ok(self.chat.subscribe(request).await?.into_inner())
    }

    /// A stream whose `Subscribed` has come, and where it starts.
    async fn subscribed(&mut self, cursor: u64, from_now: bool) -> (Stream, u64) {
        let mut stream = self.subscribe(cursor, from_now).await.unwrap();
        let first = next(&mut stream).await.unwrap();
        assert!(matches!(first.event, Some(Event::Subscribed(_))));
        (stream, first.cursor)
    }
}

async fn next(stream: &mut Stream) -> Result<v1::SubscribeResponse, Status> {
    let response = timeout(PATIENCE, stream.message()).await;
    Ok(response.expect("an event or an end")?.expect("a reason"))
}

async fn messages(stream: &mut Stream, count: usize) -> Vec<u64> {
    let mut cursors = Vec::new();
    while cursors.len() < count {
        let response = next(stream).await.unwrap();
        match response.event {
            Some(Event::Message(message)) => assert_eq!(message.cursor, response.cursor),
            other => panic!("{other:?}"),
        }
        cursors.push(response.cursor);
    }
    cursors
}

/// Reads to the end; the cursors of the messages, and why it ended.
async fn to_the_end(stream: &mut Stream) -> (Vec<u64>, Status) {
    let mut cursors = Vec::new();
    loop {
        match next(stream).await {
            Ok(response) => {
                if matches!(response.event, Some(Event::Message(_))) {
                    cursors.push(response.cursor);
                }
            }
            Err(status) => return (cursors, status),
        }
    }
}

#[tokio::test]
async fn message_to_a_connected_account_is_pushed_at_once() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("Bob").await;
    let (mut stream, start) = bob.subscribed(0, false).await;
    assert_eq!(start, 0);
    let sent = ann.send(&id(), "bob", "hello").await.unwrap();
    assert!(sent.instant);
    let got = next(&mut stream).await.unwrap();
    let Some(Event::Message(message)) = got.event else {
        panic!("{got:?}");
    };
    assert_eq!((message.body.as_str(), message.instant), ("hello", true));
    assert_eq!(
        (got.cursor, message.message_id),
        (sent.cursor, sent.message_id)
    );
    drop(stream);
    // The account is connected until the server has noticed.
    while replica.fanout.is_connected("bob") {
        tokio::task::yield_now().await;
    }
    assert!(!ann.send(&id(), "bob", "gone?").await.unwrap().instant);
}

#[tokio::test]
async fn own_messages_reach_the_other_devices_live_and_from_the_backlog() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let (mut live, start) = ann.subscribed(0, true).await;
    for (to, body) in [("bob", "one"), ("ann", "a note")] {
        ann.send(&id(), to, body).await.unwrap();
    }
    bob.send(&id(), "ann", "two").await.unwrap();
    let (mut resumed, _) = ann.subscribed(start, false).await;
    for stream in [&mut live, &mut resumed] {
        let mut got = Vec::new();
        for _ in 0..3 {
            let Some(Event::Message(message)) = next(stream).await.unwrap().event else {
                panic!("not a message");
            };
            got.push((message.body, message.seq));
        }
        let expected = [("one", 1), ("a note", 1), ("two", 2)];
        assert_eq!(got, expected.map(|(body, seq)| (body.to_owned(), seq)));
    }
}

#[tokio::test]
async fn stored_messages_run_into_live_ones_without_gap_or_repetition() {
    let replica = Replica::start().await;
    let ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut sent = ann.send_many("bob", 700, 10).await;
    // Streams begin at many moments while messages keep coming, most of them when a message is
    // in the store and not yet published.
    replica.late.store(true, Ordering::SeqCst);
    let sending = tokio::spawn({
        let ann = ann.clone();
        async move { ann.send_many("bob", 1500, 10).await }
    });
    let mut readers = tokio::task::JoinSet::new();
    for start in (0..30).map(|number| number * 20) {
        let after = sent[start];
        let (mut stream, _) = bob.subscribed(after, false).await;
        let missing = 700 + 1500 - start - 1;
        readers.spawn(async move { (after, messages(&mut stream, missing).await) });
    }
    sent.extend(sending.await.unwrap());
    while let Some(read) = readers.join_next().await {
        let (after, got) = read.unwrap();
        let expected: Vec<u64> = sent.iter().copied().filter(|lsn| *lsn > after).collect();
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn slow_reader_is_cut_off_and_resumes_where_it_was() {
    let replica = Replica::start().await;
    let ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let (mut stream, _) = bob.subscribed(0, false).await;
    // Nothing is read: the connection's window, the responses and the queue fill up.
    let mut sent = Vec::new();
    while replica.fanout.is_connected("bob") {
        assert!(sent.len() < 10_000, "is never too slow");
        sent.extend(ann.send_many("bob", 500, 500).await);
    }
    let (mut got, end) = to_the_end(&mut stream).await;
    assert_eq!(end.code(), Code::ResourceExhausted);
    let info = end.get_details_error_info().unwrap();
    assert_eq!(info.reason, "SLOW_SUBSCRIBER");
    let cursor: u64 = info.metadata["cursor"].parse().unwrap();
    assert_eq!(got.last().copied().unwrap_or(0), cursor);
    let (mut stream, _) = bob.subscribed(cursor, false).await;
    got.extend(messages(&mut stream, sent.len() - got.len()).await);
    assert_eq!(got, sent);
}

#[tokio::test]
async fn subscription_from_now_skips_what_is_stored() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let before = ann.send(&id(), "bob", "before").await.unwrap();
    let (mut stream, start) = bob.subscribed(0, true).await;
    assert!(start >= before.cursor);
    let after = ann.send(&id(), "bob", "after").await.unwrap();
    assert_eq!(messages(&mut stream, 1).await, [after.cursor]);
    for (cursor, from_now, code, reason) in [
        (1, true, Code::InvalidArgument, "INVALID_CURSOR"),
        (after.cursor + 100, false, Code::OutOfRange, "RESYNC"),
    ] {
        let wrong = bob.subscribe(cursor, from_now).await;
        refused(wrong, code, reason);
    }
}

#[tokio::test]
async fn losing_the_lead_ends_streams_and_names_the_new_leader() {
    let replica = Replica::start().await;
    let mut bob = replica.person("bob").await;
    let (mut stream, _) = bob.subscribed(0, false).await;
    replica.lose_lead(Some(ReplicaId(2)));
    let (_, end) = to_the_end(&mut stream).await;
    assert_eq!(end.code(), Code::Unavailable);
    let info = end.get_details_error_info().unwrap();
    assert_eq!(info.reason, "NOT_LEADER");
    assert_eq!(info.metadata["leader_address"], "localhost:5002");
    let again = bob.subscribe(0, false).await.map(|_| ());
    refused(again, Code::FailedPrecondition, "NOT_LEADER");
}

#[tokio::test]
async fn logout_and_deletion_end_the_streams_of_their_sessions() {
    let replica = Replica::start().await;
    let mut bob = replica.person("bob").await;
    let mut elsewhere = bob.clone();
    elsewhere.log_in("bob").await;
    let (mut one, _) = bob.subscribed(0, false).await;
    let (mut two, _) = elsewhere.subscribed(0, false).await;
    bob.log_out(&id()).await.unwrap();
    let (_, end) = to_the_end(&mut one).await;
    assert_eq!(
        (end.code(), reason(&end).as_str()),
        (Code::Unauthenticated, "INVALID_TOKEN")
    );
    assert!(replica.fanout.is_connected("bob"));
    elsewhere.delete(&id(), PASSWORD).await.unwrap();
    let (_, end) = to_the_end(&mut two).await;
    assert_eq!(
        (end.code(), reason(&end).as_str()),
        (Code::Unauthenticated, "ACCOUNT_GONE")
    );
}

#[tokio::test]
async fn stream_ends_when_its_session_expires() {
    let replica = Replica::start_with(Duration::from_millis(1500)).await;
    let mut bob = replica.person("bob").await;
    let (mut stream, _) = bob.subscribed(0, false).await;
    let (_, end) = to_the_end(&mut stream).await;
    assert_eq!(reason(&end), "EXPIRED_TOKEN");
    assert!(!replica.fanout.is_connected("bob"));
}

#[tokio::test]
async fn sender_is_told_how_many_messages_a_deletion_dropped() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("Bob").await;
    for _ in 0..3 {
        ann.send(&id(), "bob", "hello").await.unwrap();
    }
    let (mut stream, start) = ann.subscribed(0, true).await;
    assert_eq!(bob.delete(&id(), PASSWORD).await.unwrap(), 3);
    let told = next(&mut stream).await.unwrap();
    assert!(told.cursor > start);
    let dropped = v1::MessagesDropped {
        recipient: "Bob".into(),
        recipient_id: bob.account_id,
        count: 3,
    };
    assert_eq!(told.event, Some(Event::MessagesDropped(dropped)));
    // The notice is no reason to see a message twice, or to miss one.
    let sent = ann
        .clone()
        .send(&id(), "ann", "note to self")
        .await
        .unwrap();
    assert_eq!(messages(&mut stream, 1).await, [sent.cursor]);
}

#[tokio::test]
async fn stopping_ends_streams_and_then_the_server() {
    let mut replica = Replica::start().await;
    let mut bob = replica.person("bob").await;
    let (mut stream, _) = bob.subscribed(0, false).await;
    let began = std::time::Instant::now();
    replica.stop.take().unwrap().send(()).unwrap();
    let (_, end) = to_the_end(&mut stream).await;
    assert_eq!(
        (end.code(), reason(&end).as_str()),
        (Code::Unavailable, "STOPPING")
    );
    drop((stream, bob));
    let served = timeout(PATIENCE, &mut replica.served).await.unwrap();
    served.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "was cut off");
}
