//! Runs the checker over a specification, and tells a counterexample as readable steps.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    actions::{Action, Spec},
    properties::Property,
    state::State,
};

/// In which order states are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Breadth first: with one thread, what is found has the fewest steps.
    Shortest,
    /// Depth first: in a fraction of the memory.
    Deep,
}

#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub search: Search,
    pub threads: usize,
    pub time_limit: Option<Duration>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Different states visited.
    pub unique: usize,
    /// Steps taken, to states old and new.
    pub total: usize,
    pub depth: usize,
    pub elapsed: Duration,
    pub verdict: Verdict,
}

#[derive(Debug)]
pub enum Verdict {
    /// Every state of the scope was visited, and everything asked holds in each.
    Holds,
    /// The time limit came first.
    Unfinished,
    Refuted(Counterexample),
}

/// A way from the founding to a state in which `property` does not hold.
#[derive(Debug)]
pub struct Counterexample {
    pub property: &'static str,
    pub start: State,
    pub steps: Vec<(Action, State)>,
}

/// The checker asks one question, whether everything holds: with several it would go on after
/// the first answer, and not always tell the shortest way.
const EVERYTHING: &str = "everything holds";

struct Question {
    spec: Spec,
    asked: &'static [Property],
    /// The checker looks at its own time limit only where threads share work: one thread never
    /// would. So everything is out of bounds once this has passed.
    deadline: Option<Instant>,
}

impl Question {
    fn broken(&self, state: &State) -> Option<&'static str> {
        let mut asked = self.asked.iter();
        asked
            .find(|property| !(property.holds)(&self.spec, state))
            .map(|property| property.name)
    }
}

impl Model for Question {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::founded(&self.spec.scope)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.spec.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.spec.step(state, action)
    }

    fn within_boundary(&self, _: &State) -> bool {
        self.deadline
            .is_none_or(|deadline| Instant::now() < deadline)
    }

    fn properties(&self) -> Vec<stateright::Property<Question>> {
        let everything = |question: &Question, state: &State| question.broken(state).is_none();
        vec![stateright::Property::always(EVERYTHING, everything)]
    }
}

/// Visits every state that `spec` can reach, until one breaks a property.
///
/// # Panics
/// When the scope lets logs grow longer than the model has room for.
#[must_use]
pub fn check(spec: Spec, asked: &'static [Property], effort: Effort) -> Report {
    let began = Instant::now();
    let question = Question {
        spec,
        asked,
        deadline: effort.time_limit.map(|limit| began + limit),
    };
    let builder = question.checker().threads(effort.threads);
    let builder = builder.finish_when(HasDiscoveries::Any);
    match effort.search {
        Search::Shortest => report(&builder.spawn_bfs().join(), effort, began),
        Search::Deep => report(&builder.spawn_dfs().join(), effort, began),
    }
}

fn report(checker: &impl Checker<Question>, effort: Effort, began: Instant) -> Report {
    let elapsed = began.elapsed();
    let verdict = match checker.discovery(EVERYTHING) {
        Some(path) => {
            let property = checker.model().broken(path.last_state());
            let mut states = path.clone().into_states().into_iter();
            let start = states.next().expect("a path has a start");
            Verdict::Refuted(Counterexample {
                property: property.expect("the last state breaks something"),
                start,
                steps: path.into_actions().into_iter().zip(states).collect(),
            })
        }
        None if effort.time_limit.is_some_and(|limit| elapsed >= limit) => Verdict::Unfinished,
        None => Verdict::Holds,
    };
    Report {
        unique: checker.unique_state_count(),
        total: checker.state_count(),
        depth: checker.max_depth(),
        elapsed,
        verdict,
    }
}

impl Counterexample {
    /// The steps, each with the replicas it changed.
    #[must_use]
    pub fn tell(&self) -> String {
        let mut text = String::new();
        let mut before = &self.start;
        for (number, (action, after)) in self.steps.iter().enumerate() {
            let _ = writeln!(text, "{:>3}. {action}", number + 1);
            for id in after
                .ids()
                .filter(|&id| before.replicas[id] != after.replicas[id])
            {
                let _ = writeln!(text, "       {}: {}", id + 1, after.replicas[id]);
            }
            if before.committed != after.committed {
                let _ = writeln!(text, "       committed: {}", after.committed);
            }
            before = after;
        }
        let _ = write!(text, "broken: {}", self.property);
        text
    }
}
