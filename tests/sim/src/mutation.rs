//! Runs in which every replica is broken in the same way, on purpose, to show that the checkers find it. Only the
//! feature `mutations` makes it possible.

use tercet_core::{Replica, config::Settings, id::StoreId, log::Recovered};

#[cfg(feature = "mutations")]
pub use tercet_core::mutation::Mutation;

/// A way to break the core: none in this build.
#[cfg(not(feature = "mutations"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {}

#[cfg(not(feature = "mutations"))]
impl Mutation {
    /// The list of all mutations.
    pub const ALL: &[Mutation] = &[];

    /// Gives the name of the mutation on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {}
    }
}

/// Finds the mutation with that name.
///
/// # Errors
/// If there is none: the error lists the names.
pub fn named(name: &str) -> Result<Mutation, String> {
    let mut all = Mutation::ALL.iter().copied();
    all.find(|mutation| mutation.name() == name).ok_or_else(|| {
        let names: Vec<_> = Mutation::ALL.iter().map(|m| m.name()).collect();
        match names.is_empty() {
            true => "mutations need a build with --features mutations".to_owned(),
            false => format!("no mutation {name}: one of {}", names.join(", ")),
        }
    })
}

/// Makes a replica that was just started, sound or broken.
#[must_use]
#[cfg_attr(not(feature = "mutations"), expect(unused_mut, unused_variables))]
pub fn replica(settings: Settings, recovered: Recovered, mutation: Option<Mutation>) -> Replica {
    let mut replica = Replica::new(settings, recovered);
    #[cfg(feature = "mutations")]
    if let Some(mutation) = mutation {
        replica.mutate(mutation);
    }
    replica
}

/// Gives the identity of an empty disk that replaces an old one.
#[must_use]
#[cfg_attr(not(feature = "mutations"), expect(unused_variables))]
pub fn store(old: StoreId, new: StoreId, mutation: Option<Mutation>) -> StoreId {
    #[cfg(feature = "mutations")]
    if mutation == Some(Mutation::WipedDiskKeepsItsName) {
        return old;
    }
    new
}
