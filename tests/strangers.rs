//! The limits of the cost of strangers on the wire: connections, descriptors, memory, the lead. They have no account,
//! unless a test says so.

mod cluster;

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use cluster::{Cluster, PATIENCE, last_json, wait_until};
use h2::client::SendRequest;
use tercet_client::{Client, Replicas, new_request_id};
use tercet_proto::v1::{
    BatchSendMessagesRequest, SendMessageRequest, chat_service_client::ChatServiceClient,
};
use tokio::{runtime::Runtime, task::JoinSet};
use tonic::{
    Request,
    codegen::{Bytes, http},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame that sets nothing.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Processor time that a replica may take for something that should cost next to nothing.
const CPU_MAX: Duration = Duration::from_secs(2);
/// Clock ticks of `/proc/PID/stat` in a second.
const TICKS_PER_SECOND: u64 = 100;
/// Connections of a flood.
const FLOODS: usize = 150;
/// The number of times that the other replicas are asked for the leader while it lasts.
const LOOKS: usize = 40;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("start a runtime")
}

/// The most memory that a replica has used, in KiB.
fn peak_kib(cluster: &Cluster, id: u64) -> u64 {
    let status = format!("/proc/{}/status", cluster.replicas[&id].pid);
    let status = fs::read_to_string(status).expect("read the state of a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok()).expect("a number")
}

/// The processor time that a replica has used.
fn cpu(cluster: &Cluster, id: u64) -> Duration {
    let stat = format!("/proc/{}/stat", cluster.replicas[&id].pid);
    let stat = fs::read_to_string(stat).expect("read the state of a process");
    let after_name = stat.rsplit(')').next().expect("there is a name");
    let fields: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().expect("a number"))
        .collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 1_000 / TICKS_PER_SECOND)
}

/// From here on the replica may open so many files.
fn limit_descriptors(cluster: &mut Cluster, id: u64, count: usize) {
    cluster.kill(id);
    let replica = cluster.replicas.get_mut(&id).expect("it exists");
    let limited = format!("ulimit -n {count}; exec \"$@\"");
    let shell = ["sh", "-c", &limited, "sh"].map(String::from);
    replica.argv.splice(0..0, shell);
    cluster.restart(id);
}

fn connect(cluster: &Cluster, id: u64) -> TcpStream {
    let stream = TcpStream::connect(&cluster.replicas[&id].address).expect("connect");
    let timeouts = stream.set_read_timeout(Some(PATIENCE));
    timeouts.expect("set a timeout");
    stream
}

/// Whether the other side ends the connection while this side is patient. What it says first is read.
fn is_closed(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 4_096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                );
            }
        }
    }
}

#[test]
fn idle_connections_keep_nobody_out_and_end_no_replica() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    limit_descriptors(&mut cluster, 1, 256);
    cluster.wait_until_whole();
    cluster.person("ann");
    let epoch = cluster.status()["epoch"].as_u64();
    let before = cpu(&cluster, 1);
    let idle: Vec<TcpStream> = (0..400).map(|_| connect(&cluster, 1)).collect();
    cluster.person("bob");
    // It opens the store once more.
    cluster.assert_equal();
    assert!(cpu(&cluster, 1) - before < CPU_MAX);
    let status = cluster.status();
    assert_eq!(status["epoch"].as_u64(), epoch, "{status}");
    assert_eq!(status["leader"].as_u64(), Some(1), "{status}");
    let log = cluster.log(1);
    assert_eq!(log.matches("to make room for new ones").count(), 1, "{log}");
    drop(idle);
}

#[test]
fn connection_that_asks_for_nothing_is_closed() {
    let cluster = Cluster::start(1);
    cluster.wait_for_leader(1);
    let begun: [&[u8]; 4] = [
        b"",
        &PREFACE[..20],
        b"GET / HTTP/1.1\r\nhost: x\r\nx: ",
        PREFACE,
    ];
    thread::scope(|scope| {
        for bytes in begun {
            let mut stream = connect(&cluster, 1);
            stream.write_all(bytes).expect("write");
            scope.spawn(move || assert!(is_closed(&mut stream), "{bytes:?} stays open"));
        }
    });
}

/// Sends frames that ask for nothing, until the replica has enough of it or it is over.
fn flood(address: &str, over: &AtomicBool) -> io::Result<()> {
    let frames = SETTINGS.repeat(4_096);
    let mut stream = TcpStream::connect(address)?;
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(PREFACE)?;
    while !over.load(Ordering::Relaxed) {
        stream.write_all(&frames)?;
    }
    Ok(())
}

#[test]
fn a_flood_of_settings_does_not_cost_the_lead() {
    let cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let epoch = cluster.status()["epoch"].as_u64();
    let address = &cluster.replicas[&1].address;
    let others = cluster.list_of(&[2, 3]);
    let over = AtomicBool::new(false);
    let epochs = thread::scope(|scope| {
        for _ in 0..FLOODS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // A connection that is cut off comes again.
                    let _ = flood(address, &over);
                }
            });
        }
        let look = |_| {
            let mut status = cluster.command_at(&others, &["cluster", "status", "--json"]);
            let status = last_json(&status.output().expect("run tercet"));
            status.and_then(|status| status["epoch"].as_u64())
        };
        let epochs: Vec<Option<u64>> = (0..LOOKS).map(look).collect();
        over.store(true, Ordering::Relaxed);
        epochs
    });
    assert_eq!(cluster.status()["epoch"].as_u64(), epoch, "{epochs:?}");
    assert_eq!(cluster.leader(), Some(1), "{epochs:?}");
}

#[test]
fn floods_of_frames_cost_neither_the_lead_nor_a_client() {
    let cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let epoch = cluster.status()["epoch"].as_u64();
    let leader = cluster.leader().expect("somebody leads");
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[1; 8]].concat();
    let floods = [SETTINGS.repeat(4_096), ping.repeat(2_048)];
    thread::scope(|scope| {
        for number in 0..FLOODS {
            let (cluster, flood) = (&cluster, &floods[number % 2]);
            // One that is cut off comes again.
            scope.spawn(move || {
                for _ in 0..2 {
                    let _ = send_flood(cluster, leader, flood);
                }
            });
        }
        cluster.person("ann");
    });
    let status = cluster.status();
    assert_eq!(status["epoch"].as_u64(), epoch, "{status}");
    assert!(cluster.is_whole());
}

/// Sends a flood of 2 MiB, until the replica has enough of it.
fn send_flood(cluster: &Cluster, id: u64, flood: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(&cluster.replicas[&id].address)?;
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(PREFACE)?;
    (0..64).try_for_each(|_| stream.write_all(flood))
}

/// A connection on which answers wait until they are asked for.
async fn raw(address: &str, window: u32) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window);
    // This side is not what is tested.
    builder.data_frame_budget(usize::MAX);
    let handshake = builder.handshake::<_, Bytes>(stream.expect("connect"));
    let (sender, connection) = handshake.await.expect("a handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn call(address: &str, path: &str, token: Option<&str>) -> http::Request<()> {
    let uri = format!("http://{address}/{path}");
    let mut request = http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).expect("a request")
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

#[test]
fn requests_that_never_end_are_refused_before_they_cost_memory() {
    let cluster = Cluster::start(1);
    cluster.wait_for_leader(1);
    let address = cluster.replicas[&1].address.clone();
    let forged = "A".repeat(43);
    let before = peak_kib(&cluster, 1);
    let calls = [
        ("tercet.v1.ChatService/BatchSendMessages", None),
        ("tercet.v1.ChatService/StreamMessages", Some(&forged)),
        ("tercet.v1.ChatService/BatchSendMessages", Some(&forged)),
        ("tercet.v1.ChatService/Login", None),
        ("tercet.v1.ClusterService/AddReplica", Some(&forged)),
        ("grpc.health.v1.Health/Check", Some(&forged)),
        (
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            None,
        ),
    ];
    runtime().block_on(async {
        let mut streams = JoinSet::new();
        let mut sender = raw(&address, 65_535).await;
        for number in 0..1_016 {
            if number % 254 == 0 {
                sender = raw(&address, 65_535).await;
            }
            let (path, token) = calls[number % calls.len()];
            let request = call(&address, path, token.map(String::as_str));
            let sender = sender.clone();
            streams.spawn(async move {
                let mut sender = sender.ready().await.expect("a stream");
                let (answer, mut body) = sender.send_request(request, false).expect("sent");
                let mut length = vec![0];
                length.extend(2_000_000_u32.to_be_bytes());
                let _ = body.send_data(length.into(), false);
                for _ in 0..30 {
                    body.reserve_capacity(64 << 10);
                    match std::future::poll_fn(|context| body.poll_capacity(context)).await {
                        Some(Ok(room)) => {
                            if body.send_data(vec![b'x'; room].into(), false).is_err() {
                                break;
                            }
                        }
                        _ => break,
                    }
                }
                // An answer, or the end of the stream: it does not stay open.
                let mut answer = answer.await.ok();
                while let Some(Ok(data)) = match &mut answer {
                    Some(answer) => answer.body_mut().data().await,
                    None => None,
                } {
                    drop(data);
                }
            });
        }
        while let Some(stream) = streams.join_next().await {
            stream.expect("the stream has ended");
        }
    });
    let grown = peak_kib(&cluster, 1).saturating_sub(before);
    assert!(grown < 150 << 10, "the replica grew by {grown} KiB");
    cluster.person("ann");
}

/// A replica with an account, its token, and messages of 16 KiB that wait for it.
fn with_long_messages(count: usize) -> (Cluster, String) {
    let cluster = Cluster::start(1);
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let address = cluster.replicas[&1].address.clone();
    let token = runtime().block_on(async {
        let client = Client::new(replicas).with_deadline(PATIENCE);
        let password = "correct horse";
        client
            .create_account("ann", password)
            .await
            .expect("create");
        let token = client.login("ann", password).await.expect("log in").token;
        let mut chat = ChatServiceClient::connect(format!("http://{address}"))
            .await
            .expect("connect");
        for _ in 0..count.div_ceil(60) {
            let messages = (0..60).map(|_| SendMessageRequest {
                request_id: new_request_id().to_string(),
                recipient: "ann".into(),
                body: "x".repeat(16 << 10),
                reply_to: 0,
            });
            let messages = messages.collect();
            let mut request = Request::new(BatchSendMessagesRequest { messages });
            let bearer = format!("Bearer {token}").parse().expect("a token");
            request.metadata_mut().insert("authorization", bearer);
            chat.batch_send_messages(request).await.expect("sent");
        }
        token
    });
    (cluster, token)
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let (cluster, token) = with_long_messages(60);
    let address = cluster.replicas[&1].address.clone();
    let before = peak_kib(&cluster, 1);
    // Of the conversation with `ann` (field 1), 500 messages (field 3).
    let page = [&[0x0a, 3][..], b"ann", &[0x18, 0xf4, 0x03]].concat();
    // `file_containing_symbol` (field 4).
    let symbol = [&[0x22, 21][..], b"tercet.v1.ChatService"].concat();
    let reflection = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    // Each with the window of its streams: what may be sent before it is read.
    let calls = [
        ("tercet.v1.ChatService/ListMessages", &page[..], 0),
        ("tercet.v1.ChatService/ListMessages", &page[..], 1),
        ("tercet.v1.ChatService/FetchUndelivered", &[], 0),
        ("tercet.v1.ChatService/Subscribe", &[], 0),
        (reflection, &symbol[..], 0),
    ];
    runtime().block_on(async {
        let mut asked = JoinSet::new();
        for number in 0..20 {
            let (path, message, window) = calls[number % calls.len()];
            let sender = raw(&address, window).await;
            for _ in 0..100 {
                let Ok(mut sender) = sender.clone().ready().await else {
                    break;
                };
                let request = call(&address, path, Some(&token));
                let (answer, mut body) = sender.send_request(request, false).expect("sent");
                let _ = body.send_data(framed(message), true);
                asked.spawn(async move {
                    let Ok(mut answer) = answer.await else {
                        return;
                    };
                    // Until the replica ends the stream, which nobody reads.
                    while let Some(Ok(data)) = answer.body_mut().data().await {
                        drop(data);
                    }
                });
            }
        }
        // Refused as one too many, or cut off: nobody waits for ever.
        while asked.join_next().await.is_some() {}
    });
    let grown = peak_kib(&cluster, 1).saturating_sub(before);
    assert!(grown < 200 << 10, "the replica grew by {grown} KiB");
    wait_until("others are answered", || {
        cluster.run(&["cluster", "status"]).status.success()
    });
}
