//! The list of an account's sessions, and the end of one of them.

use super::*;

impl Client {
    async fn sessions(&mut self) -> Result<Vec<v1::OpenSession>, Status> {
        let request = self.by(v1::ListSessionsRequest {});
        Ok(self
            .chat
            .list_sessions(request)
            .await?
            .into_inner()
            .sessions)
    }

    async fn end(&mut self, request_id: &str, session_id: &str) -> Result<(), Status> {
        let request = self.by(v1::EndSessionRequest {
            request_id: request_id.into(),
            session_id: session_id.into(),
        });
        self.chat.end_session(request).await.map(|_| ())
    }
}

#[tokio::test]
async fn one_of_several_sessions_is_ended_by_its_id_once() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut phone = ann.clone();
    phone.log_in("ann").await;
    replica.person("bob").await;
    let sessions = ann.sessions().await.unwrap();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert!(sessions.iter().all(|one| one.label == "a test"));
    let own: Vec<_> = sessions.iter().filter(|one| one.current).collect();
    assert_eq!(own.len(), 1);
    let other = sessions.iter().find(|one| !one.current).unwrap();
    assert!(other.created_at_ms > 0 && other.expires_at_ms > other.created_at_ms);

    let request_id = id();
    replica.mute.store(true, Ordering::SeqCst);
    let unknown = ann.end(&request_id, &other.session_id).await;
    refused(unknown, Code::Unavailable, "OUTCOME_UNKNOWN");
    replica.mute.store(false, Ordering::SeqCst);
    ann.end(&request_id, &other.session_id).await.unwrap();
    refused(
        phone.sessions().await,
        Code::Unauthenticated,
        "INVALID_TOKEN",
    );
    let again = ann.end(&id(), &other.session_id).await;
    refused(again, Code::NotFound, "UNKNOWN_SESSION");
    assert_eq!(ann.sessions().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_that_ends_itself_gets_the_first_answer_again() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let own = ann.sessions().await.unwrap().remove(0);
    let request_id = id();
    ann.end(&request_id, &own.session_id).await.unwrap();
    ann.end(&request_id, &own.session_id).await.unwrap();
    let other = ann.end(&id(), &own.session_id).await;
    refused(other, Code::Unauthenticated, "INVALID_TOKEN");
}

#[tokio::test]
async fn sessions_of_another_account_are_not_known() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let of_bob = bob.sessions().await.unwrap().remove(0);
    let ended = ann.end(&id(), &of_bob.session_id).await;
    refused(ended, Code::NotFound, "UNKNOWN_SESSION");
    bob.sessions().await.unwrap();
}

#[tokio::test]
async fn a_label_that_could_deceive_is_refused() {
    let replica = Replica::start().await;
    let ann = replica.person("ann").await;
    for label in ["a\nb", "\u{202e}b", &"x".repeat(65)] {
        let request = v1::LoginRequest {
            request_id: id(),
            username: "ann".into(),
            password: PASSWORD.into(),
            label: label.into(),
        };
        let opened = ann.chat.clone().login(request).await;
        refused(opened, Code::InvalidArgument, "INVALID_LABEL");
    }
}
