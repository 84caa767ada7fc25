//! The accounts of a load, and the texts of their messages.

use std::collections::HashSet;
use std::time::Instant;

use tercet_client::Client;
use uuid::Uuid;

use super::measurements::Kind;
use super::options::Common;
use super::random::{Ids, Random};
use super::run::Run;
use crate::accounts::{self, Wanted};
use crate::failure::Failure;

/// The number of different bodies.
const BODIES: usize = 64;
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz      ";

/// An account with a login session.
pub struct Member {
    pub name: String,
    pub client: Client,
}

pub struct Accounts {
    pub members: Vec<Member>,
    pub random: Random,
    pub ids: Ids,
    bodies: Vec<String>,
}

impl Accounts {
    /// Registers the missing accounts, and logs all in.
    ///
    /// # Errors
    /// When an account has another password, or nobody leads for too long.
    pub async fn gather(client: &Client, common: &Common, count: u32) -> Result<Accounts, Failure> {
        Accounts::gather_from(client, common, 1, count).await
    }

    /// As [`Accounts::gather`], for the accounts from number `first` on.
    ///
    /// # Errors
    /// As there.
    pub async fn gather_from(
        client: &Client,
        common: &Common,
        first: u32,
        count: u32,
    ) -> Result<Accounts, Failure> {
        let wanted = |number: u32| Wanted {
            name: format!("{}-{number}", common.prefix),
            password: common.password.clone(),
            logs_in: true,
        };
        let wanted: Vec<Wanted> = (first..first + count).map(wanted).collect();
        let names: Vec<String> = wanted.iter().map(|one| one.name.clone()).collect();
        // The first account lists the others that exist: a login costs half as much as a registration.
        let (one, rest) = wanted.split_at(wanted.len().min(1));
        let first = accounts::prepare(client, one.to_vec(), HashSet::new()).await?;
        let there = match first.first().and_then(|ready| ready.client.as_ref()) {
            Some(client) => accounts::names(client, &format!("{}-", common.prefix)).await?,
            None => HashSet::new(),
        };
        let rest = accounts::prepare(client, rest.to_vec(), there).await?;
        let ready = first.into_iter().chain(rest);
        let members = names.into_iter().zip(ready).filter_map(|(name, ready)| {
            let client = ready.client?;
            Some(Member { name, client })
        });
        let random = Random::new(common.seed);
        Ok(Accounts {
            members: members.collect(),
            bodies: (0..BODIES).map(|_| body(&random, common.size)).collect(),
            random,
            ids: Ids::default(),
        })
    }

    pub fn body(&self) -> &str {
        &self.bodies[self.random.below(BODIES)]
    }

    /// Sends a message from one member to another, and counts it.
    pub async fn send(&self, run: &Run, due: Instant, from: usize, to: usize) {
        let (id, _) = self.ids.next();
        self.send_as(run, due, id, from, &self.members[to].name)
            .await;
    }

    /// Sends a message under an id, and counts it; true when it was acknowledged.
    pub async fn send_as(&self, run: &Run, due: Instant, id: Uuid, from: usize, to: &str) -> bool {
        let client = &self.members[from].client;
        let sent = client.send_message_as(id, to, self.body()).await;
        run.count(Kind::Send, due, &sent);
        run.count_stored(sent.is_ok().into());
        sent.is_ok()
    }
}

fn body(random: &Random, size: u32) -> String {
    let letter = |_| char::from(LETTERS[random.below(LETTERS.len())]);
    (0..size).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_size_that_was_asked() {
        let random = Random::new(1);
        for size in [1, 100, 16_384] {
            assert_eq!(body(&random, size).len(), size as usize);
        }
        assert_ne!(body(&random, 100), body(&random, 100));
    }
}
