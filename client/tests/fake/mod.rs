//! A pretend cluster for the tests of the library and of the command line: replicas that share one world in memory,
//! each on a port and a runtime of its own. Dropping a replica ends its connections, as a kill does.

mod chat;
mod cluster;
mod replica;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tercet_proto::v1::Message;
use tercet_proto::v1::SubscribeResponse;
use tercet_proto::v1::chat_service_server::ChatServiceServer;
use tercet_proto::v1::cluster_service_server::ClusterServiceServer;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use tonic::transport::server::TcpIncoming;

use tercet_client::{Replica, Replicas};

/// A fault of the next message that is sent.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The message is not carried out; the answer is UNAVAILABLE.
    UnavailableBefore,
    /// The message is carried out; the answer is UNKNOWN.
    UnknownAfter,
    /// The message is not carried out. The lead moves to this replica first, and the answer names it.
    Transfer(u32),
    /// The message is not carried out; the answer asks for a pause of this many milliseconds.
    Busy(u64),
    /// The message is not carried out: the disk is full.
    Full,
    /// The message is not carried out: the token has ended.
    Expired,
    /// The message is carried out a second time under another id, as by a server that lost its table of requests.
    AppliedTwice,
    /// The message is acknowledged, but not stored.
    Lost,
}

type Subscriber = mpsc::UnboundedSender<Result<SubscribeResponse, Status>>;

#[derive(Default)]
pub struct World {
    pub leader: u32,
    pub epoch: u64,
    pub addresses: BTreeMap<u32, String>,
    /// The cluster and its replicas as IsMaster names them; none at first.
    pub cluster_id: String,
    pub roster: BTreeMap<u32, String>,
    /// Name → password.
    pub accounts: BTreeMap<String, String>,
    /// Token → name.
    pub tokens: BTreeMap<String, String>,
    pub messages: Vec<Message>,
    pub cursor: u64,
    pub faults: VecDeque<Fault>,
    /// The request ids of messages, in order of arrival, with retries.
    pub sends_seen: Vec<String>,
    /// The number of streams of messages that were opened, and the sizes of the batches.
    pub streams_seen: usize,
    pub batches_seen: Vec<usize>,
    /// The number of batches to come whose answer is lost, after the messages were handled.
    pub batch_answers_lost: usize,
    /// Whether the replicas have no streams of messages, as those of an earlier version.
    pub without_streams: bool,
    pub subscribers: Vec<(String, Subscriber)>,
    /// The cursors that Subscribe was called with; `None` for a start now.
    pub subscribed_from: Vec<Option<u64>>,
    /// The number of events before a resumed cursor that are sent again.
    pub overlap: u64,
    /// The hash of each replica.
    pub hashes: BTreeMap<u32, String>,
    /// The replicas that were declared dead at each replica.
    pub declared_dead: BTreeMap<u32, Vec<u32>>,
    /// The time in answers of IsMaster; 0 for none, as of an earlier version. Then no id is too old.
    pub time_ms: i64,
}

impl World {
    /// Tells whether a request id was made more than two minutes ago.
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
    /// Starts replicas 1 to `count`; 1 leads.
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
        let replica = replica::FakeReplica {
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

    /// Ends a replica and its connections. The lead goes to `next`.
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
        let event = replica::message_event(&message);
        for (name, subscriber) in &self.subscribers {
            if name == recipient {
                let _ = subscriber.send(Ok(event.clone()));
            }
        }
        message
    }
}
