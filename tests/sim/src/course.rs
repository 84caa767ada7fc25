//! What a run is led by: chance, within a profile, or a script.

use std::fmt;

use crate::{
    Outcome, profile::Profile, run_shaped, script, script::Script, shrink::Shape, trace::Detail,
};

/// Shown as the command line has it, without the dashes.
#[derive(Clone, Copy, Debug)]
pub enum Course {
    Chance(Profile),
    Script(Script),
}

impl Course {
    /// One run. Of the shape a script minds only the mutation.
    #[must_use]
    pub fn run(self, seed: u64, detail: Detail, shape: &Shape) -> Outcome {
        match self {
            Course::Chance(profile) => run_shaped(profile, seed, detail, shape),
            Course::Script(script) => script::run(script, shape.mutation, seed, detail),
        }
    }

    /// Kinds of fault that many runs must have had.
    #[must_use]
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Course::Chance(profile) => profile.required(),
            Course::Script(_) => &[],
        }
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Course::Chance(profile) => write!(f, "profile {profile}"),
            Course::Script(script) => write!(f, "script {}", script.name),
        }
    }
}
