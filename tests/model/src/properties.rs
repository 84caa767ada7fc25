//! The guarantees, as properties of every state.

use crate::{
    actions::{Counting, Heard, Spec},
    log::Id,
    mutation::Mutation,
    scope::Scope,
    state::{Replica, State},
};

/// A promise, by the sentence that states it.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub name: &'static str,
    pub holds: fn(&Spec, &State) -> bool,
}

/// The promises of the protocol.
pub const PROMISES: &[Property] = &[
    NOTHING_IS_LOST,
    Property {
        name: "committed prefixes agree",
        holds: |_, s| {
            s.replicas
                .iter()
                .all(|r| s.committed.starts_with(&r.log.prefix(r.commit)))
        },
    },
    Property {
        name: "at most one leader can commit",
        holds: |_, s| s.ids().filter(|&id| can_commit(s, id)).count() <= 1,
    },
    Property {
        name: "nobody finds itself diverged",
        holds: |_, s| !s.replicas.iter().any(|r| r.diverged),
    },
    Property {
        name: "when all start again, all serve with everything acknowledged",
        holds: |spec, s| spec.recovers(s, Restarting::All) == Recovery::Whole,
    },
    Property {
        name: "when those that are down start again, all serve with everything acknowledged",
        holds: |spec, s| spec.recovers(s, Restarting::Down) == Recovery::Whole,
    },
];

/// The promise that each mutation breaks.
pub const NOTHING_IS_LOST: Property = Property {
    name: "nothing committed is lost",
    holds: |_, s| {
        let newest = s.committed.rank().epoch;
        let mut leaders = s
            .replicas
            .iter()
            .filter(|r| r.serves() && r.promised >= newest);
        !s.lost && leaders.all(|leader| leader.log.starts_with(&s.committed))
    },
};

/// The rest of the guarantee where a live replica was taken for dead.
pub const DIVERGENCE_IS_NOTICED: Property = Property {
    name: "what diverged is noticed when they meet",
    holds: |spec, s| !s.lost || spec.recovers(s, Restarting::Down) == Recovery::Diverged,
};

/// A leader whose whole view would acknowledge what it sends.
fn can_commit(s: &State, id: Id) -> bool {
    let leader = &s.replicas[id];
    let Some((_, config)) = leader.log.config() else {
        return false;
    };
    let follows = |m: &Replica| m.up && m.promised <= leader.promised;
    let member = |m: Id| follows(&s.replicas[m]) && config.has(m, s.replicas[m].store);
    leader.leads() && config.ids.ids().all(member)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Restarting {
    /// Every process, those that run too.
    All,
    /// Those that are down.
    Down,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Recovery {
    /// Somebody leads, everybody is a member and has everything acknowledged.
    Whole,
    /// A replica found that it knows as committed what others do not have, and stopped.
    Diverged,
    /// Nobody leads, or somebody is left behind, or something is gone.
    Stuck,
}

impl Spec {
    /// Tells how the model ends when all replicas are up, nothing more fails, and everything is delivered:
    /// whoever may lead is tried. This is how "the cluster never stays stuck" becomes something
    /// that holds or not in a single state. A cluster that waits for a disk that was replaced is
    /// not stuck: only the operator can say that it will not come back.
    fn recovers(&self, state: &State, restarting: Restarting) -> Recovery {
        let endless = Spec {
            scope: Scope {
                ballots: u8::MAX,
                ..self.scope
            },
            ..*self
        };
        let mut up = state.clone();
        for r in up.ids() {
            if up.replicas[r].up && restarting == Restarting::All {
                self.die(&mut up, r);
            }
        }
        for r in up.ids() {
            // `None` says that it is up, or that it diverged.
            let _ = self.restart(&mut up, r);
        }
        for a in up.ids() {
            up.ids().filter(|&b| b != a).for_each(|b| up.speak(a, b));
        }
        if up.replicas.iter().any(|r| r.diverged) {
            return Recovery::Diverged;
        }
        let ends = up.ids().filter_map(|c| endless.led_by(&up, c));
        let worst = ends.max_by_key(|end| *end as u8);
        worst.unwrap_or(match lost_a_store(&up) {
            true => Recovery::Whole,
            false => Recovery::Stuck,
        })
    }

    /// One replica stands, all promise; if it may lead, how that ends.
    fn led_by(&self, up: &State, c: Id) -> Option<Recovery> {
        let mut s = up.clone();
        // Mode available: nobody stands who hears a leader. Here the leader gave up.
        for r in &mut s.replicas {
            if r.leads() {
                r.role = crate::state::Role::Follower;
            }
        }
        self.stand(&mut s, c, Heard::All)?;
        for f in s.ids().filter(|&f| f != c) {
            self.promise(&mut s, c, f)?;
        }
        self.lead(&mut s, c, Counting::All)?;
        loop {
            let before = s.clone();
            self.replicate_all(&mut s, c);
            if s.replicas.iter().any(|r| r.diverged) {
                return Some(Recovery::Diverged);
            }
            if s == before {
                break;
            }
        }
        let Some((_, config)) = s.replicas[c].log.config() else {
            return Some(Recovery::Stuck);
        };
        let whole = |r: Id| {
            let replica = &s.replicas[r];
            replica.log.starts_with(&s.committed) && config.has(r, replica.store)
        };
        let kept = s.committed.starts_with(&up.committed) && !s.lost;
        match s.replicas[c].serves() && kept && s.ids().all(whole) {
            true => Some(Recovery::Whole),
            false => Some(Recovery::Stuck),
        }
    }

    /// Everything is delivered and counted, and learners are taken in. What is not possible now
    /// changes nothing.
    fn replicate_all(&self, s: &mut State, l: Id) {
        let others: Vec<Id> = s.ids().filter(|&f| f != l).collect();
        for &f in &others {
            let len = s.replicas[l].log.len();
            let _ = self.append(s, l, f, len);
        }
        let _ = self.commit(s, l);
        for &f in &others {
            let _ = self.grow(s, l, f);
        }
    }
}

/// The Config of the best log has a member whose disk was replaced.
fn lost_a_store(s: &State) -> bool {
    let best = s.replicas.iter().max_by_key(|r| r.log.rank());
    let config = best.and_then(|r| r.log.config());
    config.is_some_and(|(_, config)| {
        let mut members = config.ids.ids();
        members.any(|m| !config.has(m, s.replicas[m].store))
    })
}

/// Gives the properties that a run of the checker asks of every state.
#[must_use]
pub fn asked_of(mutation: Option<Mutation>) -> &'static [Property] {
    match mutation {
        None => PROMISES,
        Some(_) => &[NOTHING_IS_LOST],
    }
}
