//! The search for an order: depth first, every place visited once.

use std::collections::HashSet;

use crate::{Model, Operation, Verdict, placed::Placed};

/// Looks for an order of `history` that `model` permits, in at most `states_max` states.
///
/// # Panics
/// When an operation was answered before it was asked.
#[must_use]
pub fn check<M: Model>(model: &M, history: &[Operation<M::Op>], states_max: usize) -> Verdict {
    Search::new(model, history).run(states_max)
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation<M::Op>],
    /// Positions of what was answered, by the time it was asked.
    answered: Vec<usize>,
    /// Positions of what was not, by the time it was asked.
    open: Vec<usize>,
}

/// The progress of an order: everything that its continuation depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place<S> {
    /// Of [`Search::answered`].
    answered: Placed,
    /// Of [`Search::open`].
    open: Placed,
    state: S,
}

/// A place on the way of the search.
struct Step<S> {
    place: Place<S>,
    /// The operation that leads here, as a position in the history.
    by: Option<usize>,
    /// The choices that are still to be tried here, the next one last.
    untried: Vec<Choice>,
    /// Whether `untried` is already of what has no answer.
    tried_answered: bool,
}

#[derive(Clone, Copy)]
enum Choice {
    Answered(usize),
    Open(usize),
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a [Operation<M::Op>]) -> Self {
        for operation in history {
            let ended = operation.responded.unwrap_or(u64::MAX);
            assert!(operation.invoked <= ended, "answered before it was asked");
        }
        let mut positions: Vec<usize> = (0..history.len()).collect();
        positions.sort_by_key(|position| history[*position].invoked);
        let (answered, open) = positions
            .into_iter()
            .partition(|position| history[*position].responded.is_some());
        Search {
            model,
            history,
            answered,
            open,
        }
    }

    fn run(&self, states_max: usize) -> Verdict {
        let start = Place {
            answered: Placed::default(),
            open: Placed::default(),
            state: self.model.initial(),
        };
        let mut seen = HashSet::from([start.clone()]);
        let mut longest = Vec::new();
        let mut stuck = self.answered_first(&start);
        let mut way = vec![self.step_to(start, None)];
        while let Some(step) = way.last_mut() {
            if step.place.answered.all_below() == self.answered.len() {
                return Verdict::Linearizable;
            }
            let Some(choice) = self.next_choice(step) else {
                if way.len() > longest.len() + 1 {
                    stuck = self.answered_first(&way[way.len() - 1].place);
                    longest = way.iter().filter_map(|step| step.by).collect();
                }
                way.pop();
                continue;
            };
            let Some((place, by)) = self.take(&step.place, choice) else {
                continue;
            };
            if seen.contains(&place) {
                continue;
            }
            if seen.len() >= states_max {
                return Verdict::Unknown { states: states_max };
            }
            seen.insert(place.clone());
            way.push(self.step_to(place, Some(by)));
        }
        Verdict::Violation {
            prefix: longest,
            stuck: stuck.expect("what is complete was accepted"),
        }
    }

    fn step_to(&self, place: Place<M::State>, by: Option<usize>) -> Step<M::State> {
        let untried = self.answered_choices(&place);
        Step {
            place,
            by,
            untried,
            tried_answered: false,
        }
    }

    /// Gives answered operations first, in the order of their questions, and then those without an answer, as
    /// they may not have happened.
    fn next_choice(&self, step: &mut Step<M::State>) -> Option<Choice> {
        if step.untried.is_empty() && !step.tried_answered {
            step.tried_answered = true;
            step.untried = self.open_choices(&step.place);
        }
        step.untried.pop()
    }

    /// Where `choice` leads, and its position; `None` when the model does not permit it.
    fn take(&self, place: &Place<M::State>, choice: Choice) -> Option<(Place<M::State>, usize)> {
        let position = match choice {
            Choice::Answered(number) => self.answered[number],
            Choice::Open(number) => self.open[number],
        };
        let state = self.model.step(&place.state, &self.history[position].op)?;
        let (mut answered, mut open) = (place.answered.clone(), place.open.clone());
        match choice {
            Choice::Answered(number) => answered.insert(number),
            Choice::Open(number) => open.insert(number),
        }
        let next = Place {
            answered,
            open,
            state,
        };
        Some((next, position))
    }

    fn answered_choices(&self, place: &Place<M::State>) -> Vec<Choice> {
        let candidates = place.answered.all_below()..self.asked_in_time(place, &self.answered);
        let missing = candidates.filter(|number| !place.answered.contains(*number));
        missing.rev().map(Choice::Answered).collect()
    }

    fn open_choices(&self, place: &Place<M::State>) -> Vec<Choice> {
        let candidates = place.open.all_below()..self.asked_in_time(place, &self.open);
        let missing = candidates.filter(|number| !place.open.contains(*number));
        missing.rev().map(Choice::Open).collect()
    }

    /// Gives the number of `list` that may be next by the clock: they were asked before any operation
    /// that is still to be placed was answered.
    fn asked_in_time(&self, place: &Place<M::State>, list: &[usize]) -> usize {
        let first = self.answered_first(place);
        let limit = first.and_then(|position| self.history[position].responded);
        list.partition_point(|position| Some(self.history[*position].invoked) <= limit)
    }

    /// The position of what was answered before all else that is still to be placed.
    fn answered_first(&self, place: &Place<M::State>) -> Option<usize> {
        let mut first: Option<(u64, usize)> = None;
        for number in place.answered.all_below()..self.answered.len() {
            let position = self.answered[number];
            let operation = &self.history[position];
            if first.is_some_and(|(responded, _)| operation.invoked > responded) {
                break;
            }
            let responded = operation.responded.unwrap_or(u64::MAX);
            if !place.answered.contains(number)
                && first.is_none_or(|(earliest, _)| responded < earliest)
            {
                first = Some((responded, position));
            }
        }
        first.map(|(_, position)| position)
    }
}
