//! API tokens, end to end.

use tokio::time::timeout;
use v1::ApiScope::{Account, Read, Send};

use super::*;

impl Client {
    async fn token(
        &mut self,
        request_id: &str,
        name: &str,
        scopes: &[v1::ApiScope],
    ) -> Result<v1::CreateApiTokenResponse, Status> {
        let request = self.by(v1::CreateApiTokenRequest {
            request_id: request_id.into(),
            name: name.into(),
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
            valid_days: 0,
        });
        Ok(self.chat.create_api_token(request).await?.into_inner())
    }

    /// A client of the same account with a new API token.
    async fn bot(&mut self, name: &str, scopes: &[v1::ApiScope]) -> Client {
        let made = self.token(&id(), name, scopes).await.unwrap();
        Client {
            token: made.token,
            ..self.clone()
        }
    }

    async fn revoke(&mut self, name: &str) -> Result<(), Status> {
        let request = self.by(v1::RevokeApiTokenRequest {
            request_id: id(),
            name: name.into(),
        });
        self.chat.revoke_api_token(request).await.map(|_| ())
    }

    async fn accounts(&mut self) -> Result<(), Status> {
        let request = self.by(v1::ListAccountsRequest::default());
        self.chat.list_accounts(request).await.map(|_| ())
    }
}

#[tokio::test]
async fn a_token_does_what_its_scopes_allow_and_nothing_else() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut reader = ann.bot("reader", &[Read]).await;
    let mut sender = ann.bot("sender", &[Send]).await;
    let mut keeper = ann.bot("keeper", &[Account, Read]).await;
    reader.accounts().await.unwrap();
    sender.send(&id(), "ann", "hello").await.unwrap();
    refused(
        sender.accounts().await,
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
    let sent = reader.send(&id(), "ann", "hello").await.unwrap_err();
    assert_eq!(
        sent.get_details_error_info().unwrap().metadata["scope"],
        "send"
    );
    refused(
        reader.revoke("sender").await,
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
    keeper.revoke("sender").await.unwrap();
    refused(
        sender.send(&id(), "ann", "hello").await,
        Code::Unauthenticated,
        "INVALID_TOKEN",
    );
    for mut bot in [reader, keeper] {
        let changed = bot.change_password(&id(), PASSWORD, "battery staple").await;
        refused(changed, Code::PermissionDenied, "SESSION_NEEDED");
        let made = bot.token(&id(), "more", &[Account]).await;
        refused(made, Code::PermissionDenied, "SESSION_NEEDED");
        let deleted = bot.delete(&id(), PASSWORD).await;
        refused(deleted, Code::PermissionDenied, "SESSION_NEEDED");
        let ended = bot.end_others(&id()).await;
        refused(ended, Code::PermissionDenied, "SESSION_NEEDED");
    }
}

#[tokio::test]
async fn a_token_whose_making_is_retried_is_the_same_and_is_listed_without_it() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let request_id = id();
    let first = ann.token(&request_id, "bot", &[Send, Read]).await.unwrap();
    let again = ann.token(&request_id, "bot", &[Send, Read]).await.unwrap();
    assert_eq!(first, again);
    let other = ann.token(&request_id, "bot", &[Send]).await;
    refused(other, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let taken = ann.token(&id(), "bot", &[Read]).await;
    refused(taken, Code::AlreadyExists, "TOKEN_NAME_TAKEN");
    let request = ann.by(v1::ListApiTokensRequest {});
    let listed = ann
        .chat
        .list_api_tokens(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.api_tokens, [first.api_token.unwrap()]);
    assert_eq!(listed.api_tokens[0].scopes, [Read as i32, Send as i32]);
    for (name, scopes, reason) in [
        ("", &[Read][..], "INVALID_TOKEN_NAME"),
        ("a\nb", &[Read], "INVALID_TOKEN_NAME"),
        ("bot 2", &[], "INVALID_SCOPES"),
        ("bot 2", &[v1::ApiScope::Unspecified], "INVALID_SCOPES"),
    ] {
        let made = ann.token(&id(), name, scopes).await;
        refused(made, Code::InvalidArgument, reason);
    }
}

#[tokio::test]
async fn a_stream_of_a_token_outlives_the_other_sessions_and_ends_with_the_token() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bot = ann.bot("bot", &[Read]).await;
    let request = bot.by(v1::SubscribeRequest::default());
    let mut stream = bot.chat.subscribe(request).await.unwrap().into_inner();
    stream.message().await.unwrap().expect("it is open");
    ann.end_others(&id()).await.unwrap();
    ann.send(&id(), "ann", "hello").await.unwrap();
    let event = stream.message().await.unwrap().expect("an event");
    assert!(matches!(
        event.event,
        Some(v1::subscribe_response::Event::Message(_))
    ));
    ann.revoke("bot").await.unwrap();
    let end = timeout(Duration::from_secs(20), stream.message()).await;
    refused(end.expect("an end"), Code::Unauthenticated, "INVALID_TOKEN");
}
