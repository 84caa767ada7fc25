//! Accounts and sessions, end to end.

use super::*;

#[tokio::test]
async fn account_is_created_once_and_a_retry_gets_the_first_answer() {
    let replica = Replica::start().await;
    let mut client = replica.client().await;
    let request_id = id();
    replica.mute.store(true, Ordering::SeqCst);
    let unknown = client.create(&request_id, "Ann").await;
    refused(unknown, Code::Unavailable, "OUTCOME_UNKNOWN");
    replica.mute.store(false, Ordering::SeqCst);
    let first = client.create(&request_id, "Ann").await.unwrap();
    assert_eq!(client.create(&request_id, "Ann").await.unwrap(), first);
    let taken = client.create(&id(), "aNN").await;
    refused(taken, Code::AlreadyExists, "NAME_TAKEN");
    let reused = client.create(&request_id, "bob").await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
    let violations = reused.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "request_id");
}

#[tokio::test]
async fn login_retried_with_its_request_id_gives_the_same_token_and_expiry() {
    let replica = Replica::start().await;
    let mut ann = replica.person("Ann").await;
    let request_id = id();
    let first = ann.log_in_with(&request_id, "ann", PASSWORD).await.unwrap();
    let retry = ann.log_in_with(&request_id, "ANN", PASSWORD).await.unwrap();
    assert_eq!(first, retry);
    assert_eq!(first.username, "Ann");
    assert_eq!(first.account_id, ann.account_id);
    let other = ann.log_in_with(&id(), "ann", PASSWORD).await.unwrap();
    assert_ne!(first.token, other.token);
    // A login's id under another account's name is another request.
    replica.person("bob").await;
    let reused = ann.log_in_with(&request_id, "bob", PASSWORD).await;
    refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn wrong_password_and_unknown_name_get_the_same_answer() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let wrong = ann.log_in_with(&id(), "ann", "x").await.unwrap_err();
    let unknown = ann.log_in_with(&id(), "bob", PASSWORD).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    assert_eq!(reason(&wrong), "WRONG_CREDENTIALS");
    assert_eq!(wrong.code(), unknown.code());
    assert_eq!(wrong.message(), unknown.message());
    assert_eq!(wrong.details(), unknown.details());
}

#[tokio::test]
async fn logout_revokes_the_token_at_once_and_its_retry_gets_the_first_answer() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut elsewhere = ann.clone();
    elsewhere.log_in("ann").await;
    ann.send(&id(), "ann", "so the session is cached")
        .await
        .unwrap();
    let request_id = id();
    ann.log_out(&request_id).await.unwrap();
    let after = ann.send(&id(), "ann", "hello").await;
    refused(after, Code::Unauthenticated, "INVALID_TOKEN");
    ann.log_out(&request_id).await.unwrap();
    refused(
        ann.log_out(&id()).await,
        Code::Unauthenticated,
        "INVALID_TOKEN",
    );
    elsewhere.send(&id(), "ann", "hello").await.unwrap();
}

#[tokio::test]
async fn session_is_refused_once_it_has_expired() {
    let replica = Replica::start_with(Duration::ZERO).await;
    let mut ann = replica.person("ann").await;
    let late = ann.send(&id(), "ann", "hello").await;
    refused(late, Code::Unauthenticated, "EXPIRED_TOKEN");
}

#[tokio::test]
async fn forged_and_missing_tokens_are_refused() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let last = ann.token.pop().unwrap();
    ann.token.push(if last == 'A' { 'E' } else { 'A' });
    let forged = ann.send(&id(), "ann", "hello").await;
    refused(forged, Code::Unauthenticated, "INVALID_TOKEN");
    let missing = ann
        .chat
        .fetch_undelivered(v1::FetchUndeliveredRequest::default());
    refused(missing.await, Code::Unauthenticated, "INVALID_TOKEN");
}

#[tokio::test]
async fn deleting_an_account_asks_the_password_and_its_retry_gets_the_first_answer() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    for text in ["one", "two"] {
        ann.send(&id(), "bob", text).await.unwrap();
    }
    let wrong = bob.delete(&id(), "battery staple").await;
    refused(wrong, Code::Unauthenticated, "WRONG_CREDENTIALS");
    let request_id = id();
    assert_eq!(bob.delete(&request_id, PASSWORD).await.unwrap(), 2);
    assert_eq!(bob.delete(&request_id, PASSWORD).await.unwrap(), 2);
    let other = bob.delete(&id(), PASSWORD).await;
    refused(other, Code::Unauthenticated, "INVALID_TOKEN");
    let login = bob.log_in_with(&id(), "bob", PASSWORD).await;
    refused(login, Code::Unauthenticated, "WRONG_CREDENTIALS");
    let gone = ann.send(&id(), "bob", "three").await;
    refused(gone, Code::NotFound, "UNKNOWN_RECIPIENT");
}

#[tokio::test]
async fn ending_the_other_sessions_leaves_one_and_ends_what_the_others_have_open() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut phone = ann.clone();
    phone.log_in("ann").await;
    let request = phone.by(v1::SubscribeRequest::default());
    let mut stream = phone.chat.subscribe(request).await.unwrap().into_inner();
    stream.message().await.unwrap().expect("it begins");
    phone
        .send(&id(), "ann", "so the session is cached")
        .await
        .unwrap();
    let request_id = id();
    assert_eq!(ann.end_others(&request_id).await.unwrap(), 1);
    let ended = loop {
        match stream.message().await {
            Ok(event) => assert!(event.is_some(), "the stream ends with its reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&ended), "INVALID_TOKEN");
    let after = phone.send(&id(), "ann", "hello").await;
    refused(after, Code::Unauthenticated, "INVALID_TOKEN");
    let after = phone.end_others(&id()).await;
    refused(after, Code::Unauthenticated, "INVALID_TOKEN");
    // A retry gets the first answer, whoever logged in meanwhile, and ends nobody.
    phone.log_in("ann").await;
    assert_eq!(ann.end_others(&request_id).await.unwrap(), 1);
    phone.send(&id(), "ann", "hello").await.unwrap();
    assert_eq!(ann.end_others(&id()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_changed_password_is_the_only_one_and_ends_the_other_sessions() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut phone = ann.clone();
    phone.log_in("ann").await;
    phone
        .send(&id(), "ann", "so the session is cached")
        .await
        .unwrap();
    let (request_id, new) = (id(), "battery staple");
    replica.mute.store(true, Ordering::SeqCst);
    let unknown = ann.change_password(&request_id, PASSWORD, new).await;
    refused(unknown, Code::Unavailable, "OUTCOME_UNKNOWN");
    replica.mute.store(false, Ordering::SeqCst);
    // The retry cannot have the old password checked any more.
    let retried = ann.change_password(&request_id, PASSWORD, new).await;
    assert_eq!(retried.unwrap(), 1);
    let after = phone.send(&id(), "ann", "hello").await;
    refused(after, Code::Unauthenticated, "INVALID_TOKEN");
    ann.send(&id(), "ann", "this one stays").await.unwrap();
    let old = ann.log_in_with(&id(), "ann", PASSWORD).await;
    refused(old, Code::Unauthenticated, "WRONG_CREDENTIALS");
    phone.token = ann.log_in_with(&id(), "ann", new).await.unwrap().token;
    phone.send(&id(), "ann", "with the new one").await.unwrap();
    // Of another account's session the request id says nothing.
    let mut bob = replica.person("bob").await;
    let guessed = bob.change_password(&request_id, "guessed it", new).await;
    refused(guessed, Code::Unauthenticated, "WRONG_CREDENTIALS");
    let short = ann.change_password(&id(), new, "short").await.unwrap_err();
    assert_eq!(reason(&short), "INVALID_PASSWORD");
    let violations = short.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "new_password");
}

#[tokio::test]
async fn a_new_password_is_the_same_however_a_system_composes_it() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let composed = "caf\u{e9} noir";
    ann.change_password(&id(), PASSWORD, composed)
        .await
        .unwrap();
    let decomposed = "cafe\u{301} noir";
    ann.log_in_with(&id(), "ann", decomposed).await.unwrap();
    ann.change_password(&id(), decomposed, PASSWORD)
        .await
        .unwrap();
    ann.log_in_with(&id(), "ann", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn guesses_with_a_session_are_limited_as_those_of_a_login_are() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut reasons = Vec::new();
    for guess in 0..8 {
        let guess = format!("guess number {guess}");
        let changed = ann.change_password(&id(), &guess, "battery staple").await;
        let deleted = ann.delete(&id(), &guess).await;
        reasons.push(reason(&changed.unwrap_err()));
        reasons.push(reason(&deleted.unwrap_err()));
    }
    assert_eq!(reasons[0], "WRONG_CREDENTIALS");
    assert_eq!(reasons[15], "RATE_LIMITED");
    // They are the same guesses: a login is refused as well, and so is the right password.
    let login = ann.log_in_with(&id(), "ann", PASSWORD).await;
    refused(login, Code::ResourceExhausted, "RATE_LIMITED");
    let right = ann.delete(&id(), PASSWORD).await;
    refused(right, Code::ResourceExhausted, "RATE_LIMITED");
}

#[tokio::test]
async fn recorded_answer_of_another_kind_is_not_given_to_an_ended_session() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let request_id = id();
    ann.send(&request_id, "ann", "hello").await.unwrap();
    ann.log_out(&id()).await.unwrap();
    let deletion = ann.delete(&request_id, PASSWORD).await;
    refused(deletion, Code::Unauthenticated, "INVALID_TOKEN");
    let logout = ann.log_out(&request_id).await;
    refused(logout, Code::Unauthenticated, "INVALID_TOKEN");
}

#[tokio::test]
async fn new_owner_of_a_name_sees_nothing_of_the_old_one() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    bob.send(&id(), "ann", "from the old bob").await.unwrap();
    let old_id = bob.account_id;
    bob.delete(&id(), PASSWORD).await.unwrap();
    let mut bob = replica.person("bob").await;
    assert_ne!(bob.account_id, old_id);
    let list = |peer: &str, id| v1::ListMessagesRequest {
        peer: peer.into(),
        peer_account_id: id,
        ..Default::default()
    };
    let request = bob.by(list("ann", 0));
    let history = bob.chat.list_messages(request).await.unwrap();
    assert_eq!(history.into_inner().messages, []);
    // Ann still reads what the old one sent, by its id.
    let request = ann.by(list("", old_id));
    let history = ann.chat.list_messages(request).await.unwrap().into_inner();
    assert_eq!(history.messages[0].body, "from the old bob");
    assert!(history.messages[0].sender_deleted);
    assert_eq!(history.peer_account_id, old_id);
}

#[tokio::test]
async fn accounts_are_listed_by_pattern_in_pages() {
    let replica = Replica::start().await;
    let mut ann = replica.person("Ann").await;
    for name in ["anton", "bob", "ANNA", "an"] {
        ann.create(&id(), name).await.unwrap();
    }
    let mut page = v1::ListAccountsRequest {
        pattern: "an*".into(),
        page_size: 3,
        ..Default::default()
    };
    let request = ann.by(page.clone());
    let first = ann.chat.list_accounts(request).await.unwrap().into_inner();
    let names = |page: &v1::ListAccountsResponse| -> Vec<String> {
        page.accounts
            .iter()
            .map(|one| one.username.clone())
            .collect()
    };
    assert_eq!(names(&first), ["an", "Ann", "ANNA"]);
    page.page_token = first.next_page_token;
    page.pattern = "AN*".into();
    let request = ann.by(page.clone());
    let second = ann.chat.list_accounts(request).await.unwrap().into_inner();
    assert_eq!(names(&second), ["anton"]);
    assert_eq!(second.next_page_token, "");
    page.pattern = "*".into();
    let request = ann.by(page.clone());
    let other = ann.chat.list_accounts(request).await;
    refused(other, Code::InvalidArgument, "WRONG_PAGE_TOKEN");
    page = v1::ListAccountsRequest::default();
    let request = ann.by(page.clone());
    let all = ann.chat.list_accounts(request).await.unwrap().into_inner();
    assert_eq!(all.accounts.len(), 5);
    page.pattern = "[a-b]*".into();
    let request = ann.by(page);
    let none = ann.chat.list_accounts(request).await.unwrap().into_inner();
    assert_eq!(none.accounts, []);
}

#[tokio::test]
async fn bad_input_is_told_with_its_field() {
    let replica = Replica::start().await;
    let mut client = replica.client().await;
    let status = client.create(&id(), "no spaces").await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "INVALID_USERNAME");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "username");
    let status = client.create("1", "ann").await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_REQUEST_ID");
}
