//! Puts into words what happens: one line for each event worth a reader's time.
//!
//! Left out are Pings, pre-votes that find no leader, repeated messages, and empty Appends and
//! their answers when they tell nothing new.

use std::collections::BTreeMap;

use tercet_core::{
    RoleKind, Status,
    config::LoggedConfig,
    effect::{Halt, Rejection, Write},
    id::{Epoch, Lsn, ReplicaId, StoreId},
    log::{Entry, Payload},
    message::{Append, Message, VoteState},
};

use super::text;

/// So many entries are told one by one.
const ENTRIES_TOLD_MAX: usize = 4;

#[derive(Default)]
pub struct Teller {
    lines: Vec<String>,
    pub quiet: bool,
    /// Microseconds since the command began, and when the last line was written.
    elapsed: u64,
    told_at: u64,
    told: BTreeMap<(ReplicaId, ReplicaId), Told>,
}

/// The last lines written about the messages from one replica to another.
#[derive(Default)]
struct Told {
    commit: Lsn,
    prev: Lsn,
    appended: Option<(Epoch, Lsn, bool)>,
    other: String,
}

impl Teller {
    pub fn begin(&mut self) {
        self.elapsed = 0;
        self.told_at = 0;
    }

    pub fn end(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    pub fn time_passes(&mut self, micros: u64) {
        self.elapsed += micros;
    }

    pub fn line(&mut self, line: String) {
        if self.quiet {
            return;
        }
        if self.told_at != self.elapsed {
            self.told_at = self.elapsed;
            self.lines.push(format!("at {} ms", self.elapsed / 1000));
        }
        self.lines.push(line);
    }

    /// A new session: what was said in an older one may be said again.
    pub fn forget(&mut self, from: ReplicaId, to: ReplicaId) {
        self.told.remove(&(from, to));
    }

    /// The line for a message that arrives, if it is worth one.
    pub fn message(
        &mut self,
        from: ReplicaId,
        to: ReplicaId,
        message: &Message,
        receiver: &Status,
    ) -> Option<String> {
        let told = self.told.entry((from, to)).or_default();
        let what = match message {
            Message::Ping { promised, .. } => {
                let deposes = receiver.role == RoleKind::Leader && *promised > receiver.epoch;
                deposes.then(|| format!("Ping, promised {promised}"))
            }
            Message::Append(append) => told.append(append),
            Message::Appended {
                epoch,
                matched,
                active,
                ..
            } => told.appended(*epoch, *matched, *active),
            other => told.news(other),
        };
        what.map(|what| format!("{from} -> {to} {what}"))
    }

    pub fn persisted(&mut self, id: ReplicaId, write: &Write) {
        let mut parts = Vec::new();
        if let Some(epoch) = write.promised {
            parts.push(format!("{id} persists promise {epoch}"));
        }
        if let Some(from) = write.truncate_from {
            parts.push(format!("{id} cuts its log from {from} on"));
        }
        if !write.entries.is_empty() {
            parts.push(format!("{id} persists {}", entries(&write.entries)));
        }
        self.line(parts.join("; "));
    }

    pub fn applied(&mut self, id: ReplicaId, entries: &[Entry]) {
        self.line(format!("{id} applies {}", range(entries)));
    }

    pub fn rejected(&mut self, id: ReplicaId, text: &str, rejection: Rejection) {
        let why = match rejection {
            Rejection::NotLeader(Some(leader)) => format!("not the leader, {leader} is"),
            Rejection::NotLeader(None) => "not the leader, and knows none".into(),
            Rejection::InTransition => "in transition".into(),
            Rejection::Busy => "busy".into(),
            Rejection::NoQuorum => "no quorum".into(),
        };
        self.line(format!("{id} rejects {text}: {why}"));
    }

    pub fn abandoned(&mut self, id: ReplicaId, accepted: &BTreeMap<Lsn, String>) {
        let texts: Vec<_> = accepted.values().map(String::as_str).collect();
        let what = match texts.is_empty() {
            true => "and leaves no client without an answer".into(),
            false => format!("and does not know the fate of {}", texts.join(", ")),
        };
        self.line(format!("{id} no longer leads, {what}"));
    }

    pub fn halted(&mut self, id: ReplicaId, halt: &Halt) {
        let why = match halt {
            Halt::Left => "left the view".into(),
            Halt::Diverged { lsn, leader } => {
                format!("diverged from leader {leader}, seen at {lsn}")
            }
            Halt::WentBack { peer, lsn } => {
                format!("{peer} has entry {lsn}, which it acknowledged")
            }
            Halt::DeclaredDead { peer } => format!("{peer} says that it was declared dead"),
            Halt::ForeignCluster { peer, .. } => format!("{peer} belongs to another cluster"),
        };
        self.line(format!("{id} halts: {why}"));
    }

    /// Writes the changes of a replica in one step.
    pub fn change(&mut self, id: ReplicaId, before: &Status, after: &Status) {
        let leads = |status: &Status| status.role == RoleKind::Leader;
        if before.role != after.role || (before.leader != after.leader && !leads(after)) {
            self.line(format!("{id} is {}", role(after)));
        }
        if !before.serving && after.serving {
            self.line(format!("{id} serves"));
        }
        if before.active != after.active {
            let not = if after.active { "" } else { "not " };
            let more = if after.active { "" } else { " any more" };
            self.line(format!("{id} is {not}active{more}"));
        }
        if !before.released && after.released {
            self.line(format!("{id} is released"));
        }
    }
}

impl Told {
    fn append(&mut self, append: &Append) -> Option<String> {
        let Append {
            prev_lsn, commit, ..
        } = append;
        let news = *commit > self.commit;
        let back = *prev_lsn < self.prev;
        self.commit = self.commit.max(*commit);
        self.prev = Lsn(prev_lsn.0 + append.entries.len() as u64);
        let mut what = match (append.entries.as_slice(), back) {
            ([], true) => format!("Append after {prev_lsn}"),
            ([], false) if !news => return None,
            ([], false) => "Append".into(),
            (entries, _) => format!("Append {}", range(entries)),
        };
        if news {
            what += &format!(", commit {commit}");
        }
        Some(what)
    }

    fn appended(&mut self, epoch: Epoch, matched: Lsn, active: bool) -> Option<String> {
        let appended = Some((epoch, matched, active));
        if self.appended == appended || (matched == Lsn::ZERO && !active) {
            return None;
        }
        self.appended = appended;
        let active = if active { ", active" } else { "" };
        Some(format!("Appended {matched}{active}"))
    }

    fn news(&mut self, message: &Message) -> Option<String> {
        let what = other(message)?;
        if self.other == what {
            return None;
        }
        self.other.clone_from(&what);
        Some(what)
    }
}

/// Messages that are told once, until something else is said.
fn other(message: &Message) -> Option<String> {
    Some(match message {
        Message::AppendMismatch { retry_from, .. } => {
            format!("AppendMismatch from {retry_from} on")
        }
        Message::SnapshotNeeded { lsn_min, .. } => format!("SnapshotNeeded, of {lsn_min} or later"),
        Message::Fenced { promised } => format!("Fenced by {promised}"),
        Message::PreVoteReply {
            hears: Some(leader),
            ..
        } => format!("PreVoteReply, hears {leader}"),
        Message::Prepare {
            epoch,
            transferred_from,
        } => match transferred_from {
            Some(old) => format!("Prepare {epoch}, handed over by {old}"),
            None => format!("Prepare {epoch}"),
        },
        Message::Promised { epoch, vote_state } => {
            format!("Promised {epoch}, {}", stands(vote_state))
        }
        Message::Vetoed { epoch } => format!("Vetoed {epoch}"),
        Message::Pull { epoch, from } => format!("Pull {epoch} from {from} on"),
        Message::Pulled { epoch, entries, .. } => format!("Pulled {epoch} {}", range(entries)),
        Message::LeadershipTransfer { epoch } => format!("LeadershipTransfer {epoch}"),
        Message::Nominate { epoch } => format!("Nominate {epoch}"),
        Message::Promising { epoch } => format!("Promising {epoch}"),
        Message::Excused { epoch } => format!("Excused {epoch}"),
        Message::Resigned { epoch } => format!("Resigned {epoch}"),
        Message::Leave => "Leave".into(),
        Message::Ping { .. }
        | Message::Append(_)
        | Message::Appended { .. }
        | Message::PreVote { .. }
        | Message::PreVoteReply { hears: None, .. } => return None,
    })
}

fn stands(vote_state: &VoteState) -> String {
    let mut what = log(vote_state.last_entry.lsn, vote_state.last_entry.epoch);
    if let Some(config) = vote_state.config() {
        what += &format!(" view {}", members(&config.members));
    }
    if vote_state.active {
        what += " active";
    }
    if vote_state.leaving {
        what += " leaving";
    }
    what
}

fn log(last: Lsn, epoch: Epoch) -> String {
    match last {
        Lsn::ZERO => "empty log".into(),
        last => format!("log {last} of {epoch}"),
    }
}

fn range(entries: &[Entry]) -> String {
    match entries {
        [] => "nothing".into(),
        [one] => one.lsn.to_string(),
        [first, .., last] => format!("{}..{}", first.lsn, last.lsn),
    }
}

fn entries(entries: &[Entry]) -> String {
    if entries.len() > ENTRIES_TOLD_MAX {
        return range(entries);
    }
    let told = entries.iter().map(|entry| match entry.payload {
        Payload::Config(_) => format!("{} view {}", entry.lsn, text(&entry.payload)),
        Payload::Command(_) => format!("{} {}", entry.lsn, text(&entry.payload)),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// `{1,2,3'}`: a prime for each time that the disk was replaced.
pub fn members(members: &BTreeMap<ReplicaId, StoreId>) -> String {
    let members = members.iter().map(|(id, store)| {
        let wipes = usize::try_from(store.0 / 1000).expect("few wipes");
        format!("{id}{}", "'".repeat(wipes))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn role(status: &Status) -> String {
    let leader = status.leader.map_or("nobody".into(), |id| id.to_string());
    match status.role {
        RoleKind::Leader => format!("leader of {}", status.epoch),
        RoleKind::Backup => format!("backup of {leader}"),
        RoleKind::Learner => format!("learner of {leader}"),
        RoleKind::Candidate => format!("candidate for {}", status.epoch),
        RoleKind::Waiting => "waiting".into(),
    }
}

/// One line on how a replica stands.
pub fn status(id: ReplicaId, status: &Status) -> String {
    let mut line = format!("{id} {}", role(status));
    if !status.waiting_for.is_empty() {
        let names = status.waiting_for.iter().map(ToString::to_string);
        line += &format!(" for {}", names.collect::<Vec<_>>().join(" and "));
    }
    if status.serving {
        line += ", serving";
    }
    if status.role != RoleKind::Leader && status.role != RoleKind::Candidate {
        line += &format!(", epoch {}", status.epoch);
    }
    match &status.config {
        Some(LoggedConfig { lsn, config }) => {
            line += &format!(", view {} of {lsn}", members(&config.members))
        }
        None => line += ", no view",
    }
    line += &format!(", log {}, commit {}", status.last, status.commit);
    if status.active {
        line += ", active";
    }
    if status.unconfirmed {
        line += ", unconfirmed";
    }
    line
}
