//! `bench subscribe` sends messages to many subscribed accounts, and measures when each arrives. `bench room` sends
//! them to one room of which all of these are members.
//!
//! The number in a message's id identifies its send. An acknowledged message that does not arrive at each of its
//! subscribers, or arrives at one twice, is an error.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tercet_client::{Client, Error, Event, Message, NewRoom, Start, Subscription};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Workload;
use super::accounts::{Accounts, Member};
use super::measurements::Kind;
use super::options;
use super::run::Run;
use super::send::limiter;
use crate::failure::Failure;
use crate::progress::Progress;

/// The number of streams on one connection: HTTP/2 recommends that every server allows at least this many.
pub const STREAMS_OF_A_CONNECTION: u32 = 100;
/// The number of subscriptions that are opened at once.
const AT_ONCE: usize = 64;
/// The time without an arrival after the last send; messages that have not arrived by then are missing.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The counts of deliveries, also those of the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// The acknowledged messages, each as often as it has subscribers.
    pub acknowledged: u64,
    /// The arrivals of acknowledged messages.
    pub arrived: u64,
    /// The number of arrivals beyond the first at each subscriber.
    pub twice: u64,
    /// The number of streams that broke and were resumed.
    pub resumed: u64,
}

impl Deliveries {
    pub fn missing(&self) -> u64 {
        self.acknowledged - self.arrived
    }

    pub fn is_clean(&self) -> bool {
        self.missing() == 0 && self.twice == 0
    }
}

/// A message that was sent.
struct Sent {
    begun: Instant,
    acknowledged: bool,
    arrivals: u32,
}

/// A subscription that is open.
pub struct Listener {
    account_id: u64,
    pub subscription: Subscription,
}

impl Listener {
    /// Tells whether a message is to the account, and not one that it sent itself.
    fn is_for(&self, message: &Message) -> bool {
        message.conversation_id > 0 || message.recipient_id == self.account_id
    }
}

/// The messages of a run.
struct Mail {
    /// The number of subscribers that each message is for.
    audience: u32,
    /// The messages by the number of their send.
    sent: Vec<Sent>,
    last_arrival: Option<Instant>,
    resumed: u64,
}

impl Mail {
    fn new(audience: u32) -> Mail {
        Mail {
            audience,
            sent: Vec::new(),
            last_arrival: None,
            resumed: 0,
        }
    }

    /// Notes an arrival; gives the start of the send, unless the message has arrived everywhere before.
    fn arrive(&mut self, number: u32, now: Instant) -> Option<Instant> {
        let sent = self.sent.get_mut(number as usize)?;
        sent.arrivals += 1;
        self.last_arrival = Some(now);
        (sent.arrivals <= self.audience).then_some(sent.begun)
    }

    fn deliveries(&self) -> Deliveries {
        let mut all = Deliveries {
            resumed: self.resumed,
            ..Deliveries::default()
        };
        for sent in &self.sent {
            if sent.acknowledged {
                all.acknowledged += u64::from(self.audience);
                all.arrived += u64::from(sent.arrivals.min(self.audience));
            }
            all.twice += u64::from(sent.arrivals.saturating_sub(self.audience));
        }
        all
    }
}

pub struct Subscribe {
    senders: Rc<Accounts>,
    /// The recipients: accounts, or one room.
    names: Rc<Vec<String>>,
    /// The subscriptions; the run takes them.
    subscriptions: RefCell<Vec<Listener>>,
    /// Subscriptions that nobody reads.
    _unread: Vec<Listener>,
    listener: Client,
    in_flight: u32,
    send_rate: u32,
    mail: Rc<RefCell<Mail>>,
}

impl Subscribe {
    /// Opens a subscription for each listener.
    ///
    /// # Errors
    /// The first that is refused, or nobody leads for too long.
    pub async fn prepare(
        senders: Accounts,
        listeners: Accounts,
        listener: Client,
        options: &options::Subscribe,
    ) -> Result<Subscribe, Failure> {
        let names = listeners.members.iter().map(|member| member.name.clone());
        Ok(Subscribe {
            senders: Rc::new(senders),
            names: Rc::new(names.collect()),
            subscriptions: RefCell::new(open(&listeners.members).await?),
            _unread: Vec::new(),
            listener,
            in_flight: options.common.in_flight,
            send_rate: options.send_rate,
            mail: Rc::new(RefCell::new(Mail::new(1))),
        })
    }

    /// Makes a room of the members, or uses the one of an earlier run, and opens a subscription for each. Those of
    /// `idle` are opened and never read.
    ///
    /// # Errors
    /// The first that is refused, or nobody leads for too long.
    pub async fn prepare_room(
        senders: Accounts,
        members: Accounts,
        idle: Accounts,
        listener: Client,
        options: &options::Room,
    ) -> Result<Subscribe, Failure> {
        let name = format!("#{}-room", options.common.prefix);
        let owner = &members.members[0].client;
        let room = NewRoom {
            name: name.clone(),
            ..NewRoom::default()
        };
        match owner.create_room(room).await {
            Err(error) if error.reason() != "ROOM_NAME_TAKEN" => return Err(error.into()),
            _ => {}
        }
        for member in members.members.iter().chain(&idle.members) {
            member.client.join_room(&name).await?;
        }
        Ok(Subscribe {
            senders: Rc::new(senders),
            names: Rc::new(vec![name]),
            subscriptions: RefCell::new(open(&members.members).await?),
            _unread: open(&idle.members).await?,
            listener,
            in_flight: options.common.in_flight,
            send_rate: options.send_rate,
            mail: Rc::new(RefCell::new(Mail::new(options.members))),
        })
    }

    /// Starts a task for each subscription that counts its messages.
    fn listen(&self, run: &Rc<Run>) -> JoinSet<()> {
        let mut listening = JoinSet::new();
        for subscription in self.subscriptions.take() {
            let (senders, mail) = (self.senders.clone(), self.mail.clone());
            listening.spawn_local(listen(subscription, senders, mail, run.clone()));
        }
        listening
    }

    /// Waits until every acknowledged message has arrived, or nothing arrives any more.
    async fn wait_for_the_rest(&self) {
        let since = Instant::now();
        while self.mail.borrow().deliveries().missing() > 0 {
            let last = self.mail.borrow().last_arrival;
            if last.map_or(since, |last| last.max(since)).elapsed() > PATIENCE {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Workload for Subscribe {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let _listening = self.listen(run);
        let send = {
            let (senders, names) = (self.senders.clone(), self.names.clone());
            let (mail, run) = (self.mail.clone(), run.clone());
            move |due| {
                let (senders, names) = (senders.clone(), names.clone());
                let (mail, run) = (mail.clone(), run.clone());
                async move { send_one(&senders, &names, &mail, &run, due).await }
            }
        };
        let limiter = limiter(self.send_rate)?;
        run.keep_busy(self.in_flight, Some(limiter), send).await?;
        self.wait_for_the_rest().await;
        Ok(())
    }

    fn deliveries(&self) -> Option<Deliveries> {
        Some(self.mail.borrow().deliveries())
    }

    fn listener(&self) -> Option<&Client> {
        Some(&self.listener)
    }
}

async fn send_one(
    senders: &Accounts,
    names: &[String],
    mail: &RefCell<Mail>,
    run: &Run,
    due: Instant,
) {
    let from = senders.random.below(senders.members.len());
    let to = &names[senders.random.below(names.len())];
    let (id, number) = senders.ids.next();
    mail.borrow_mut().sent.push(Sent {
        begun: Instant::now(),
        acknowledged: false,
        arrivals: 0,
    });
    if senders.send_as(run, due, id, from, to).await
        && let Some(sent) = mail.borrow_mut().sent.get_mut(number as usize)
    {
        sent.acknowledged = true;
    }
}

async fn listen(
    mut listener: Listener,
    senders: Rc<Accounts>,
    mail: Rc<RefCell<Mail>>,
    run: Rc<Run>,
) {
    loop {
        match listener.subscription.next().await {
            Ok(Event::Message(message)) if listener.is_for(&message) => {
                let now = Instant::now();
                let number = senders.ids.number(&message.message_id);
                let begun = number.and_then(|number| mail.borrow_mut().arrive(number, now));
                if let Some(begun) = begun {
                    run.count(Kind::Delivery, begun, &Ok(()));
                }
            }
            Ok(Event::Subscribed { resumed, .. }) => {
                mail.borrow_mut().resumed += u64::from(resumed)
            }
            Ok(_) => {}
            Err(error) => {
                run.count_failed(Kind::Delivery, error.reason());
                if !error.may_pass() {
                    return;
                }
            }
        }
    }
}

/// Opens a subscription of each member, and waits until it is open.
pub async fn open(members: &[Member]) -> Result<Vec<Listener>, Failure> {
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let clients = members.iter().map(|member| member.client.clone());
    let clients: Rc<Vec<Client>> = Rc::new(clients.collect());
    let progress = Rc::new(Progress::start("subscriptions", clients.len() as u64));
    let next = Rc::new(Cell::new(0));
    let mut opening = JoinSet::new();
    for _ in 0..AT_ONCE.min(clients.len()) {
        let (clients, progress, next) = (clients.clone(), progress.clone(), next.clone());
        opening.spawn_local(async move {
            let mut standing = Vec::new();
            while let Some(client) = clients.get(next.replace(next.get() + 1)) {
                let mut subscription = client.subscribe(Start::Now);
                let account_id = loop {
                    if let Event::Subscribed { account_id, .. } = subscription.next().await? {
                        break account_id;
                    }
                };
                standing.push(Listener {
                    account_id,
                    subscription,
                });
                progress.step();
            }
            Ok::<_, Error>(standing)
        });
    }
    let mut standing = Vec::new();
    while let Some(ended) = opening.join_next().await {
        let ended = ended.map_err(|error| Failure::failed("WORKER", error.to_string(), ""))?;
        standing.extend(ended?);
    }
    progress.finish();
    Ok(standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_must_arrive_once() {
        let now = Instant::now();
        let sent = |acknowledged| Sent {
            begun: now,
            acknowledged,
            arrivals: 0,
        };
        let mut mail = Mail::new(1);
        mail.sent = vec![sent(true), sent(true), sent(false)];
        assert_eq!(mail.deliveries().missing(), 2);
        assert_eq!(mail.arrive(0, now), Some(now));
        // Its fate was not known, and it was stored: no fault.
        assert_eq!(mail.arrive(2, now), Some(now));
        assert_eq!(mail.deliveries().missing(), 1);
        assert!(!mail.deliveries().is_clean());
        assert_eq!(mail.arrive(1, now), Some(now));
        assert!(mail.deliveries().is_clean());
        assert_eq!(mail.arrive(1, now), None);
        assert_eq!(mail.deliveries().twice, 1);
        assert!(!mail.deliveries().is_clean());
        assert_eq!(mail.arrive(7, now), None);
    }
    #[test]
    fn a_message_to_a_room_must_arrive_once_at_each_member() {
        let now = Instant::now();
        let mut mail = Mail::new(2);
        mail.sent = vec![Sent {
            begun: now,
            acknowledged: true,
            arrivals: 0,
        }];
        for left in [1, 0] {
            assert_eq!(mail.arrive(0, now), Some(now));
            assert_eq!(mail.deliveries().missing(), left);
        }
        assert!(mail.deliveries().is_clean());
        assert_eq!(mail.arrive(0, now), None);
        assert_eq!(mail.deliveries().twice, 1);
    }
}
