//! The addresses of the other replicas by their source, and the order in which a dialer tries them. Knows no
//! connections.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use tercet_core::id::ReplicaId;
use tercet_store::roster::Roster;

/// The time after its last session in which a replica is dialled only at the address that it gave in this run. Every
/// other address only delays the proof that its process is dead.
const ANNOUNCED_ALONE: Duration = Duration::from_secs(3);
/// The time without a session after which the log lists the addresses that were tried.
const REPORT_FIRST: Duration = Duration::from_secs(3);
/// The time until the log lists them again.
const REPORT_AGAIN: Duration = Duration::from_secs(600);

/// The source of an address. Addresses are tried in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The replica gave it in a session of this run.
    Announced,
    /// The cluster's own list of replicas in this store.
    Stored,
    /// A replica gave it that answers at an address of `--join`.
    Joined,
    /// The operator's list.
    Given,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Announced => "from the replica itself",
            Source::Stored => "from the cluster's own list",
            Source::Joined => "from the replicas of --join",
            Source::Given => "from --peers",
        })
    }
}

/// One address of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: String,
    pub(crate) source: Source,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.source)
    }
}

/// The addresses for replicas of all replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(BTreeMap<ReplicaId, BTreeMap<Source, String>>);

impl Places {
    /// Replaces the addresses that came from the same source by those of a roster.
    pub(crate) fn learn(&mut self, roster: &Roster, source: Source) {
        for (id, member) in roster.everybody() {
            self.set(id, source, &member.peer_address);
        }
    }

    /// Notes one address. True when it is new.
    pub(crate) fn set(&mut self, id: ReplicaId, source: Source, address: &str) -> bool {
        let places = self.0.entry(id).or_default();
        let before = places.insert(source, address.to_owned());
        before.is_none_or(|before| before != address)
    }

    /// Forgets the address that a replica gave: the cluster's list is newer.
    pub(crate) fn forget_announced(&mut self, id: ReplicaId) {
        if let Some(places) = self.0.get_mut(&id) {
            places.remove(&Source::Announced);
        }
    }

    /// Gives the address of a replica in the cluster's own list.
    pub(crate) fn stored(&self, id: ReplicaId) -> Option<&str> {
        let stored = self.0.get(&id)?.get(&Source::Stored);
        stored.map(String::as_str)
    }

    /// Gives each address of a replica once, the most credible source first.
    pub(crate) fn of(&self, id: ReplicaId) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for (&source, address) in self.0.get(&id).into_iter().flatten() {
            if places.iter().all(|place| place.address != *address) {
                let address = address.clone();
                places.push(Place { address, source });
            }
        }
        places
    }
}

/// The result of the last attempt at one address.
#[derive(Debug, Default)]
struct Tried {
    /// The time since which the address has accepted connections without a session.
    there: Option<Instant>,
    refused: bool,
    what: String,
}

/// The search for one replica: its addresses in turn, with the result at each.
#[derive(Debug)]
pub(crate) struct Search {
    turn: usize,
    since: Instant,
    tried: BTreeMap<String, Tried>,
    reported: Option<Instant>,
}

impl Search {
    pub(crate) fn new(now: Instant) -> Search {
        Search {
            turn: 0,
            since: now,
            tried: BTreeMap::new(),
            reported: None,
        }
    }

    /// Gives the address to try next.
    pub(crate) fn next(&mut self, places: &[Place], now: Instant) -> Option<Place> {
        let told = places.first().filter(|place| {
            place.source == Source::Announced && now < self.since + ANNOUNCED_ALONE
        });
        if let Some(told) = told {
            return Some(told.clone());
        }
        let place = places.get(self.turn % places.len().max(1));
        self.turn = self.turn.wrapping_add(1);
        place.cloned()
    }

    /// Gives how long an address has accepted connections without a session.
    pub(crate) fn there(&self, place: &Place, now: Instant) -> Option<Duration> {
        let there = self.tried.get(&place.address)?.there?;
        Some(now.saturating_duration_since(there))
    }

    pub(crate) fn is_there(&mut self, place: &Place, now: Instant) {
        let tried = self.tried.entry(place.address.clone()).or_default();
        tried.there.get_or_insert(now);
        tried.refused = false;
        tried.what = "it takes connections, and there is no session yet".to_owned();
    }

    /// Notes a failed attempt.
    pub(crate) fn failed(&mut self, place: &Place, refused: bool, what: String) {
        let tried = self.tried.entry(place.address.clone()).or_default();
        if refused {
            tried.there = None;
        }
        tried.refused = refused;
        tried.what = what;
    }

    /// Tells whether the refused connections prove that the process is dead: refused at the address that the
    /// replica gave itself, or at every address that it may have.
    pub(crate) fn is_refused(&self, places: &[Place]) -> bool {
        let refused = |place: &Place| {
            let tried = self.tried.get(&place.address);
            tried.is_some_and(|tried| tried.refused)
        };
        match places.first() {
            Some(place) if place.source == Source::Announced => refused(place),
            _ => !places.is_empty() && places.iter().all(refused),
        }
    }

    /// Tells whether every other address of the replica refused its last connection.
    pub(crate) fn is_last(&self, place: &Place, places: &[Place]) -> bool {
        let others = places.iter().filter(|other| other.address != place.address);
        let refused = |other: &Place| {
            let tried = self.tried.get(&other.address);
            tried.is_some_and(|tried| tried.refused)
        };
        others.into_iter().all(refused)
    }

    /// Gives the line to log now: `replica 2: no answer at A (from the cluster's own list): why; nor at B (from
    /// --peers): why`.
    pub(crate) fn report(
        &mut self,
        peer: ReplicaId,
        places: &[Place],
        now: Instant,
    ) -> Option<String> {
        let due = match self.reported {
            None => now >= self.since + REPORT_FIRST,
            Some(at) => now >= at + REPORT_AGAIN,
        };
        if !due {
            return None;
        }
        let mut text = format!("replica {peer}: no answer");
        let mut word = " at";
        for place in places {
            if let Some(tried) = self.tried.get(&place.address) {
                text.push_str(&format!("{word} {place}: {}", tried.what));
                word = "; nor at";
            }
        }
        if word == " at" {
            text.push_str(": no address of it is known");
        }
        self.reported = Some(now);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ReplicaId = ReplicaId(2);

    fn places(places: &[(Source, &str)]) -> Vec<Place> {
        let mut all = Places::default();
        for (source, address) in places {
            all.set(PEER, *source, address);
        }
        all.of(PEER)
    }

    #[test]
    fn the_addresses_of_every_source_are_tried_in_turn() {
        let now = Instant::now();
        let two = places(&[(Source::Given, "new:1"), (Source::Stored, "old:1")]);
        let mut search = Search::new(now);
        let turns: Vec<String> = (0..3)
            .map(|_| search.next(&two, now).expect("one is known").address)
            .collect();
        assert_eq!(turns, ["old:1", "new:1", "old:1"]);
        let same = places(&[(Source::Given, "old:1"), (Source::Stored, "old:1")]);
        assert_eq!(same.len(), 1);
        assert_eq!(Search::new(now).next(&[], now), None);
    }

    #[test]
    fn a_replica_that_told_its_address_is_first_tried_there_alone() {
        let now = Instant::now();
        let all = places(&[(Source::Announced, "told:1"), (Source::Given, "old:1")]);
        let mut search = Search::new(now);
        for _ in 0..2 {
            assert_eq!(search.next(&all, now).expect("known").address, "told:1");
        }
        let later = now + ANNOUNCED_ALONE;
        let turns: Vec<String> = (0..2)
            .map(|_| search.next(&all, later).expect("known").address)
            .collect();
        assert_eq!(turns, ["told:1", "old:1"]);
    }

    #[test]
    fn a_process_is_dead_when_its_told_address_refuses_or_else_when_all_do() {
        let now = Instant::now();
        let two = places(&[(Source::Given, "new:1"), (Source::Stored, "old:1")]);
        let mut search = Search::new(now);
        search.failed(&two[0], true, "connection refused".into());
        assert!(!search.is_refused(&two), "the other was not tried");
        search.failed(&two[1], false, "no answer".into());
        assert!(!search.is_refused(&two), "the other may be alive");
        search.failed(&two[1], true, "connection refused".into());
        assert!(search.is_refused(&two));
        assert!(search.is_last(&two[0], &two));
        search.is_there(&two[1], now);
        assert!(!search.is_last(&two[0], &two) && search.is_last(&two[1], &two));
        assert!(!search.is_refused(&two));
        let told = places(&[(Source::Announced, "old:1"), (Source::Given, "new:1")]);
        assert!(search.is_refused(&told));
        assert!(!search.is_refused(&[]));
    }

    #[test]
    fn the_log_says_which_address_was_tried_and_where_it_came_from() {
        let now = Instant::now();
        let two = places(&[
            (Source::Given, "10.1.0.2:5004"),
            (Source::Stored, "10.0.0.2:5004"),
        ]);
        let mut search = Search::new(now);
        search.failed(&two[0], false, "no answer within 1 s".into());
        search.failed(&two[1], true, "connection refused".into());
        assert_eq!(search.report(PEER, &two, now), None);
        let later = now + REPORT_FIRST;
        assert_eq!(
            search.report(PEER, &two, later).expect("it is due"),
            "replica 2: no answer at 10.0.0.2:5004 (from the cluster's own list): no answer within 1 s; nor \
             at 10.1.0.2:5004 (from --peers): connection refused"
        );
        assert_eq!(search.report(PEER, &two, later), None);
        assert!(search.report(PEER, &two, later + REPORT_AGAIN).is_some());
    }
}
