//! A pretend cluster for the library's tests: replicas that share one world in memory, each on
//! a port and a runtime of its own, so that dropping one ends its connections as a kill does.

mod services;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tercet_proto::v1::chat_service_server::ChatServiceServer;
use tercet_proto::v1::cluster_service_server::ClusterServiceServer;
use tercet_proto::v1::{Message, SubscribeResponse};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use tonic::transport::server::TcpIncoming;

use tercet_client::{Replica, Replicas};

/// What the next message sent does instead of answering well.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Not carried out, and UNAVAILABLE.
    UnavailableBefore,
    /// Carried out, and UNKNOWN.
    UnknownAfter,
    /// Not carried out; the lead moves to this replica first, and the answer names it.
    Transfer(u32),
    /// Not carried out; asks to come again after this many milliseconds.
    Busy(u64),
    /// Not carried out: the disk is full, or the token is good no more.
    Full,
    Expired,
    /// Carried out under another id: what a server that loses the request table would do.
    AppliedTwice,
    /// Acknowledged, but not stored.
    Lost,
}

type Subscriber = mpsc::UnboundedSender<Result<SubscribeResponse, Status>>;

#[derive(Default)]
pub struct World {
    pub leader: u32,
    pub epoch: u64,
    pub addresses: BTreeMap<u32, String>,
    /// What IsMaster tells of who belongs to the cluster; nothing at first.
    pub cluster_id: String,
    pub roster: BTreeMap<u32, String>,
    /// Name → password.
    pub accounts: BTreeMap<String, String>,
    /// Token → name.
    pub tokens: BTreeMap<String, String>,
    pub messages: Vec<Message>,
    pub cursor: u64,
    pub faults: VecDeque<Fault>,
    /// Request ids of messages, in order of arrival, retries too.
    pub sends_seen: Vec<String>,
    /// Streams of messages that were opened; sizes of the batches.
    pub streams_seen: usize,
    pub batches_seen: Vec<usize>,
    /// The answers of so many batches to come are lost, after the messages were handled.
    pub batch_answers_lost: usize,
    /// As a replica of an earlier version: it has no streams of messages.
    pub without_streams: bool,
    pub subscribers: Vec<(String, Subscriber)>,
    /// Cursors that Subscribe was called with (`None` for from now).
    pub subscribed_from: Vec<Option<u64>>,
    /// Send this many events again before a resumed cursor.
    pub overlap: u64,
    /// LSNs that GetStateHash does not know; the hash of each replica.
    pub hashes: BTreeMap<u32, String>,
    /// Whom each replica calls dead because an operator said so.
    pub declared_dead: BTreeMap<u32, Vec<u32>>,
    /// The time that IsMaster says; 0 is none, as of an earlier version. Then ids are of any age.
    pub time_ms: i64,
}

impl World {
    /// Whether a request id was made more than two minutes before.
    fn is_too_old(&self, request_id: &str) -> bool {
        let id: uuid::Uuid = request_id.parse().expect("a UUID");
        let made_ms = (id.as_u128() >> 80) as i64;
        self.time_ms > 0 && made_ms < self.time_ms - 120_000
    }
}

pub struct Fake {
    pub world: Arc<Mutex<World>>,
    running: BTreeMap<u32, Running>,
}

struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Fake {
    /// Replicas 1 to `count`; 1 leads.
    pub fn start(count: u32) -> Fake {
        let mut fake = Fake {
            world: Arc::new(Mutex::new(World {
                leader: 1,
                epoch: 1,
                ..World::default()
            })),
            running: BTreeMap::new(),
        };
        for id in 1..=count {
            fake.start_replica(id);
        }
        fake
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn start_replica(&mut self, id: u32) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        self.world().addresses.insert(id, address.to_string());
        let (stop, stopped) = oneshot::channel::<()>();
        let replica = services::FakeReplica {
            id,
            world: self.world.clone(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let server = tonic::transport::Server::builder()
                    .add_service(ChatServiceServer::new(replica.clone()))
                    .add_service(ClusterServiceServer::new(replica))
                    .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
                tokio::select! {
                    ended = server => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let (stop, thread) = (Some(stop), Some(thread));
        self.running.insert(id, Running { stop, thread });
    }

    /// Ends a replica and its connections; the lead goes to `next`.
    pub fn kill(&mut self, id: u32, next: u32) {
        self.lead(next);
        self.running.remove(&id);
    }

    pub fn lead(&self, id: u32) {
        let mut world = self.world();
        world.leader = id;
        world.epoch += 1;
        world.subscribers.clear(); // ends their streams
    }

    pub fn list(&self, ids: &[u32]) -> Replicas {
        let world = self.world();
        let parts = ids
            .iter()
            .map(|id| Replica {
                id: *id,
                address: world.addresses[id].clone(),
            })
            .collect();
        Replicas::from_parts(parts).unwrap()
    }
}

impl World {
    pub fn store(&mut self, id: &str, sender: &str, recipient: &str, body: &str) -> Message {
        self.cursor += 1;
        let message = Message {
            message_id: id.to_owned(),
            cursor: self.cursor,
            sender: sender.to_owned(),
            recipient: recipient.to_owned(),
            body: body.to_owned(),
            sent_at_ms: i64::try_from(self.cursor).unwrap(),
            ..Message::default()
        };
        self.messages.push(message.clone());
        let event = services::message_event(&message);
        for (name, subscriber) in &self.subscribers {
            if name == recipient {
                let _ = subscriber.send(Ok(event.clone()));
            }
        }
        message
    }
}
