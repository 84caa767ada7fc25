//! The replication protocol of Tercet: a few replicas keep one log, and each applies it to its
//! own state. This crate is the protocol and nothing else: [`Replica::step`] takes one thing that
//! happened ([`input::Input`]) and gives back what to do about it ([`effect::Effect`]). It reads no
//! clock, draws no random number, opens nothing and starts nothing; the same inputs give the same
//! effects, byte for byte. The shell around it is `tercet-server`; the simulator runs this same
//! code.
//!
//! # Faults
//!
//! Processes crash and start again, at any time, together or one by one; they are paused and wake;
//! disks are slow; sessions break. A pause may stop the clock as well (see *Caveats*). In mode [`config::Mode::Available`] the network is trusted not
//! to part the replicas: a lone survivor cannot tell "both are dead" from "I am cut off". If it
//! does part them, both sides may go on, and the log of the one shows it when they meet
//! ([`effect::Halt::Diverged`]). In mode [`config::Mode::Majority`] the network may do anything.
//! Replicas do not lie, and a store either keeps what it fsynced or is replaced whole, by one with
//! a new identity.
//!
//! # Guarantees
//!
//! An entry that was committed is on the disk of every member of the view that committed it, and
//! in the log of every leader after it, at the same position. So whatever was acknowledged outlives
//! any two of three crashes, all three at once, and any order of restarts. Reads under a lease
//! ([`Replica::lease_until`]) see everything acknowledged before them.
//!
//! # Protocol
//!
//! The order of ids is the order of precedence: *the leader is the lowest-numbered live member*.
//!
//! 1. **Commit.** The leader appends at the next LSN and sends at once to everybody; an entry is
//!    committed when every member of the *newest* [`config::Config`] has it on disk, counted only
//!    past that Config entry, and in the leader's own epoch (`leader.rs`).
//! 2. **Shrink and grow** are Config entries in the same epoch. Nothing that lacks a dead member's
//!    acknowledgement is committed before the shrink is. A view may shrink again before a shrink is
//!    committed, but not past the last member of a Config that may still be in force: whoever is
//!    not in the view could start again by that one. It grows one at a time (`view.rs`).
//! 3. **Takeover.** Who hears no leader holds a pre-vote: a question that changes nothing. Who finds that
//!    it could win, and no lower-numbered one could, promises itself an epoch above all seen and
//!    asks for the others' promises (`pre_vote.rs`, `candidate.rs`, `ballot.rs`). It adopts the
//!    greatest log by (epoch of the last entry, length), appends a Config of those of the adopted
//!    Config who promised, and serves once they all have it. It may, if (`takeover.rs`)
//!    - (i) it is *active*, and every member of the Config has promised or is dead; or
//!    - (ii) every member of the Config has promised;
//!    - in mode majority instead: a majority of the Config has promised, and of every earlier
//!      Config that may still be in force, and the new view overlaps every majority of each.
//! 4. **Restart.** Nobody is active after a start, so only (ii) is left, or a Config of itself
//!    alone; until then a replica says for whom it waits.
//! 5. **Fencing.** Older epochs are refused; a leader that hears of a newer one steps down, and the
//!    fate of what it had not committed is unknown to its clients. Who hears a leader vetoes
//!    candidates, and that is what the leader's lease is worth. The veto lasts a margin longer than the
//!    lease ([`config::Timing::lease_margin`]): for ticks, and for clocks that run unevenly.
//! 6. **Hand-over.** A lower-numbered member that came back is given the lead once it has
//!    everything; it never takes it. A leader that is told to stop does the same, and a backup
//!    leaves the view first.
//! 7. **Roster.** The state says which replicas belong to the cluster ([`input::Input::Roster`]). Only
//!    they join a view; a member that is removed leaves it, once it knows if it lives, the leader
//!    after a hand-over. Whoever missed a change learns it as any learner does: a session needs only
//!    the same cluster. It goes when its leader *releases* it: the leader knows of the removal too, and a
//!    Config without it is *firm*. A replica that joins never makes a cluster of its own.
//! 8. **Trimming and snapshots.** The shell lets go of entries that are applied
//!    ([`input::Input::Trimmed`]); where each epoch began stays known for all of the log, so that logs
//!    can still be compared. A leader that is asked for what it has no more says so, and the follower
//!    has a snapshot of what the leader has applied come ([`effect::Effect::FetchSnapshot`]). It takes
//!    the place of state and log if it goes further than what is committed here and its epochs say
//!    that it is of the same history (`follower.rs`); what it stands for is acknowledged when it is on
//!    disk. A candidate adopts a trimmed log only if it has the last entry that was trimmed
//!    (`takeover.rs`): whoever is a member has it.
//!
//! 9. **Recovery.** Where members are gone for good with what they had, no rule lets anybody lead. Then
//!    the operator's word counts ([`input::Input::DeclareDead`]): whoever was declared dead, and does not
//!    answer, is not waited for, but all others are, in either mode, and the best log of everybody who
//!    is there is adopted. Its first Config names the dead stores, for ever, and its epoch is far above
//!    all that were heard of, so that it outranks whatever the dead did alone. A store that is named so is
//!    not admitted; it is told in the hello, before it says anything, and halts with all that it has
//!    ([`effect::Halt::DeclaredDead`]). What only the dead had is lost to the cluster, nothing else is.
//!
//! 10. **Disks that hang or are slow.** A replica times its own disk as a leader times its members'. A member that
//!     acknowledges nothing new for `ack_timeout`, in however many sessions, leaves the view, once it knows
//!     that it does. A leader whose own disk is silent for as long *resigns*, if another member can take
//!     over: it stops being active and tells the others. A candidate that asks for the promise of a
//!     replica whose disk hangs is given an *excuse* ([`message::Message::Excused`]): that run of the
//!     replica refuses older epochs and is not active, now or after a crash, so rule (i) counts it as one
//!     that died. Rule (ii) and mode majority ask for promises, and an excuse is none. A disk that is slow and
//!     answers is waited for: the candidacy goes on while its own promise, or that of a replica which says so
//!     ([`message::Message::Promising`]), is on its way to the disk. A candidate whose own disk stalls
//!     waits as well, but asks nobody, so that others may stand. Who stands again proposes the same epoch,
//!     unless it led in it, was started since or saw a later one (`ballot.rs`): a promise for it that comes late
//!     still counts.
//!
//!     A member is *slow* if its acknowledgements, timed from the Append and over all sessions (`latency.rs`),
//!     took longer than `late_ack` three times in a row and for `ack_timeout`, while the disks of all
//!     others take a quarter of that. It leaves the view as one that stalls, if that keeps two members and the
//!     mode's minimum, and returns when no acknowledgement was late for ten seconds, twice as long each
//!     time. A leader whose own disk is the slow one resigns. Where all disks are slow nobody leaves: the
//!     limits grow with the leader's own writes (`pulse.rs`).
//!
//! 11. **Stores that went back, and ids that are taken.** An epoch has bits that are drawn for each
//!     candidacy: a replica that forgot that it led never leads in the same epoch again. Each replica
//!     notes up to where all members of a Config had the log on disk ([`effect::Effect::Settle`]), and says
//!     so in its hello ([`message::Acknowledged`]). A store that is named there and lacks the entry is an
//!     older state of itself, such as a copy that was put back: it halts ([`effect::Halt::WentBack`]). The
//!     word can be late and is never wrong, because a store keeps what it had when an entry was committed.
//!     Where nobody else has a later entry of that store, nobody can know. And an id belongs to whoever is
//!     there: a hello in the name of a replica that has a session, or of a member that was heard on another
//!     store, is refused until that one is silent for as long as the dead are.
//!     But the store of the member has the id before any other that came first, and the store of the last session
//!     is welcome again.
//!
//! 12. **Stores that were copied.** The shell can see that a store is another file than the one on which the
//!     replica ran last ([`config::Settings::copied`]). Such a store may be older than what anybody else knows of
//!     it, so it is *unconfirmed*: it follows, and catches up, but its promise is an excuse, and its
//!     acknowledgements commit nothing. It is confirmed by a leader that leads without its vote: once the store
//!     has what that leader knew to be committed, and, in mode majority, so many members have told what they
//!     promised that a later epoch cannot have been promised here and forgotten ([`effect::Effect::Confirmed`],
//!     `copied.rs`). Where nobody can lead without it, only the operator can say that it is the newest.
//!
//! *Why it holds.* A commit needs every member of the newest Config, so whoever has been a member
//! without a break holds every committed entry: rule (i). Consecutive committed Configs share a
//! member that holds the later one, so if every member of a Config answers and none knows a later
//! one, none was committed: rule (ii), which is Skeen's "last process to fail" (1985). The shape of
//! views and of the takeover is that of Viewstamped Replication Revisited (Liskov and Cowling,
//! 2012); the membership in the log is Raft's (Ongaro, 2014).
//!
//! # What is easy to get wrong
//!
//! - *Active* begins when the leader says, after a round trip since this replica's last break, that
//!   its newest Config has this replica and is committed. An old Config in a log that is being
//!   caught up says nothing, and neither does an Append that lay in a queue while this replica
//!   slept: hence the nonce that must come back.
//! - A promise counts against older epochs at once, for the new one when it is durable, and its
//!   answer carries the log as it then is on disk.
//! - An acknowledgement is of what is durable *and* known to be the leader's: a log's own tail may
//!   be another's.
//! - A member is an id *with a store*: a replaced disk is a stranger.
//! - Evidence of death (a session ended, and then two connections were refused where the peer said that it
//!   is reached) is acted on at once in mode available; in mode majority it never shortens a lease. Any
//!   other refusal only says that there is no session yet. A firewall that ends a session and then
//!   refuses looks just like a death: in mode available that is a partition.
//!
//! # Glossary
//!
//! *Leader*: appends and serves. *Backup*: a member that follows. *Learner*: follows without being a
//! member. *View*: the members of a Config, in an epoch. *Epoch*: one leader's term. *LSN*: position
//! in the log. *Commit position*: everything up to it is committed. *Active*: up without a break
//! since it learnt that a Config with it was committed. *Firm*: said of a Config that all its members
//! have applied, durably; even after an outage of all of them nobody else is asked for. *Promise*:
//! never to follow an older epoch. *Lease*: until when a leader may read. *Roster*: who may become a
//! member. *Snapshot*: the state at a position, which stands for the log up to there. *Trim*: to let
//! go of the beginning of the log. *Released*: said of a replica that was removed, when a Config without it is firm.
//! *Declared dead*: said of a store that the operator has given up. *Incarnation*: one run of a process. *Session*: one connection between two runs. *Transferee*: whom a
//! leader hands over to.
//!
//! # Caveats
//!
//! A pause that stops the replica's own clock, as a hypervisor can, shows in no gap between two ticks. It is
//! found when a message comes from a peer whose clock went on (`clocks.rs`): from then on it counts as any
//! sleep. Before that message nothing here can know of it. So a leader that was replaced in such a pause may
//! answer reads under its old lease until it reads the first message, and where it is cut off from all others,
//! until the rest of that lease is over. In mode available, if all who could tell it are dead when it
//! wakes, or were paused together with it, and nothing that they sent can be read any more, it goes on as if
//! they had died a moment ago, without what they committed in the meantime.
//!
//! Nothing here bounds the number of sessions or checks that a peer is who it says: the shell does.
//! Messages may be lost, repeated and late, and the heartbeats repair that; but a session that
//! reorders for long makes a leader send again and again.

#![no_std]

extern crate alloc;

pub mod config;
pub mod effect;
pub mod epochs;
pub mod id;
pub mod input;
pub mod log;
pub mod message;
#[cfg(feature = "mutations")]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
mod mutation;

mod adopting;
mod ballot;
#[cfg(feature = "mutations")]
mod broken;
mod candidate;
mod clocks;
mod copied;
mod follower;
mod following;
mod hello;
mod latency;
mod leader;
mod lease;
mod peer;
mod pre_vote;
mod progress;
mod pulse;
mod replica;
mod resignations;
mod role;
mod sending;
mod shared;
mod sleep;
mod status;
mod takeover;
mod transition;
mod view;

pub use replica::Replica;
pub use status::{RoleKind, Status};
