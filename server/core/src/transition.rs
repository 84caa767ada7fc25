//! The transition, which names the next role of a replica. A role returns it, and `role.rs` carries it out, so that
//! no role needs to know how another begins.

use crate::{
    config::Config,
    id::{Epoch, ReplicaId},
    message::{Append, VoteState},
};

/// The next role of a replica, with the values that it begins with.
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
    /// A candidate; the epoch is that of the leader that transferred the lead to it, if one did.
    Stand { transferred_from: Option<Epoch> },
    /// The candidate that this replica was before it gave up, because a promise for that epoch arrived late.
    StandAgain {
        voter: ReplicaId,
        vote_state: VoteState,
    },
    /// The leader of the epoch, with the Config of its first view.
    Lead { epoch: Epoch, config: Config },
}
