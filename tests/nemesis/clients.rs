//! Clients that talk while replicas die: each is an account that sends to the others and reads
//! its conversations, one operation after the other, and remembers what it asked, when, and what
//! came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tercet_client::{Client, Error, HistoryRequest, Options, Replicas, Sends};
use tercet_sim::rng::Rng;
use tokio::{
    runtime,
    task::LocalSet,
    time::{MissedTickBehavior, interval},
};

pub const COUNT: u8 = 5;

const PASSWORD: &str = "correct horse";
const SETUP_TIMEOUT: Duration = Duration::from_secs(90);
/// Short, so that some operations are given up, with an unknown outcome.
const OPTIONS: Options = Options {
    deadline: Duration::from_secs(2),
    attempt_timeout: Duration::from_millis(700),
    connections: 1,
    sends: Sends::Stream,
    cache: None,
    waiting: None,
};
/// Two cores carry the replicas too.
const PACE: Duration = Duration::from_millis(8);

/// Two clients, the lower one first.
pub type Conversation = (u8, u8);

#[derive(Clone, Debug)]
pub struct Record {
    pub conversation: Conversation,
    pub what: What,
    /// Nanoseconds since the clients began.
    pub invoked: u64,
    pub responded: u64,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A number that is sent once.
    Send(u64),
    /// The numbers of the newest so many messages; empty if there was no answer.
    Read(usize, Vec<u64>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A message's place in the order of all, 0 for a read.
    Answered(u64),
    /// Surely not done: why.
    NotDone(String),
    Unknown,
}

/// Running clients.
pub struct Clients {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<Record>>>,
    people: Vec<Client>,
    runtime: runtime::Runtime,
}

impl Clients {
    /// Makes the accounts and lets them talk.
    pub fn start(list: &str, seed: u64) -> Clients {
        let replicas: Replicas = list.parse().expect("the list is well formed");
        let runtime = one_thread();
        let people: Vec<Client> = (0..COUNT)
            .map(|number| runtime.block_on(person(&replicas, number)))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let talk = Talk {
            replicas,
            began: Instant::now(),
            seed,
            stop: stop.clone(),
            acknowledged: acknowledged.clone(),
        };
        let thread = thread::spawn(move || talk.run());
        Clients {
            stop,
            acknowledged,
            thread: Some(thread),
            people,
            runtime,
        }
    }

    /// Messages acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the talk, and gives what everyone did.
    pub fn stop(&mut self) -> Vec<Record> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("they are stopped once");
        thread.join().expect("the clients ran to their end")
    }

    /// A whole conversation, oldest message first: each one's place and number.
    pub fn read_whole(&self, conversation: Conversation) -> Vec<(u64, u64)> {
        let reader = &self.people[usize::from(conversation.0)];
        let mut messages = Vec::new();
        let mut request = HistoryRequest {
            peer: name(conversation.1),
            page_size: 500,
            oldest_first: true,
            ..HistoryRequest::default()
        };
        loop {
            let page = self.runtime.block_on(reader.list_messages(request.clone()));
            let page = page.expect("read a conversation");
            let places = page.messages.iter();
            messages.extend(places.map(|message| (message.cursor, number(&message.body))));
            if page.next_page_token.is_empty() {
                return messages;
            }
            request.page_token = page.next_page_token;
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn one_thread() -> runtime::Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("make a runtime")
}

fn name(number: u8) -> String {
    format!("person{number}")
}

/// Gives the number with which the text of a message begins.
fn number(body: &str) -> u64 {
    let word = body.split(' ').next().unwrap_or_default();
    word.parse().expect("every message begins with a number")
}

/// An account's client, with a session. Asked again, it logs in.
async fn person(replicas: &Replicas, number: u8) -> Client {
    let client = Client::new(replicas.clone()).with_deadline(SETUP_TIMEOUT);
    match client.create_account(&name(number), PASSWORD).await {
        Ok(_) => {}
        Err(error) if error.is_refused_for("NAME_TAKEN") => {}
        Err(error) => panic!("make an account: {error}"),
    }
    let session = client.login(&name(number), PASSWORD).await;
    let session = session.expect("log in");
    client.with_token(&session.token).expect("use a token")
}

/// The data of the thread of the clients.
struct Talk {
    replicas: Replicas,
    began: Instant,
    seed: u64,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Talk {
    fn run(self) -> Vec<Record> {
        let talk = Arc::new(self);
        let tasks = LocalSet::new();
        let people: Vec<_> = (0..COUNT)
            .map(|number| tasks.spawn_local(talk.clone().person(number)))
            .collect();
        one_thread().block_on(tasks.run_until(async {
            let mut records = Vec::new();
            for person in people {
                records.extend(person.await.expect("a client ran to its end"));
            }
            records
        }))
    }

    async fn person(self: Arc<Talk>, own: u8) -> Vec<Record> {
        let mut rng = Rng::new(self.seed ^ u64::from(own));
        let session = Client::new(self.replicas.clone()).with_deadline(SETUP_TIMEOUT);
        let session = session.login(&name(own), PASSWORD).await.expect("log in");
        let client = Client::with_options(self.replicas.clone(), OPTIONS);
        let client = client.with_token(&session.token).expect("use a token");
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut records = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            let peer = (own + 1 + rng.below(u64::from(COUNT) - 1) as u8) % COUNT;
            let mut what = match rng.chance(500) {
                true => What::Send(u64::from(own) * 1_000_000_000 + records.len() as u64),
                false => What::Read(rng.between(1, 30) as usize, Vec::new()),
            };
            let padding = "x".repeat(rng.below(200) as usize);
            let invoked = self.now();
            let outcome = carry_out(&client, &name(peer), &mut what, &padding).await;
            if let (What::Send(_), Outcome::Answered(_)) = (&what, &outcome) {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            records.push(Record {
                conversation: (own.min(peer), own.max(peer)),
                what,
                invoked,
                responded: self.now(),
                outcome,
            });
        }
        records
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("it does not run for centuries")
    }
}

async fn carry_out(client: &Client, peer: &str, what: &mut What, padding: &str) -> Outcome {
    let result = match what {
        What::Send(number) => {
            let body = format!("{number} {padding}");
            let sent = client.send_message(peer, &body).await;
            sent.map(|sent| sent.cursor)
        }
        What::Read(count, values) => {
            let request = HistoryRequest {
                peer: peer.into(),
                page_size: i32::try_from(*count).expect("pages are short"),
                ..HistoryRequest::default()
            };
            let page = client.list_messages(request).await;
            page.map(|page| {
                *values = page.messages.iter().map(|it| number(&it.body)).collect();
                0
            })
        }
    };
    match result {
        Ok(place) => Outcome::Answered(place),
        Err(Error::OutcomeUnknown { .. } | Error::Unanswered { .. }) => Outcome::Unknown,
        Err(error) => Outcome::NotDone(error.reason().into()),
    }
}
