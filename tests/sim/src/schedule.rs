//! The schedule of a run: chance within a profile, or a script.

use std::fmt;

use crate::{
    Outcome, profile::Profile, run_shaped, script, script::Script, shrink::Shape, trace::Detail,
};

/// A schedule; printed as the argument of the command line, without the dashes.
#[derive(Clone, Copy, Debug)]
pub enum Schedule {
    Random(Profile),
    Script(Script),
}

impl Schedule {
    /// Runs one seed. A script uses only the mutation of the shape.
    #[must_use]
    pub fn run(self, seed: u64, detail: Detail, shape: &Shape) -> Outcome {
        match self {
            Schedule::Random(profile) => run_shaped(profile, seed, detail, shape),
            Schedule::Script(script) => script::run(script, shape.mutation, seed, detail),
        }
    }

    /// Gives the kinds of fault that many runs must have had.
    #[must_use]
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Schedule::Random(profile) => profile.required(),
            Schedule::Script(_) => &[],
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Random(profile) => write!(f, "profile {profile}"),
            Schedule::Script(script) => write!(f, "script {}", script.name),
        }
    }
}
