//! Messages, end to end.

use tercet_core::id::Time;

use super::*;

fn history(peer: &str, page_size: i32, page_token: &str) -> v1::ListMessagesRequest {
    v1::ListMessagesRequest {
        peer: peer.into(),
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    }
}

impl Client {
    async fn list(
        &mut self,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesResponse, Status> {
        let request = self.by(request);
        Ok(self.chat.list_messages(request).await?.into_inner())
    }

    async fn undelivered(
        &mut self,
        page_size: i32,
        page_token: &str,
    ) -> Result<v1::FetchUndeliveredResponse, Status> {
        let request = self.by(v1::FetchUndeliveredRequest {
            page_size,
            page_token: page_token.into(),
        });
        Ok(self.chat.fetch_undelivered(request).await?.into_inner())
    }
}

fn cursors(messages: &[v1::Message]) -> Vec<u64> {
    messages.iter().map(|message| message.cursor).collect()
}

#[tokio::test]
async fn message_waits_until_it_is_acknowledged() {
    let replica = Replica::start().await;
    let mut ann = replica.person("Ann").await;
    let mut bob = replica.person("Bob").await;
    let request_id = id();
    let sent = ann.send(&request_id, "bOB", "hello\n\tyou").await.unwrap();
    assert_eq!(sent.message_id, request_id);
    assert!(!sent.instant);
    let retry = ann.send(&request_id, "bOB", "hello\n\tyou").await.unwrap();
    assert_eq!(retry, sent);

    let waiting = bob.undelivered(0, "").await.unwrap().messages;
    let expected = v1::Message {
        message_id: request_id.clone(),
        cursor: sent.cursor,
        sender: "Ann".into(),
        sender_id: ann.account_id,
        recipient: "Bob".into(),
        recipient_id: bob.account_id,
        body: "hello\n\tyou".into(),
        sent_at_ms: sent.sent_at_ms,
        seq: 1,
        kind: v1::MessageKind::Text.into(),
        ..Default::default()
    };
    assert_eq!(waiting, std::slice::from_ref(&expected));

    let acknowledge = v1::AcknowledgeMessagesRequest {
        request_id: id(),
        message_ids: vec![request_id, id()],
    };
    for _ in 0..2 {
        let request = bob.by(acknowledge.clone());
        let done = bob.chat.acknowledge_messages(request).await.unwrap();
        assert_eq!(done.into_inner().acknowledged, 1);
    }
    assert_eq!(bob.undelivered(0, "").await.unwrap().messages, []);
    let kept = ann.list(history("bob", 0, "")).await.unwrap().messages;
    let delivered = v1::Message {
        delivered: true,
        ..expected
    };
    assert_eq!(kept, [delivered]);
}

#[tokio::test]
async fn message_that_nobody_can_get_or_read_is_refused() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let unknown = ann.send(&id(), "nobody", "hello").await;
    refused(unknown, Code::NotFound, "UNKNOWN_RECIPIENT");
    for body in ["", "\x1b[2J", &"x".repeat(16_385)] {
        let bad = ann.send(&id(), "ann", body).await;
        refused(bad, Code::InvalidArgument, "INVALID_BODY");
    }
    ann.send(&id(), "ann", &"x".repeat(16_384)).await.unwrap();
    let request_id = id();
    ann.send(&request_id, "ann", "one").await.unwrap();
    let reused = ann.send(&request_id, "ann", "two").await;
    refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn history_is_paged_in_both_directions() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    replica.person("cy").await;
    let mut all = Vec::new();
    for number in 0..25 {
        let (from, to) = if number % 2 == 0 {
            (&mut ann, "bob")
        } else {
            (&mut bob, "ann")
        };
        all.push(from.send(&id(), to, "hello").await.unwrap().cursor);
        ann.send(&id(), "cy", "another conversation").await.unwrap();
    }
    let newest = ann.list(history("bob", 10, "")).await.unwrap();
    assert_eq!(cursors(&newest.messages), all[15..]);
    assert_eq!(newest.newer_page_token, "");
    assert_eq!(newest.next_page_token, newest.older_page_token);
    let middle = ann
        .list(history("bob", 10, &newest.older_page_token))
        .await
        .unwrap();
    assert_eq!(cursors(&middle.messages), all[5..15]);
    let oldest = ann
        .list(history("bob", 10, &middle.next_page_token))
        .await
        .unwrap();
    assert_eq!(cursors(&oldest.messages), all[..5]);
    assert_eq!(
        (
            oldest.older_page_token.as_str(),
            oldest.next_page_token.as_str()
        ),
        ("", "")
    );
    let back = ann
        .list(history("bob", 10, &oldest.newer_page_token))
        .await
        .unwrap();
    assert_eq!(cursors(&back.messages), all[5..15]);
    let end = ann
        .list(history("bob", 20, &back.newer_page_token))
        .await
        .unwrap();
    assert_eq!(cursors(&end.messages), all[15..]);
    assert_eq!(end.newer_page_token, "");

    let mut forward = history("bob", 20, "");
    forward.oldest_first = true;
    let first = ann.list(forward.clone()).await.unwrap();
    assert_eq!(cursors(&first.messages), all[..20]);
    assert_eq!(first.older_page_token, "");
    forward.page_token = first.next_page_token;
    let second = ann.list(forward).await.unwrap();
    assert_eq!(cursors(&second.messages), all[20..]);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn page_token_of_another_query_or_account_is_refused() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    replica.person("cy").await;
    for _ in 0..3 {
        ann.send(&id(), "bob", "hello").await.unwrap();
        ann.send(&id(), "cy", "hello").await.unwrap();
        bob.send(&id(), "ann", "hello").await.unwrap();
    }
    let token = ann
        .list(history("bob", 1, ""))
        .await
        .unwrap()
        .older_page_token;
    let mut other_order = history("bob", 1, &token);
    other_order.oldest_first = true;
    for wrong in [
        history("cy", 1, &token),
        other_order,
        history("bob", 1, "garbage"),
    ] {
        refused(
            ann.list(wrong).await,
            Code::InvalidArgument,
            "WRONG_PAGE_TOKEN",
        );
    }
    let other_account = bob.list(history("ann", 1, &token)).await;
    refused(other_account, Code::InvalidArgument, "WRONG_PAGE_TOKEN");
    let other_call = ann.undelivered(1, &token).await;
    refused(other_call, Code::InvalidArgument, "WRONG_PAGE_TOKEN");
    // The size of the pages is no part of the query.
    assert!(ann.list(history("bob", 2, &token)).await.is_ok());
    let negative = ann.list(history("bob", -1, "")).await;
    refused(negative, Code::InvalidArgument, "INVALID_PAGE_SIZE");
}

#[tokio::test]
async fn history_with_nobody_is_refused_and_with_a_deleted_account_is_kept() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    refused(
        ann.list(history("nobody", 0, "")).await,
        Code::NotFound,
        "UNKNOWN_PEER",
    );
    refused(
        ann.list(history("", 0, "")).await,
        Code::InvalidArgument,
        "INVALID_USERNAME",
    );
    for unknown in [999_999, u64::MAX] {
        let mut by_id = history("", 0, "");
        by_id.peer_account_id = unknown;
        refused(ann.list(by_id).await, Code::NotFound, "UNKNOWN_PEER");
    }
    bob.send(&id(), "ann", "good-bye").await.unwrap();
    bob.delete(&id(), PASSWORD).await.unwrap();
    let kept = ann.list(history("bob", 0, "")).await.unwrap();
    assert_eq!(kept.messages.len(), 1);
    assert!(kept.messages[0].sender_deleted);
}

#[tokio::test]
async fn waiting_messages_are_fetched_in_pages_oldest_first() {
    let replica = Replica::start().await;
    let ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let sent = ann.send_many("bob", 25, 10).await;
    let mut got = Vec::new();
    let mut token = String::new();
    loop {
        let page = bob.undelivered(10, &token).await.unwrap();
        got.extend(cursors(&page.messages));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn page_of_long_messages_fits_into_what_clients_take() {
    let replica = Replica::start().await;
    let ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let sent = ann.send_many("bob", 300, 16_384).await;
    let first = bob.undelivered(500, "").await.unwrap();
    assert_eq!(cursors(&first.messages), sent[..64]);
    let mut newest = bob.list(history("ann", 500, "")).await.unwrap();
    assert_eq!(cursors(&newest.messages), sent[236..]);
    newest = bob
        .list(history("ann", 500, &newest.older_page_token))
        .await
        .unwrap();
    assert_eq!(cursors(&newest.messages), sent[172..236]);
}

#[tokio::test]
async fn replica_that_does_not_lead_names_the_leader_to_writers_and_readers() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    replica.lose_lead(Some(ReplicaId(2)));
    let statuses = [
        ann.create(&id(), "bob").await.unwrap_err(),
        ann.log_in_with(&id(), "ann", PASSWORD).await.unwrap_err(),
        ann.send(&id(), "ann", "hello").await.unwrap_err(),
        ann.list(history("ann", 0, "")).await.unwrap_err(),
        ann.log_out(&id()).await.unwrap_err(),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::FailedPrecondition);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "NOT_LEADER");
        assert_eq!(info.metadata["leader_id"], "2");
        assert_eq!(info.metadata["leader_address"], "localhost:5002");
    }
    replica.lose_lead(None);
    let status = ann.send(&id(), "ann", "hello").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "NO_LEADER");
    assert!(status.get_details_retry_info().is_some());
}

#[tokio::test]
async fn read_waits_for_what_another_leader_may_have_acknowledged_and_for_no_write_under_way() {
    let (applied, receiver) = watch::channel(4);
    let (proposals, _driver) = proposals::queue(1);
    let mut handle = Handle::leading(proposals, watch::channel(Arc::new(leading())).1);
    handle.applied = receiver;
    let lease = Arc::clone(&handle.lease);
    lease.set(None, Lsn(5));
    lease.set(Some(Time(u64::MAX)), Lsn(5));

    let reader = handle.clone();
    let read = tokio::spawn(async move { reader.read().await.map(drop) });
    tokio::task::yield_now().await;
    assert!(!read.is_finished());
    applied.send_replace(5);
    read.await.unwrap().unwrap();

    lease.set(Some(Time(u64::MAX)), Lsn(9));
    tokio::select! {
        biased;
        permit = handle.read() => permit.unwrap().confirm().unwrap(),
        () = std::future::ready(()) => panic!("it waits for what nobody was told of"),
    }
}

#[tokio::test]
async fn messages_whose_requests_are_forgotten_are_acknowledged_all_the_same() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let ids: Vec<String> = (0..5).map(|_| id()).collect();
    for id in &ids {
        ann.send(id, "ann", "hello").await.unwrap();
    }
    // So many that those are indexed.
    replica.person("bob").await;
    ann.send_many("bob", 2_100, 1).await;
    // As if a million entries had come since.
    let store = rusqlite::Connection::open(replica.dir.path().join("tercet.db")).unwrap();
    store.execute("DELETE FROM requests", []).unwrap();
    let request = |request_id: &str, ids: &[String]| v1::AcknowledgeMessagesRequest {
        request_id: request_id.to_owned(),
        message_ids: ids.to_vec(),
    };
    let request_id = id();
    let unknown = id();
    let some = [ids[3].clone(), unknown.clone(), ids[0].clone()];
    for _ in 0..2 {
        let request = ann.by(request(&request_id, &some));
        let answer = ann.chat.acknowledge_messages(request).await.unwrap();
        assert_eq!(answer.into_inner().acknowledged, 2);
    }
    let request = ann.by(request(&id(), &[unknown]));
    let answer = ann.chat.acknowledge_messages(request).await.unwrap();
    assert_eq!(answer.into_inner().acknowledged, 0);
    let request = ann.by(v1::FetchUndeliveredRequest::default());
    let left = ann.chat.fetch_undelivered(request).await.unwrap();
    let left = left.into_inner().messages.into_iter();
    let left: Vec<String> = left.map(|message| message.message_id).collect();
    assert_eq!(left, [&ids[1..3], &ids[4..]].concat());
}
