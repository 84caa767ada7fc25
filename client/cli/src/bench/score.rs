//! `bench score`: a live score board. One account changes a key of a room by a program; the others watch it on a
//! stream each, and some ask for it.
//!
//! Each change has a version of its own. A change that does not arrive at each watcher, or arrives at one twice, is an
//! error, as is a final score that is not the number of changes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tercet_client::{Client, Event, NewRoom, Subscription};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Workload;
use super::accounts::Accounts;
use super::measurements::Kind;
use super::options;
use super::run::Run;
use super::send::limiter;
use super::subscribe::{Deliveries, Listener, open};
use crate::failure::Failure;

const KEY: &str = "score";
/// The program of a change; it answers with the new score.
const PROGRAM: &str = "value = (value ?? 0) + 1";
/// The time without an arrival after the last change; changes that have not arrived by then are missing.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Reads under way at once.
const PULLS_AT_ONCE: u32 = 64;

/// The changes of a run, by their versions.
#[derive(Default)]
struct Board {
    watchers: u32,
    changes: HashMap<u64, Change>,
    last_arrival: Option<Instant>,
    resumed: u64,
}

/// One change. Its version is known when the feeder has its answer, or when the first watcher has the event.
#[derive(Default)]
struct Change {
    /// The start of the submission.
    begun: Option<Instant>,
    arrivals: Vec<Instant>,
}

impl Board {
    /// Notes the answer to a change. Gives the start and the times of the arrivals before it.
    fn answered(&mut self, version: u64, begun: Instant) -> Vec<Instant> {
        let change = self.changes.entry(version).or_default();
        change.begun = Some(begun);
        change.arrivals.clone()
    }

    /// Notes an arrival; gives the start of the change where the answer is here already.
    fn arrived(&mut self, version: u64, now: Instant) -> Option<Instant> {
        self.last_arrival = Some(now);
        let change = self.changes.entry(version).or_default();
        change.arrivals.push(now);
        change.begun
    }

    fn deliveries(&self) -> Deliveries {
        let mut all = Deliveries {
            resumed: self.resumed,
            ..Deliveries::default()
        };
        let watchers = u64::from(self.watchers);
        for change in self.changes.values() {
            let arrivals = change.arrivals.len() as u64;
            if change.begun.is_some() {
                all.acknowledged += watchers;
                all.arrived += arrivals.min(watchers);
            }
            all.twice += arrivals.saturating_sub(watchers);
        }
        all
    }
}

pub struct Score {
    feeder: Client,
    room: String,
    /// The accounts that watch and ask.
    people: Rc<Accounts>,
    /// The subscriptions; the run takes them.
    subscriptions: RefCell<Vec<Listener>>,
    listener: Client,
    in_flight: u32,
    rate: u32,
    pulls: u32,
    /// The score before the run.
    before: u64,
    changed: Rc<Cell<u64>>,
    board: Rc<RefCell<Board>>,
}

impl Score {
    /// Makes the room, in which only the feeder writes, or uses the one of an earlier run. Opens a subscription for each
    /// of the others.
    ///
    /// # Errors
    /// The first call that is refused, or nobody leads for too long.
    pub async fn prepare(
        feeders: Accounts,
        people: Accounts,
        listener: Client,
        options: &options::Score,
    ) -> Result<Score, Failure> {
        let feeder = feeders.members[0].client.clone();
        let room = format!("#{}-score", options.common.prefix);
        let new = NewRoom {
            name: room.clone(),
            announce_only: true,
            ..NewRoom::default()
        };
        match feeder.create_room(new).await {
            Err(error) if error.reason() != "ROOM_NAME_TAKEN" => return Err(error.into()),
            _ => {}
        }
        for member in &people.members {
            member.client.join_room(&room).await?;
        }
        let before = score(&feeder, &room).await?;
        Ok(Score {
            feeder,
            room,
            subscriptions: RefCell::new(open(&people.members).await?),
            people: Rc::new(people),
            listener,
            in_flight: options.common.in_flight,
            rate: options.rate,
            pulls: options.pulls,
            before,
            changed: Rc::new(Cell::new(0)),
            board: Rc::new(RefCell::new(Board {
                watchers: options.clients,
                ..Board::default()
            })),
        })
    }

    /// Changes the score at the given rate until the run is over.
    async fn feed(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let (feeder, room) = (self.feeder.clone(), self.room.clone());
        let (changed, board, counts) = (self.changed.clone(), self.board.clone(), run.clone());
        let change = move |due| {
            let (feeder, room) = (feeder.clone(), room.clone());
            let (changed, board, run) = (changed.clone(), board.clone(), counts.clone());
            async move {
                let begun = Instant::now();
                let answer = feeder.submit_to_key(&room, KEY, PROGRAM, &[]).await;
                run.count(Kind::Update, due, &answer);
                let Ok(submitted) = answer else {
                    return;
                };
                changed.set(changed.get() + 1);
                let early = board.borrow_mut().answered(submitted.version, begun);
                for at in early {
                    run.count_at(Kind::Delivery, begun, at);
                }
            }
        };
        run.keep_busy(self.in_flight, Some(limiter(self.rate)?), change)
            .await
    }

    /// Asks for the score at the given rate until the run is over.
    async fn pull(&self, run: &Rc<Run>) -> Result<(), Failure> {
        if self.pulls == 0 {
            return Ok(());
        }
        let (people, room, counts) = (self.people.clone(), self.room.clone(), run.clone());
        let pull = move |due| {
            let (people, room, run) = (people.clone(), room.clone(), counts.clone());
            async move {
                let who = people.random.below(people.members.len());
                let answer = people.members[who].client.get(&room, KEY).await;
                run.count(Kind::Pull, due, &answer);
            }
        };
        run.keep_busy(PULLS_AT_ONCE, Some(limiter(self.pulls)?), pull)
            .await
    }

    /// Waits until every change has arrived everywhere, or nothing arrives any more.
    async fn wait_for_the_rest(&self) {
        let since = Instant::now();
        while self.board.borrow().deliveries().missing() > 0 {
            let last = self.board.borrow().last_arrival;
            if last.map_or(since, |last| last.max(since)).elapsed() > PATIENCE {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Workload for Score {
    async fn drive(&self, run: &Rc<Run>) -> Result<(), Failure> {
        let mut watching = JoinSet::new();
        for listener in self.subscriptions.take() {
            let (board, room) = (self.board.clone(), self.room.clone());
            watching.spawn_local(watch(listener.subscription, room, board, run.clone()));
        }
        let (fed, pulled) = tokio::join!(self.feed(run), self.pull(run));
        fed.and(pulled)?;
        self.wait_for_the_rest().await;
        let (score, changed) = (score(&self.feeder, &self.room).await?, self.changed.get());
        if score != self.before + changed && run.measurements().failed() == 0 {
            let what = format!(
                "the score is {score}, and it was {} before {changed} changes",
                self.before
            );
            return Err(Failure::failed("WRONG_SCORE", what, ""));
        }
        Ok(())
    }

    fn deliveries(&self) -> Option<Deliveries> {
        Some(self.board.borrow().deliveries())
    }

    fn listener(&self) -> Option<&Client> {
        Some(&self.listener)
    }
}

/// Reads the score; 0 before the first change.
async fn score(client: &Client, room: &str) -> Result<u64, Failure> {
    let entry = client.get(room, KEY).await?;
    let value = entry.map_or_else(|| "0".to_owned(), |entry| entry.value);
    value.parse().map_err(|_| {
        let what = format!("the key `{KEY}` of {room} is {value:?}, which is no score");
        Failure::failed("WRONG_SCORE", what, "use another --prefix")
    })
}

/// Notes the changes that arrive on one stream.
async fn watch(
    mut subscription: Subscription,
    room: String,
    board: Rc<RefCell<Board>>,
    run: Rc<Run>,
) {
    loop {
        match subscription.next().await {
            Ok(Event::StateChanged {
                conversation,
                key,
                version,
                ..
            }) if conversation == room && key == KEY => {
                let now = Instant::now();
                let begun = board.borrow_mut().arrived(version, now);
                if let Some(begun) = begun {
                    run.count_at(Kind::Delivery, begun, now);
                }
            }
            Ok(Event::Subscribed { resumed, .. }) => {
                board.borrow_mut().resumed += u64::from(resumed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_must_arrive_once_at_each_watcher_before_or_after_its_answer() {
        let now = Instant::now();
        let mut board = Board {
            watchers: 2,
            ..Board::default()
        };
        assert_eq!(board.arrived(7, now), None, "before the answer");
        assert_eq!(board.deliveries(), Deliveries::default());
        assert_eq!(board.answered(7, now), [now]);
        assert_eq!(board.deliveries().missing(), 1);
        assert_eq!(board.arrived(7, now), Some(now));
        assert!(board.deliveries().is_clean());
        assert_eq!(board.arrived(7, now), Some(now));
        assert_eq!(board.deliveries().twice, 1);
    }
}
