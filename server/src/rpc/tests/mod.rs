//! The services over a real connection and a real store. In the driver's place stands a thread
//! that logs and applies each proposal at once.

mod accounts;
mod arbitrary;
mod cluster;
mod membership;
mod messages;
mod recover;
mod refusals;
mod rooms;
mod sends;
mod sessions;
mod stop;
mod subscribe;
mod tokens;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;
use tempfile::TempDir;
use tercet_core::{
    effect::Write,
    id::{Epoch, Incarnation, Lsn, ReplicaId, StoreId, WriteId},
    log::{Entry, Payload},
};
use tercet_proto::{
    log::Command,
    v1::{
        self, chat_service_client::ChatServiceClient, cluster_service_client::ClusterServiceClient,
    },
};
use tercet_store::{
    self as store, OpenOptions, WriteOp, Writer,
    command::COMMAND_VERSION,
    roster::{Member, Roster},
    search::SearchThread,
};
use tercet_types::fair::Key;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{ServeError, Services, serve};
use crate::{
    auth::{
        SessionCache,
        admin::AdminToken,
        limits::{RateLimits, Rates},
        password::{Cost, Passwords},
    },
    checkpoints::Checkpoints,
    cluster_clock::ClusterClock,
    fanout::{Ended, Fanout},
    handle::{Declaration, Handle, ReplicaStatus, Role},
    programs::Programs,
    proposals::Proposal,
    proposals::{self, Proposals, Proposed},
    reply::{Reply, Unavailability},
    shutdown::stopper,
};

const EPOCH: Epoch = Epoch {
    number: 1 << 24,
    proposer: ReplicaId(1),
};
const PASSWORD: &str = "correct horse";
const ADMIN_TOKEN: &str = "of the operator";

/// Replica 1 of three, leading.
struct Replica {
    address: SocketAddr,
    lease: Arc<crate::handle::Lease>,
    status: watch::Sender<Arc<ReplicaStatus>>,
    fanout: Fanout,
    sessions: SessionCache,
    /// While set, writes are done and their proposers not told.
    mute: Arc<AtomicBool>,
    /// While set, what was applied is published a little later, as on a busy machine.
    late: Arc<AtomicBool>,
    proposals: Proposals,
    /// The declarations that the driver would get.
    declarations: mpsc::Receiver<Declaration>,
    stop_requested: mpsc::Receiver<()>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
    dir: TempDir,
}

struct Driver {
    writer: Writer,
    proposals: Proposed,
    status: watch::Sender<Arc<ReplicaStatus>>,
    fanout: Fanout,
    sessions: SessionCache,
    checkpoints: Checkpoints,
    clock: ClusterClock,
    mute: Arc<AtomicBool>,
    late: Arc<AtomicBool>,
    last: u64,
}

impl Driver {
    fn run(mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        while runtime.block_on(self.proposals.ready()) {
            let batch = self.proposals.take(usize::MAX);
            self.commit(batch);
        }
    }

    /// Commits a batch as the driver does: applied, then published, then answered.
    fn commit(&mut self, batch: Vec<Proposal>) {
        let (barred, batch) = batch
            .into_iter()
            .partition::<Vec<_>, _>(|proposal| proposal.reply.is_barred());
        for proposal in barred {
            proposal.reply.send(Err(Unavailability::InTransition));
        }
        let (commands, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|mut proposal| {
                proposal.command.stamp_ms = self.clock.now_ms();
                (proposal.command, proposal.reply)
            })
            .unzip();
        let entries: Vec<Entry> = (self.last + 1..)
            .zip(&commands)
            .map(|(lsn, command)| Entry {
                lsn: Lsn(lsn),
                epoch: EPOCH,
                payload: Payload::Command(encode(command)),
            })
            .collect();
        self.last += entries.len() as u64;
        let write = Write {
            id: WriteId(0),
            promised: None,
            truncate_from: None,
            entries: entries.clone(),
        };
        let ops = [WriteOp::Persist(write), WriteOp::Apply(entries)];
        let done = self.writer.execute(&ops).unwrap();
        for (lsn, snapshot) in done.snapshots {
            self.checkpoints.snapshot(lsn, snapshot);
        }
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            status.last = Lsn(self.last);
            status.commit = Lsn(self.last);
            status.applied = Lsn(self.last);
            if let Some(roster) = done.roster {
                status.roster = roster;
            }
        });
        if self.late.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
        for applied in &done.applied {
            self.sessions.forget(&applied.events);
            self.fanout.publish(&applied.events);
        }
        if self.mute.load(Ordering::SeqCst) {
            return;
        }
        for (reply, applied) in replies.into_iter().zip(done.applied) {
            reply.send(Ok((Lsn(applied.lsn), applied.outcome)));
        }
    }
}

/// As the driver of a leader writes it into the log.
fn encode(command: &Command) -> Bytes {
    let mut command = command.clone();
    command.version = COMMAND_VERSION;
    command.encode_to_vec().into()
}

fn leading() -> ReplicaStatus {
    ReplicaStatus {
        id: ReplicaId(1),
        incarnation: Incarnation(11),
        role: Role::Leader,
        leader: Some(ReplicaId(1)),
        epoch: EPOCH,
        config_lsn: Lsn::ZERO,
        members: vec![ReplicaId(1), ReplicaId(2)],
        member_stores: [(ReplicaId(1), StoreId(1)), (ReplicaId(2), StoreId(2))].into(),
        dead: Default::default(),
        mode: "available",
        view_min: 1,
        cluster: Some(7),
        last: Lsn::ZERO,
        commit: Lsn::ZERO,
        applied: Lsn::ZERO,
        firm: true,
        peers: vec![(ReplicaId(2), true, Lsn(3))],
        stores: [(ReplicaId(1), StoreId(1)), (ReplicaId(2), StoreId(2))].into(),
        waiting_for: Vec::new(),
        declared_dead: Vec::new(),
        waiting: String::new(),
        serving: true,
        disk_full: false,
        cleanups_left: false,
        disk_stalled_seconds: 0,
        disk_slow_ms: 0,
        slow_disks: Vec::new(),
        storage: Default::default(),
        roster: roster(),
    }
}

fn roster() -> Roster {
    Roster::configured((1..=3).map(|id| {
        let member = Member {
            address: format!("localhost:500{id}"),
            peer_address: format!("localhost:600{id}"),
        };
        (ReplicaId(id), member)
    }))
}

impl Replica {
    async fn start() -> Replica {
        Self::start_with(Duration::from_secs(3600)).await
    }

    async fn start_with(session_ttl: Duration) -> Replica {
        let dir = TempDir::new().unwrap();
        let opened = store::open(&OpenOptions {
            accept_missing_wal: false,
            dir: dir.path().to_owned(),
            replica: ReplicaId(1),
            new_store: StoreId(1),
        })
        .unwrap();
        let (proposals, proposed) = proposals::queue(1024);
        let (status_sender, status) = watch::channel(Arc::new(leading()));
        let fanout = Fanout::new();
        let sessions = SessionCache::new();
        let checkpoints = Checkpoints::new().unwrap();
        let clock = ClusterClock::new();
        let mute = Arc::new(AtomicBool::new(false));
        let late = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            writer: opened.writer,
            proposals: proposed,
            status: status_sender.clone(),
            fanout: fanout.clone(),
            sessions: sessions.clone(),
            checkpoints: checkpoints.clone(),
            clock: clock.clone(),
            mute: Arc::clone(&mute),
            late: Arc::clone(&late),
            last: 0,
        };
        thread::spawn(move || driver.run());
        let cost = Cost {
            memory_kib: 8,
            passes: 1,
        };
        let (declared, declarations) = mpsc::channel(1);
        let handle_status = status.clone();
        let mut handle = Handle::leading(proposals.clone(), status);
        handle.declarations = declared;
        let lease = Arc::clone(&handle.lease);
        let (stopper, stop_requested) = stopper();
        let services = Services {
            handle,
            readers: opened.readers,
            search: SearchThread::start(dir.path(), opened.store).unwrap(),
            programs: Programs::start().unwrap(),
            fanout: fanout.clone(),
            serving: super::serving(handle_status.clone()),
            sessions: sessions.clone(),
            checkpoints,
            passwords: Passwords::new(cost).unwrap(),
            limits: RateLimits::new(Rates::default()),
            admin: AdminToken::new(Some(ADMIN_TOKEN)),
            session_ttl,
            clock: clock.clone(),
            stopper,
            connections: crate::net::Limits::new(1_024, None),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, services, async {
            let _ = stopped.await;
        }));
        Replica {
            address,
            status: status_sender,
            lease,
            fanout,
            sessions,
            mute,
            late,
            proposals,
            declarations,
            stop_requested,
            stop: Some(stop),
            served,
            dir,
        }
    }

    fn set_status(&self, change: impl FnOnce(&mut ReplicaStatus)) {
        self.status
            .send_modify(|status| change(Arc::make_mut(status)));
    }

    /// Gives up the lead as the driver does when another replica took over, or when none is known to lead.
    fn lose_lead(&self, leader: Option<ReplicaId>) {
        self.lease.set(None, Lsn::ZERO);
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            status.serving = false;
            status.role = Role::Backup;
            status.leader = leader;
        });
        self.sessions.clear();
        self.fanout.close_all(Ended::LeadLost);
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address))
            .unwrap()
            .tcp_nodelay(true)
            .connect()
            .await
            .unwrap()
    }

    async fn cluster(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel().await)
    }

    /// A client without a session.
    async fn client(&self) -> Client {
        Client {
            chat: ChatServiceClient::new(self.channel().await),
            token: String::new(),
            account_id: 0,
        }
    }

    /// An account with a session.
    async fn person(&self, username: &str) -> Client {
        let mut client = self.client().await;
        client.account_id = client.create(&id(), username).await.unwrap();
        client.log_in(username).await;
        client
    }
}

/// One person's connection and session.
#[derive(Clone)]
struct Client {
    chat: ChatServiceClient<Channel>,
    token: String,
    account_id: u64,
}

impl Client {
    /// A request in this session.
    fn by<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }

    async fn create(&mut self, request_id: &str, username: &str) -> Result<u64, Status> {
        let request = v1::CreateAccountRequest {
            request_id: request_id.into(),
            username: username.into(),
            password: PASSWORD.into(),
        };
        let created = self.chat.create_account(request).await?;
        Ok(created.into_inner().account_id)
    }

    async fn log_in_with(
        &mut self,
        request_id: &str,
        username: &str,
        password: &str,
    ) -> Result<v1::LoginResponse, Status> {
        let request = v1::LoginRequest {
            request_id: request_id.into(),
            username: username.into(),
            password: password.into(),
            label: "a test".into(),
        };
        Ok(self.chat.login(request).await?.into_inner())
    }

    async fn log_in(&mut self, username: &str) {
        let opened = self.log_in_with(&id(), username, PASSWORD).await.unwrap();
        self.token = opened.token;
    }

    async fn log_out(&mut self, request_id: &str) -> Result<(), Status> {
        let request = self.by(v1::LogoutRequest {
            request_id: request_id.into(),
        });
        self.chat.logout(request).await.map(|_| ())
    }

    async fn end_others(&mut self, request_id: &str) -> Result<u64, Status> {
        let request = self.by(v1::EndOtherSessionsRequest {
            request_id: request_id.into(),
        });
        let ended = self.chat.end_other_sessions(request).await?;
        Ok(ended.into_inner().sessions_ended)
    }

    async fn change_password(
        &mut self,
        request_id: &str,
        old: &str,
        new: &str,
    ) -> Result<u64, Status> {
        let request = self.by(v1::ChangePasswordRequest {
            request_id: request_id.into(),
            old_password: old.into(),
            new_password: new.into(),
            revoke_api_tokens: false,
        });
        let changed = self.chat.change_password(request).await?;
        Ok(changed.into_inner().sessions_ended)
    }

    async fn delete(&mut self, request_id: &str, password: &str) -> Result<u64, Status> {
        let request = self.by(v1::DeleteAccountRequest {
            request_id: request_id.into(),
            password: password.into(),
        });
        let deleted = self.chat.delete_account(request).await?;
        Ok(deleted.into_inner().messages_dropped)
    }

    async fn send(
        &mut self,
        request_id: &str,
        recipient: &str,
        body: &str,
    ) -> Result<v1::SendMessageResponse, Status> {
        let request = self.by(v1::SendMessageRequest {
            request_id: request_id.into(),
            recipient: recipient.into(),
            body: body.into(),
            reply_to: 0,
        });
        Ok(self.chat.send_message(request).await?.into_inner())
    }

    /// Sends numbered messages, several at once; gives their cursors, ascending.
    async fn send_many(&self, recipient: &str, count: u64, body_bytes: usize) -> Vec<u64> {
        let mut cursors = Vec::new();
        let mut sending = tokio::task::JoinSet::new();
        for _ in 0..count {
            if sending.len() >= 64 {
                cursors.push(sending.join_next().await.unwrap().unwrap());
            }
            let (mut client, recipient) = (self.clone(), recipient.to_owned());
            let body = "x".repeat(body_bytes);
            sending.spawn(async move {
                let sent = client.send(&id(), &recipient, &body).await;
                sent.unwrap().cursor
            });
        }
        cursors.extend(sending.join_all().await);
        cursors.sort_unstable();
        cursors
    }
}

/// A new request id.
fn id() -> String {
    Uuid::now_v7().to_string()
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.unwrap_or_else(|| panic!("{status:?}")).reason
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, why: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (code, why));
}
