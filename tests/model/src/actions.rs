//! The actions of the model. Each action is a function in `leading.rs`, `takeover.rs` or `faults.rs`: its
//! guards first, then its effect; `None` when a guard does not hold.

use std::fmt;

use crate::{
    log::{Id, Set},
    mutation::Mutation,
    scope::{Mode, Scope},
    state::State,
};

/// The specification: the protocol in a scope, perhaps with one rule changed.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub scope: Scope,
    pub mutation: Option<Mutation>,
}

/// One step. Replicas are named in the order (who acts, with whom).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The leader appends a client's write.
    Write(Id),
    /// The leader's log up to a position reaches another replica, which acknowledges it.
    Append(Id, Id, u8),
    /// The same, and the leader dies, fsynced as in `Crash`, before it hears the answer.
    LastWords(Id, Id, u8, Option<u8>),
    /// A leader alone in its view commits what it has fsynced.
    Commit(Id),
    /// The leader puts these out of the view.
    Shrink(Id, Set),
    /// The leader puts one out of the view, and a learner in its place.
    Replace(Id, Id, Id),
    /// The leader takes a learner into the view.
    Grow(Id, Id),
    /// The leader tells a live member with a stalled disk that it is none, and hears that it knows.
    Dismiss(Id, Id),
    /// The leader tells a dismissed member that it is one after all.
    TakeBack(Id, Id),
    /// The Append that made this replica active arrives once more.
    Repeat(Id),
    /// A replica proposes an epoch above its own, or above all that it can have heard of.
    Stand(Id, Heard),
    /// The second promises the first one's epoch.
    Promise(Id, Id),
    /// A candidate adopts the best log and leads.
    Lead(Id, Counting),
    /// A candidate adopts a part of the best log, and gets no further.
    AdoptPart(Id, u8),
    /// A process dies, with its log fsynced up to a position, or with nothing new fsynced.
    Crash(Id, Option<u8>),
    Restart(Id),
    /// A replica starts again on an empty disk.
    RestartWiped(Id),
    /// Mode available: the first finds that the second lives.
    Meet(Id, Id),
    /// Mutation: the first takes the second, which lives, for dead.
    Suspect(Id, Id),
}

/// Of which epochs a candidate has heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    Own,
    All,
}

/// Whether a candidate counts the promises of those whose session with it has ended since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    All,
    Linked,
}

/// A guard: `when(x)?` ends an action that is not possible.
pub(crate) fn when(guard: bool) -> Option<()> {
    guard.then_some(())
}

impl Spec {
    pub(crate) fn mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    pub(crate) fn available(&self) -> bool {
        self.scope.mode == Mode::Available
    }

    /// The smallest number of members that a view may have.
    pub(crate) fn view_min(&self) -> u32 {
        match self.scope.mode {
            Mode::Majority if !self.mutated(Mutation::MajorityAlone) => 2,
            _ => 1,
        }
    }

    /// Every action that might be possible: `step` knows which are.
    pub fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for a in state.ids() {
            let replica = &state.replicas[a];
            if !replica.up {
                actions.extend([Action::Restart(a), Action::RestartWiped(a)]);
                continue;
            }
            let others = state.ids().filter(|&b| b != a);
            if replica.leads() {
                actions.extend([Action::Write(a), Action::Commit(a)]);
                for b in others.clone() {
                    for to in 1..=replica.log.len() {
                        actions.push(Action::Append(a, b, to));
                        let fsynced = replica.fsynced();
                        actions.extend(fsynced.map(|on_disk| Action::LastWords(a, b, to, on_disk)));
                    }
                    let with = [
                        Action::Grow(a, b),
                        Action::Dismiss(a, b),
                        Action::TakeBack(a, b),
                    ];
                    actions.extend(with);
                    let learners = others.clone().filter(|&c| c != b);
                    actions.extend(learners.map(|c| Action::Replace(a, b, c)));
                }
                let members = others.clone().collect::<Set>();
                actions.extend(members.subsets().map(|out| Action::Shrink(a, out)));
            }
            actions.extend([Action::Stand(a, Heard::Own), Action::Stand(a, Heard::All)]);
            actions.extend([
                Action::Lead(a, Counting::All),
                Action::Lead(a, Counting::Linked),
            ]);
            let longest = state
                .replicas
                .iter()
                .map(|r| r.log.len())
                .max()
                .unwrap_or(0);
            actions.extend((1..longest).map(|to| Action::AdoptPart(a, to)));
            for b in others {
                let with = [
                    Action::Promise(a, b),
                    Action::Meet(a, b),
                    Action::Suspect(a, b),
                ];
                actions.extend(with);
            }
            actions.push(Action::Repeat(a));
            actions.extend(replica.fsynced().map(|on_disk| Action::Crash(a, on_disk)));
        }
    }

    /// The state after an action; `None` if it is not possible or changes nothing.
    #[must_use]
    pub fn step(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        (next != *state).then_some(next)
    }

    pub(crate) fn act(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Write(l) => self.write(s, l),
            Action::Append(l, f, to) => self.append(s, l, f, to),
            Action::LastWords(l, f, to, fsynced) => self.last_words(s, l, f, to, fsynced),
            Action::Commit(l) => self.commit(s, l),
            Action::Shrink(l, out) => self.shrink(s, l, out),
            Action::Replace(l, out, learner) => self.replace(s, l, out, learner),
            Action::Grow(l, f) => self.grow(s, l, f),
            Action::Dismiss(l, f) => self.dismiss(s, l, f),
            Action::TakeBack(l, f) => self.take_back(s, l, f),
            Action::Repeat(f) => self.repeat(s, f),
            Action::Stand(c, heard) => self.stand(s, c, heard),
            Action::Promise(c, f) => self.promise(s, c, f),
            Action::Lead(c, counting) => self.lead(s, c, counting),
            Action::AdoptPart(c, to) => self.adopt_part(s, c, to),
            Action::Crash(r, fsynced) => self.crash(s, r, fsynced),
            Action::Restart(r) => self.restart(s, r),
            Action::RestartWiped(r) => self.restart_wiped(s, r),
            Action::Meet(a, b) => self.meet(s, a, b),
            Action::Suspect(a, b) => self.suspect(s, a, b),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |id: &Id| id + 1;
        match self {
            Action::Write(l) => write!(f, "{} appends a client's write", n(l)),
            Action::Append(l, r, to) => {
                write!(
                    f,
                    "{} sends its log up to {to} to {}, which acknowledges",
                    n(l),
                    n(r)
                )
            }
            Action::LastWords(l, r, to, fsynced) => {
                write!(
                    f,
                    "{} sends its log up to {to} to {}, but then ",
                    n(l),
                    n(r)
                )?;
                Action::Crash(*l, *fsynced).fmt(f)
            }
            Action::Commit(l) => write!(f, "{} commits alone", n(l)),
            Action::Shrink(l, out) => write!(f, "{} puts {out} out of its view", n(l)),
            Action::Replace(l, out, r) => {
                write!(
                    f,
                    "{} puts {} out of its view and {} in",
                    n(l),
                    n(out),
                    n(r)
                )
            }
            Action::Grow(l, r) => write!(f, "{} takes {} into its view", n(l), n(r)),
            Action::Dismiss(l, r) => {
                write!(
                    f,
                    "{} tells {}, whose disk stalls, that it is no member",
                    n(l),
                    n(r)
                )
            }
            Action::TakeBack(l, r) => {
                write!(f, "{} tells {} that it is a member after all", n(l), n(r))
            }
            Action::Repeat(r) => write!(f, "{} gets an earlier Append once more", n(r)),
            Action::Stand(c, Heard::Own) => write!(f, "{} stands", n(c)),
            Action::Stand(c, Heard::All) => write!(f, "{} stands above all epochs", n(c)),
            Action::Promise(c, r) => write!(f, "{} promises {} its epoch", n(r), n(c)),
            Action::Lead(c, Counting::All) => write!(f, "{} leads", n(c)),
            Action::Lead(c, Counting::Linked) => {
                write!(
                    f,
                    "{} leads without those who died since their promise",
                    n(c)
                )
            }
            Action::AdoptPart(c, to) => {
                write!(f, "{} adopts the best log up to {to} and gives up", n(c))
            }
            Action::Crash(r, None) => write!(f, "{} crashes", n(r)),
            Action::Crash(r, Some(to)) => write!(f, "{} fsyncs up to {to} and crashes", n(r)),
            Action::Restart(r) => write!(f, "{} starts again", n(r)),
            Action::RestartWiped(r) => write!(f, "{} starts again on an empty disk", n(r)),
            Action::Meet(a, b) => write!(f, "{} finds that {} lives", n(a), n(b)),
            Action::Suspect(a, b) => write!(f, "{} takes {}, which lives, for dead", n(a), n(b)),
        }
    }
}
