//! A transition names the next role of a replica. A role returns it, and `role.rs` carries it out: so no role needs
//! to know how another begins.

use crate::{
    config::Config,
    id::{Epoch, ReplicaId},
    message::{Append, VoteState},
};

/// The next role of a replica, and what begins with it.
#[derive(Debug)]
pub(crate) enum Transition {
    /// A follower without a leader.
    Search,
    /// A follower whose candidacy another replica vetoed.
    SearchAfterVeto,
    /// A follower that promised this candidate its epoch and waits for it.
    Await(ReplicaId),
    /// A follower of the leader that sent this Append, which it takes.
    Follow { leader: ReplicaId, append: Append },
    /// A candidate; the epoch is that whose leader handed over to it.
    Stand { transferred_from: Option<Epoch> },
    /// The candidate that this replica was before it gave up: a promise for that epoch came late.
    StandAgain {
        voter: ReplicaId,
        vote_state: VoteState,
    },
    /// The leader of the epoch, with the Config of its first view.
    Lead { epoch: Epoch, config: Config },
}
