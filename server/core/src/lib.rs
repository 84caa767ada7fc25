//! The replication protocol of Tercet: a few replicas keep one log, and each applies it to its own state. This crate
//! is only the protocol: [`Replica::step`] takes one event ([`input::Input`]) and gives back the tasks that follow
//! from it ([`effect::Effect`]). It reads no clock, draws no random number, and does no I/O; the same inputs give the
//! same effects, byte for byte. The shell around it is `tercet-server`; the simulator runs this same code.
//!
//! # Faults
//!
//! Processes crash and start again at any time, together or one by one; they are paused and wake; disks are slow;
//! sessions break. A pause may stop the clock as well (see *Caveats*). In mode [`config::Mode::Available`] the
//! network must not partition the replicas: a lone survivor cannot tell a crash of the others from a partition. If a
//! partition does happen, both sides may continue, and their logs show it when they meet
//! ([`effect::Halt::Diverged`]). In mode [`config::Mode::Majority`] the network may do anything. Replicas do not lie,
//! and a store either keeps what it fsynced or is replaced as a whole, by one with a new identity.
//!
//! # Guarantees
//!
//! An entry that was committed is on the disk of every member of the view that committed it, and in the log of every
//! leader after it, at the same position. So an acknowledged write survives any two of three crashes, all three at
//! once, and any order of restarts. Reads under a lease ([`Replica::lease_until`]) see everything that was
//! acknowledged before them.
//!
//! # Protocol
//!
//! The order of ids is the order of precedence: *the leader is the lowest-numbered live member*.
//!
//! 1. **Commit.** The leader appends at the next LSN and sends at once to all replicas with a session. An entry is
//!    committed when every member of the *newest* [`config::Config`] has it on disk, counted only past that Config
//!    entry, and in the leader's own epoch (`leader.rs`).
//! 2. **Shrink and grow** are Config entries in the same epoch. An entry that lacks a dead member's acknowledgement
//!    is not committed before the shrink is. A view may shrink again before a shrink is committed, but not past the
//!    last member of a Config that may still be in force: a replica that is not in the view could start again by that
//!    Config. A view grows by one member at a time (`view.rs`).
//! 3. **Takeover.** A replica that knows no leader holds a pre-vote, which changes nothing. If it finds that it could
//!    win, and that no lower-numbered replica could, it promises itself an epoch above all that it has seen and asks
//!    the others for their promises (`pre_vote.rs`, `candidate.rs`, `ballot.rs`). It adopts the greatest log by
//!    (epoch of the last entry, length), appends a Config with the members of the adopted Config that promised, and
//!    serves once all of them have that entry. A takeover is allowed (`takeover.rs`)
//!    - (i) if the candidate is *active*, and every member of the Config has promised or is dead; or
//!    - (ii) if every member of the Config has promised;
//!    - in mode majority instead: if a majority of the Config has promised, and of every earlier Config that may
//!      still be in force, and the new view overlaps every majority of each.
//! 4. **Restart.** No replica is active after a start, so only (ii) is left, or a Config whose only member is the
//!    replica itself; until then a replica reports the replicas that it waits for.
//! 5. **Fencing.** Older epochs are refused. A leader that sees a newer one steps down, and its clients do not know
//!    the outcome of entries that it had not committed. A replica that follows a leader vetoes candidates: the
//!    leader's lease depends on that. The veto lasts longer than the lease by a margin
//!    ([`config::Timing::lease_margin`]), for the time between ticks and for clocks that drift.
//! 6. **Leadership transfer.** A lower-numbered member that came back gets the lead from the leader once it has
//!    everything; it never takes the lead itself. A leader that is to stop transfers the lead as well, and a backup
//!    leaves the view first.
//! 7. **Roster.** The state has the list of the replicas of the cluster ([`input::Input::Roster`]). Only they join a
//!    view; a member that is removed leaves the view, once it knows that (if it lives), and a leader does so after a
//!    leadership transfer. A replica that missed a change learns it as any learner does: a session only requires the
//!    same cluster. A removed replica stops when its leader *releases* it: the leader knows of the removal too, and a
//!    Config without that replica is *firm*. A replica that joins never makes a cluster of its own.
//! 8. **Trimming and snapshots.** The shell removes entries that are applied ([`input::Input::Trimmed`]). The first
//!    LSN of each epoch stays known for the whole log, so that logs can still be compared. A leader that trimmed the
//!    entries that a follower lacks tells it so, and the follower gets a snapshot of the state that the leader has
//!    applied ([`effect::Effect::FetchSnapshot`]). The snapshot replaces state and log if it goes further than the
//!    follower's commit position and its epochs show the same history (`following.rs`); it is acknowledged when it is
//!    on disk. A candidate adopts a trimmed log only if it has the last entry that was trimmed (`takeover.rs`); every
//!    member has it.
//!
//! 9. **Recovery.** Where members are gone for good with their stores, no rule allows a leader. Then the operator's
//!    declaration counts ([`input::Input::DeclareDead`]): a takeover does not wait for a replica that was declared
//!    dead and does not answer, but for all others, in either mode, and the best log of all that answer is adopted.
//!    Its first Config names the dead stores, for ever, and its epoch is far above all that were seen, so that it
//!    ranks above anything that the dead replicas did alone. A store that is named so is not admitted: the hello
//!    tells its replica first, which then halts and keeps its entries ([`effect::Halt::DeclaredDead`]). Only entries
//!    that only the dead stores had are lost to the cluster.
//!
//! 10. **Disks that hang or are slow.** A replica times its own disk as a leader times those of the members. A member
//!     that acknowledges nothing new for `ack_timeout`, over any number of sessions, leaves the view, once it knows
//!     that it does. A leader whose own disk does not answer for as long *resigns*, if another member can take over:
//!     it stops being active and tells the others. A replica whose disk hangs answers a candidate with an *excuse* in
//!     place of a promise ([`message::Message::Excused`]): that run of the replica refuses older epochs and is not
//!     active, now or after a crash, so rule (i) counts it as one that died. Rule (ii) and mode majority ask for
//!     promises, and an excuse is none. A candidacy waits for a disk that is slow and answers: it goes on while its
//!     own promise, or that of a replica that reports it ([`message::Message::Promising`]), is being written. A
//!     candidate whose own disk stalls waits as well, but sends no Prepare, so that others may become candidates. A
//!     replica that becomes a candidate again proposes the same epoch, unless it led in it, was started since or saw
//!     a later one (`ballot.rs`): then a promise that arrives late still counts.
//!
//!     A member is *slow* if its acknowledgements, timed from the Append and over all sessions (`latency.rs`), took
//!     longer than `late_ack` three times in a row and for `ack_timeout`, while the disks of all others take at most
//!     a quarter of that. It leaves the view as one that stalls does, if that keeps two members and the mode's
//!     minimum. It returns when no acknowledgement was late for ten seconds, and twice as long each time. A leader
//!     whose own disk is the slow one resigns. Where all disks are slow no member leaves: the limits grow with the
//!     latency of the leader's own writes (`pulse.rs`).
//!
//! 11. **Stores of an older state, and ids in use.** An epoch has bits that are drawn for each candidacy: a replica
//!     that forgot that it led never leads in the same epoch again. Each replica notes the LSN up to which all
//!     members of a Config had the log on disk ([`effect::Effect::Settle`]), and sends it in its hello
//!     ([`message::Acknowledged`]). A store that is named there and lacks the entry is an older state of itself, such
//!     as a copy that was put back: its replica halts ([`effect::Halt::WentBack`]). Such a hello may come late but is
//!     never wrong, because a store keeps every entry that it had when the entry was committed. If no other replica
//!     has a later entry of that store, this cannot be found. An id belongs to the process that uses it: a hello in
//!     the name of a replica that has a session, or of a member that was heard with another store, is refused until
//!     that process has been silent for as long as a dead one. But the store of the member has the id before any
//!     other that came first, and the store of the last session is admitted again.
//!
//! 12. **Stores that were copied.** The shell can see that a store is in another file than the one that the replica
//!     used last ([`config::Settings::copied`]). Such a store may be older than the others' knowledge of it, so it is
//!     *unconfirmed*: it follows, and catches up, but its promise is an excuse, and its acknowledgements commit
//!     nothing. A leader that leads without its vote confirms it: once the store has all entries that this leader
//!     knew to be committed, and, in mode majority, enough members have reported their promises that no later epoch
//!     can have been promised here and forgotten ([`effect::Effect::Confirmed`], `copied.rs`). Where no replica can
//!     lead without it, only the operator can say that it is the newest.
//!
//! *Why it holds.* A commit needs every member of the newest Config, so a replica that has been a member without a
//! break has every committed entry: rule (i). Consecutive committed Configs share a member that has the later one, so
//! if every member of a Config answers and none knows a later one, none was committed: rule (ii), which is Skeen's
//! "last process to fail" (1985). The form of views and of the takeover is that of Viewstamped Replication Revisited
//! (Liskov and Cowling, 2012); the membership in the log is Raft's (Ongaro, 2014).
//!
//! # What is easy to get wrong
//!
//! - *Active* begins when the leader says, after a round trip since this replica's last break, that its newest Config
//!   has this replica and is committed. An old Config in a log that is being caught up proves nothing, and neither
//!   does an Append that waited in a queue while this replica slept: that is why the nonce must come back.
//! - A promise counts against older epochs at once and for the new one when it is durable, and its answer carries the
//!   log as it then is on disk.
//! - An acknowledgement is of entries that are durable *and* known to be the leader's: the last entries of a log may
//!   come from another leader.
//! - A member is an id *with a store*: a replica with a replaced disk is no member.
//! - Evidence of death (a session ended, and then two connections were refused at the address that the peer gave) has
//!   its effect at once in mode available; in mode majority it never shortens a lease. Any other refusal only says
//!   that there is no session yet. A firewall that ends a session and then refuses connections looks just like a
//!   death: in mode available that is a partition.
//!
//! # Glossary
//!
//! *Leader*: appends and serves. *Backup*: a member that follows. *Learner*: a replica that follows without being a
//! member. *View*: the members of a Config, in an epoch. *Epoch*: the number of one leader. *LSN*: the position of an
//! entry in the log. *Commit position*: the LSN up to which everything is committed. *Active*: up without a break
//! since it learnt that a Config with it was committed. *Firm*: said of a Config that all its members have applied,
//! durably; even after an outage of all of them a takeover needs no other replica. *Promise*: a replica's vote for a
//! candidate's epoch; it accepts no lower epoch afterwards. *Lease*: the time in which a leader may read without
//! asking the others. *Roster*: the replicas that may become members. *Snapshot*: the state at one LSN, which
//! replaces the log up to there. *Trim*: to remove old entries from the log. *Released*: said of a replica that was
//! removed, when a Config without it is firm. *Declared dead*: said of a store that the operator has given up.
//! *Incarnation*: the run of a replica's process. *Session*: the exchange of messages between two runs, from hello to
//! end. *Transferee*: the member that gets the lead from a leader.
//!
//! # Caveats
//!
//! A pause that stops the replica's own clock, as a hypervisor can cause, leaves no gap between two ticks. It is
//! found when a message comes from a peer whose clock went on (`clocks.rs`): from then on it counts as any sleep.
//! Before that message nothing here can find it. So a leader that was replaced during such a pause may answer reads
//! under its old lease until it reads the first message, and, if it is cut off from all others, until the rest of
//! that lease is over. In mode available it continues as if the others had died a moment ago, without the entries
//! that they committed in the meantime, if all replicas that could show the pause are dead when it wakes, or were
//! paused together with it, and no message of theirs can be read any more.
//!
//! This crate does not limit the number of sessions or check the identity of a peer: the shell does. Messages may be
//! lost, repeated and late, and the heartbeats repair that; but a session that reorders messages for long makes a
//! leader send again and again.

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
