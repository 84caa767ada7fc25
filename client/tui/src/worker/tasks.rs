//! Tasks of a session beside the subscription: what it does not bring, the sends in their order, and the cluster.

use std::time::Duration;

use tercet_client::{Client, Error, MessageChange, Role, Uuid};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::Report;
use crate::model::{ClusterState, Effect, Net, ReplicaState, SendFailure};

/// The time between two looks at the cluster: while nobody looks, and while somebody does.
const SELDOM: Duration = Duration::from_secs(5);
const OFTEN: Duration = Duration::from_millis(500);
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before something is tried again.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// The messages of a page that waited for the account.
const WAITING_PAGE: u32 = 200;
/// The conversations of a page.
const LISTED: u32 = 1_000;

/// Loads what a subscription does not bring: the conversations, and the messages that waited.
pub(super) async fn load(client: Client, reports: mpsc::UnboundedSender<Report>) {
    list(client.clone(), reports.clone()).await;
    let net = |net| reports.send(Report::Net(net)).is_ok();
    let mut token = String::new();
    loop {
        match client.fetch_undelivered(WAITING_PAGE, &token).await {
            Ok(page) => {
                token = page.next_page_token;
                if !page.messages.is_empty() && !net(Net::Waiting(page.messages)) {
                    return;
                }
                if token.is_empty() {
                    break;
                }
            }
            Err(error) if error.may_pass() => sleep(PAUSE).await,
            Err(error) => {
                net(Net::Done(Err(format!("no waiting messages: {error}"))));
                break;
            }
        }
    }
}

/// Loads the list of conversations.
pub(super) async fn list(client: Client, reports: mpsc::UnboundedSender<Report>) {
    let (mut token, mut listed, mut cursor) = (String::new(), Vec::new(), None);
    loop {
        match client.list_conversations(LISTED, &token).await {
            Ok(page) => {
                listed.extend(page.conversations);
                // Later pages may lack messages that came after the first page.
                cursor.get_or_insert(page.cursor);
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            Err(error) if error.may_pass() => sleep(PAUSE).await,
            Err(error) => {
                let why = format!("no list of conversations: {error}");
                let _ = reports.send(Report::Net(Net::Done(Err(why))));
                return;
            }
        }
    }
    let cursor = cursor.unwrap_or(0);
    let _ = reports.send(Report::Net(Net::Conversations { listed, cursor })); // the chat may have ended
}

/// Moves markers one after the other, each until it is known where it is. To ask twice does no harm.
pub(super) async fn mark_in_order(
    client: Client,
    mut queued: mpsc::UnboundedReceiver<Effect>,
    reports: mpsc::UnboundedSender<Report>,
) {
    while let Some(effect) = queued.recv().await {
        let (name, result) = loop {
            let (name, answer) = match &effect {
                Effect::MarkRead { name, seq } => (name, client.mark_read(name, Some(*seq)).await),
                Effect::MarkUnread { name, seq } => (name, client.mark_unread(name, *seq).await),
                _ => return,
            };
            match answer {
                Ok(marked) => break (name, Ok((marked.read_seq, marked.cursor))),
                Err(error) if error.may_pass() => sleep(PAUSE).await,
                Err(error) => break (name, Err(error.to_string())),
            }
        };
        let name = name.clone();
        let _ = reports.send(Report::Net(Net::Marked { name, result })); // the chat may have ended
    }
}

/// Sends messages and their changes one after the other, each until it is known what became of it: with its id, so that it is stored once.
pub(super) async fn send_in_order(
    client: Client,
    mut queued: mpsc::UnboundedReceiver<Effect>,
    reports: mpsc::UnboundedSender<Report>,
) {
    while let Some(effect) = queued.recv().await {
        let net = match effect {
            Effect::Send {
                id,
                to,
                text,
                reply_to,
            } => {
                let result = send(&client, &id, &to, &text, reply_to).await;
                Net::Sent { id, to, result }
            }
            Effect::Edit {
                to: name,
                seq,
                text,
            } => {
                let edit = || client.edit_message(&name, seq, &text);
                let result = change("not changed", edit).await;
                Net::Change { name, seq, result }
            }
            Effect::Delete { to: name, seq } => {
                let delete = || client.delete_message(&name, seq);
                let result = change("not deleted", delete).await;
                Net::Change { name, seq, result }
            }
            Effect::React {
                to: name,
                seq,
                reaction,
                remove,
            } => {
                let react = || client.set_reaction(&name, seq, &reaction, remove);
                let result = change("no reaction", react).await;
                Net::Change { name, seq, result }
            }
            _ => continue,
        };
        if reports.send(Report::Net(net)).is_err() {
            return;
        }
    }
}

/// Asks for a change of a message until it is known what became of it. To ask twice does no harm.
async fn change<F>(what: &str, ask: impl Fn() -> F) -> Result<(), String>
where
    F: Future<Output = Result<MessageChange, Error>>,
{
    loop {
        match ask().await {
            Ok(_) => return Ok(()),
            Err(error) if error.may_pass() => sleep(PAUSE).await,
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
}

async fn send(
    client: &Client,
    id: &str,
    to: &str,
    text: &str,
    reply_to: u64,
) -> Result<tercet_client::SentMessage, SendFailure> {
    let failure = |why: String| SendFailure {
        why,
        is_unknown: false,
    };
    let request_id: Uuid = id.parse().map_err(|_| failure("it has no id".to_owned()))?;
    loop {
        match client.send_reply_as(request_id, to, text, reply_to).await {
            Ok(sent) => return Ok(sent),
            Err(error) if error.may_pass() => sleep(PAUSE).await,
            Err(error) => return Err(failure(error.to_string())),
        }
    }
}

/// Reports the state of the cluster whenever it has changed.
pub(super) async fn watch_cluster(
    client: Client,
    mut often: watch::Receiver<bool>,
    reports: mpsc::UnboundedSender<Report>,
) {
    let mut last = None;
    loop {
        if let Ok(view) = client
            .with_deadline(STATUS_TIMEOUT)
            .leader_view(STATUS_TIMEOUT)
            .await
        {
            let state = state_of(&view.status);
            if last.as_ref() != Some(&state) {
                if reports
                    .send(Report::Net(Net::Cluster(state.clone())))
                    .is_err()
                {
                    return;
                }
                last = Some(state);
            }
        }
        let is_whole = last
            .as_ref()
            .is_none_or(|state: &ClusterState| state.members() == state.replicas.len());
        let pause = if *often.borrow_and_update() {
            OFTEN
        } else if is_whole {
            SELDOM
        } else {
            SELDOM / 5
        };
        if let Ok(Err(_)) = timeout(pause, often.changed()).await {
            return;
        }
    }
}

fn state_of(status: &tercet_client::Status) -> ClusterState {
    let replicas = status.replicas.iter().map(|one| {
        let leads = one.replica_id == status.replica_id;
        let lsn = if leads {
            status.last_lsn
        } else {
            one.matched_lsn
        };
        let role = match (leads, one.member) {
            (true, _) if status.role == Role::Leader => "leader",
            (_, true) => "backup",
            (_, false) if one.connected => "catching up",
            (_, false) => "away",
        };
        ReplicaState {
            id: one.replica_id,
            address: one.address.clone(),
            role: role.to_owned(),
            is_member: one.member,
            lsn,
            lag: status.last_lsn.saturating_sub(lsn),
        }
    });
    ClusterState {
        leader: status.replica_id,
        mode: status.mode.clone(),
        replicas: replicas.collect(),
    }
}
