//! The tests of bytes that arrive on a link, well formed or not.

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use prost::Message as _;
use tempfile::TempDir;
use tercet_core::{
    Replica,
    config::{Limits, Mode, Settings, Timing},
    id::{ClusterId, Incarnation, Lsn, StoreId, Time},
    input::Input,
    log::Recovered,
};
use tercet_proto::peer::{
    self as wire, DescribeClusterRequest, DescribeLogRequest, ExchangeRequest,
    frame::Message as Word, peer_service_client::PeerServiceClient,
};
use tercet_store::{self as store, OpenOptions, roster::Roster};
use tokio::{net::TcpListener, runtime};
use tonic::{Code, Request, transport::Channel};

use super::{connection::DialError, *};
use crate::{replica_status, snapshots::SnapshotCache};

const ME: ReplicaId = ReplicaId(1);
const SECRET: &str = "a secret of sixteen bytes";

fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(cases),
        ..default
    }
}

fn number() -> impl Strategy<Value = u64> {
    let edges = vec![0, 1, 2, 1 << 62, i64::MAX as u64, 1 << 63, u64::MAX];
    prop_oneof![3 => 0..4_u64, 2 => select(edges), 1 => any::<u64>()]
}

fn epoch() -> impl Strategy<Value = Option<wire::Epoch>> {
    let epoch =
        (number(), 0..4_u32).prop_map(|(number, proposer)| wire::Epoch { number, proposer });
    prop::option::weighted(0.9, epoch)
}

fn identity() -> impl Strategy<Value = bytes::Bytes> {
    let whole = (1..4_u128).prop_map(|id| id.to_be_bytes().to_vec());
    prop_oneof![9 => whole, 1 => vec(any::<u8>(), 0..20)].prop_map(bytes::Bytes::from)
}

fn member() -> impl Strategy<Value = wire::Member> {
    let member = (0..5_u32, identity());
    member.prop_map(|(replica_id, store_id)| wire::Member {
        replica_id,
        store_id,
    })
}

fn logged() -> impl Strategy<Value = wire::Config> {
    (
        identity(),
        select(vec![0, 0, 0, 1, 2, u32::MAX]),
        vec(member(), 0..4),
        vec(member(), 0..3),
    )
        .prop_map(|(cluster_id, min_in_sync, members, dead)| wire::Config {
            cluster_id,
            min_in_sync,
            members,
            dead,
        })
}

fn entry() -> impl Strategy<Value = wire::Entry> {
    let command =
        vec(any::<u8>(), 0..50).prop_map(|bytes| wire::entry::Payload::Command(bytes.into()));
    let payload = prop_oneof![command, logged().prop_map(wire::entry::Payload::Config)];
    (number(), epoch(), prop::option::weighted(0.9, payload)).prop_map(|(lsn, epoch, payload)| {
        wire::Entry {
            lsn,
            epoch,
            payload,
        }
    })
}

fn last_entry() -> impl Strategy<Value = Option<wire::LastEntry>> {
    let last_entry = (epoch(), number()).prop_map(|(epoch, lsn)| wire::LastEntry { epoch, lsn });
    prop::option::weighted(0.9, last_entry)
}

fn vote_state() -> impl Strategy<Value = Option<wire::VoteState>> {
    let logged = (number(), prop::option::weighted(0.9, logged()));
    let logged = logged.prop_map(|(lsn, config)| wire::LoggedConfig { lsn, config });
    let vote_state = (
        (last_entry(), last_entry()),
        number(),
        vec(logged, 0..3),
        any::<bool>(),
        any::<bool>(),
    );
    let vote_state =
        vote_state.prop_map(
            |(tails, commit, configs, active, leaving)| wire::VoteState {
                last_entry: tails.0,
                trimmed: tails.1,
                commit,
                configs,
                active,
                leaving,
                stalled: leaving != active,
            },
        );
    prop::option::weighted(0.9, vote_state)
}

fn word() -> impl Strategy<Value = Word> {
    let numbers = (number(), number(), number(), number(), any::<bool>());
    let rest = (epoch(), epoch(), vec(entry(), 0..5), vote_state());
    (0..20_u8, numbers, rest).prop_map(|(kind, numbers, rest)| {
        let (lsn, sent_at, nonce, commit, active) = numbers;
        let (epoch, other, entries, vote_state) = rest;
        match kind {
            0 => Word::Ping(wire::Ping {
                promised: epoch,
                clock: sent_at,
            }),
            1 => Word::Appended(wire::Appended {
                epoch,
                matched: lsn,
                applied: commit,
                sent_at,
                nonce,
                active,
                unconfirmed: sent_at % 2 == 1,
                clock: sent_at,
            }),
            2 => Word::AppendMismatch(wire::AppendMismatch {
                epoch,
                retry_from: lsn,
                sent_at,
                nonce,
            }),
            3 => Word::Fenced(wire::Fenced { promised: epoch }),
            4 => Word::PreVote(wire::PreVote { round: nonce }),
            5 => Word::PreVoteReply(wire::PreVoteReply {
                round: nonce,
                promised: epoch,
                leader_id: lsn as u32,
                vote_state,
            }),
            6 => Word::Prepare(wire::Prepare {
                epoch,
                transferred_from: other,
            }),
            7 => Word::Promised(wire::Promised { epoch, vote_state }),
            8 => Word::Vetoed(wire::Vetoed { epoch }),
            9 => Word::Pull(wire::Pull { epoch, from: lsn }),
            10 => Word::Pulled(wire::Pulled {
                epoch,
                from: lsn,
                entries,
            }),
            11 => Word::LeadershipTransfer(wire::LeadershipTransfer { epoch }),
            12 => Word::Nominate(wire::Nominate { epoch }),
            19 => Word::Promising(wire::Promising { epoch }),
            17 => Word::Excused(wire::Excused { epoch }),
            18 => Word::Resigned(wire::Resigned { epoch }),
            13 => Word::Leave(wire::Leave {}),
            14 => Word::SnapshotNeeded(wire::SnapshotNeeded {
                epoch,
                lsn_min: lsn,
            }),
            _ => Word::Append(wire::Append {
                epoch,
                prev_lsn: lsn,
                prev_epoch: other,
                entries,
                commit,
                last: commit,
                config_lsn: commit,
                member: active,
                released: !active,
                sent_at,
                nonce,
            }),
        }
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    prop::option::weighted(0.95, word()).prop_map(|message| Frame { message })
}

fn replica() -> Replica {
    let settings = Settings {
        id: ME,
        store: StoreId(1),
        incarnation: Incarnation(1),
        roster: [ME, ReplicaId(2)].into(),
        mode: Mode::Available,
        copied: false,
        new_cluster: Some(ClusterId(1)),
        timing: Timing::default(),
        limits: Limits::default(),
        now: Time(0),
    };
    Replica::new(settings, Recovered::empty())
}

fn hello(id: u32) -> Hello {
    Hello {
        id: ReplicaId(id),
        store: StoreId(u128::from(id)),
        incarnation: Incarnation(1),
        cluster: None,
        active: false,
        dead: Default::default(),
        dead_by: tercet_core::id::Epoch::NONE,
        acknowledged: Default::default(),
    }
}

/// A hello of any bytes that are nearly right.
fn any_hello() -> impl Strategy<Value = wire::Hello> {
    let rest = (identity(), vec(member(), 0..4), epoch());
    (0..3_u32, identity(), number(), any::<bool>(), rest).prop_map(
        |(replica_id, store_id, incarnation, active, (cluster_id, dead, dead_by))| wire::Hello {
            replica_id,
            store_id,
            incarnation,
            cluster_id,
            active,
            address: at(2).address,
            peer_address: at(2).peer_address,
            acknowledged_lsn: incarnation,
            acknowledged_epoch: dead_by,
            acknowledged_by: dead.clone(),
            dead,
            dead_by,
            command_version: replica_id,
            wall_clock_us: incarnation as i64,
        },
    )
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn any_frame_is_refused_or_means_one_message(frame in frame()) {
        if let Some(word) = frame::clock_from_frame(&frame) {
            prop_assert_eq!(frame::clock_to_frame(word), frame);
        } else if let Ok(message) = frame::from_frame(frame) {
            let again = frame::from_frame(frame::to_frame(&message));
            prop_assert_eq!(again, Ok(message));
        }
    }

    #[test]
    fn any_hello_is_refused_or_says_one_thing(hello in any_hello()) {
        let frame = |hello| Frame { message: Some(Word::Hello(hello)) };
        if let Ok(told) = frame::hello_from_frame(frame(hello)) {
            let (version, wall_us) = (told.command_version, told.wall_us);
            let again = frame::hello_to_frame(&told.hello, &told.addresses, version, wall_us);
            prop_assert_eq!(frame::hello_from_frame(again), Ok(told));
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(frame) = Frame::decode(&bytes[..]) {
            let _ = frame::hello_from_frame(frame.clone());
            let _ = frame::from_frame(frame);
        }
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn frames_of_a_peer_never_stop_a_replica_by_an_invariant(frames in vec(frame(), 0..60)) {
        let mut replica = replica();
        replica.step(Input::LinkUp { hello: hello(2) });
        let mut now = 0;
        for frame in frames {
            now += 10_000;
            replica.step(Input::Tick { now: Time(now) });
            let Ok(message) = frame::from_frame(frame) else { continue };
            let from = ReplicaId(2);
            let effects = replica.step(Input::Received { from, message });
            for effect in effects {
                if let tercet_core::effect::Effect::Persist(write) = effect {
                    let last = write.entries.last().map_or(Lsn::ZERO, |entry| entry.lsn);
                    prop_assert!(i64::try_from(last.0).is_ok(), "a store can hold it");
                    replica.step(Input::Persisted { write: write.id });
                }
            }
        }
    }
}

fn at(id: u16) -> Member {
    Member {
        address: format!("host:{id}"),
        peer_address: format!("host:{}", id + 1_000),
    }
}

fn says_hello(id: u32) -> Frame {
    frame::hello_to_frame(&hello(id), &at(2), 1, 7)
}

/// The service that peers dial, at its address, and what it tells the driver.
async fn listening(dir: &TempDir) -> (String, mpsc::Receiver<LinkEvent>, watch::Sender<Hello>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let (said, hello) = watch::channel(hello(1));
    let context = LinkContext {
        id: ME,
        own_addresses: Arc::new(at(1)),
        places: watch::channel(Places::default()).1,
        hello,
        secret: SECRET.into(),
        command_version: 1,
        events,
    };
    let opened = store::open(&OpenOptions {
        accept_missing_wal: false,
        dir: dir.path().to_owned(),
        replica: ME,
        new_store: StoreId(1),
    });
    let roster = Roster::configured([(ME, at(1))]);
    let status = replica_status::of(
        &replica().status(),
        &context.hello.borrow(),
        [].into_iter(),
        Lsn::ZERO,
        false,
        &roster,
    );
    let sources = Sources {
        snapshot_cache: SnapshotCache::new("no/such/directory".into()),
        readers: opened.unwrap().readers,
        status: watch::channel(Arc::new(status)).1,
    };
    tokio::spawn(serve(listener, context, sources));
    (address, received, said)
}

/// A connection of replica 2, unless it does not have the secret.
async fn dialled(address: &str, secret: &str, dialled: ReplicaId) -> Result<Channel, String> {
    let own = Identity {
        id: ReplicaId(2),
        cluster: None,
        secret,
    };
    let channel = connection::dial(&own, dialled, address).await;
    channel.map_err(|error| match error {
        DialError::Rejected(why) => why,
        DialError::Refused => "refused".into(),
        DialError::Other(why) => format!("other: {why}"),
    })
}

/// Sends frames on one session, and reads until the other side ends it.
async fn say(channel: Channel, frames: Vec<Frame>) -> Result<(), tonic::Status> {
    let frames = frames
        .into_iter()
        .map(|frame| ExchangeRequest { frame: Some(frame) });
    let answer = PeerServiceClient::new(channel)
        .exchange(tokio_stream::iter(frames))
        .await?;
    let mut said = answer.into_inner();
    while said.message().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn every_call_wants_a_handshake_with_the_secret() {
    let dir = TempDir::new().unwrap();
    let (address, mut received, _said) = listening(&dir).await;
    let channel = dialled(&address, SECRET, ME).await.unwrap();
    let mut client = PeerServiceClient::new(channel);
    let described = client.describe_cluster(DescribeClusterRequest {}).await;
    let described = described.unwrap().into_inner();
    assert_eq!(described.replicas[0].peer_address, at(1).peer_address);
    assert!(client.describe_log(DescribeLogRequest {}).await.is_ok());

    let refused = dialled(&address, "something else entirely", ME).await;
    assert!(refused.is_err_and(|why| why.contains("the peer secrets differ")));
    let refused = dialled(&address, SECRET, ReplicaId(3)).await;
    assert!(refused.is_err_and(|why| why.contains("replica 1 answers there")));

    // gRPC without a handshake, as earlier versions spoke it.
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = PeerServiceClient::new(channel.connect_lazy());
    let mut request = Request::new(tokio_stream::iter([ExchangeRequest {
        frame: Some(says_hello(2)),
    }]));
    let bearer = format!("Bearer {SECRET}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    assert!(client.exchange(request).await.is_err());
    assert!(client.describe_log(DescribeLogRequest {}).await.is_err());
    assert!(received.try_recv().is_err(), "nothing reaches the driver");
}

#[tokio::test]
async fn connections_that_say_nothing_keep_no_replica_out() {
    let dir = TempDir::new().unwrap();
    let (address, _received, _said) = listening(&dir).await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let channel = dialled(&address, SECRET, ME).await.unwrap();
    let mut client = PeerServiceClient::new(channel);
    assert!(client.describe_log(DescribeLogRequest {}).await.is_ok());
}

#[tokio::test]
async fn a_replica_asks_who_leads_only_those_that_have_the_secret() {
    let dir = TempDir::new().unwrap();
    let (address, _received, _said) = listening(&dir).await;
    let joiner = |secret: &str| Joiner {
        id: ReplicaId(2),
        secret: secret.into(),
        addresses: Vec::new(),
    };
    let places = || [(ME, address.clone())].into();
    let mut asked = joiner(SECRET).ask_all(places());
    let answer = asked.join_next().await.unwrap().unwrap();
    assert!(answer.is_ok_and(|answer| answer.leader_id == 0));
    let mut asked = joiner("something else entirely").ask_all(places());
    let answer = asked.join_next().await.unwrap().unwrap();
    assert!(answer.is_err_and(|why| why.is_some_and(|why| why.contains("secrets differ"))));
}

#[test]
fn any_frames_on_a_session_leave_the_service_open_for_the_next() {
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let dir = TempDir::new().unwrap();
    let (address, received, _said) = runtime.block_on(listening(&dir));
    let received = tokio::sync::Mutex::new(received);
    let mut runner = TestRunner::new(config(150));
    let first = prop_oneof![
        3 => Just(says_hello(2)),
        1 => Just(says_hello(ME.0)),
        1 => frame(),
    ];
    let done = runner.run(
        &(first, vec(frame(), 0..5), any::<bool>()),
        |(first, rest, knows)| {
            let expected = knows && first == says_hello(2);
            let frames = [vec![first], rest].concat();
            let secret = match knows {
                true => SECRET,
                false => "something else entirely",
            };
            runtime.block_on(async {
                let mut received = received.lock().await;
                let talk = async {
                    let channel = dialled(&address, secret, ME).await;
                    let channel = channel.map_err(tonic::Status::unauthenticated)?;
                    say(channel, frames).await
                };
                if !expected {
                    let said = talk.await;
                    let refused = said.is_err_and(|status| status.code() == Code::Unauthenticated);
                    prop_assert_eq!(refused, !knows);
                    prop_assert!(received.try_recv().is_err(), "nothing reaches the driver");
                    return Ok(());
                }
                // Dropped with the event, the sending end ends the other direction too.
                let listen = async {
                    let up = matches!(received.recv().await, Some(LinkEvent::Up { .. }));
                    while !matches!(received.recv().await, Some(LinkEvent::Down { .. }) | None) {}
                    up
                };
                let (said, up) = tokio::join!(talk, listen);
                prop_assert!(said.is_ok(), "{said:?}");
                prop_assert!(up, "the driver was told of the session first");
                Ok(())
            })
        },
    );
    done.unwrap_or_else(|failed| panic!("{failed}"));
}
