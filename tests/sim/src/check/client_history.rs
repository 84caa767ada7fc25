//! The history of operations as the clients saw it, by their own clocks: for a checker that uses nothing else and
//! looks for some order of the operations that explains all answers. `history` trusts the log about the order of
//! effects; this module does not.

use std::collections::BTreeMap;

use tercet_linear::{
    Operation, Verdict as Linearity,
    register::{Register, RegisterOp},
};

use super::{Verdict, broken};
use crate::node::Request;

/// The number of states that the search may visit for one register.
const STATES_MAX: usize = 2_000_000;

/// The operations of all clients.
#[derive(Clone, Debug, Default)]
pub struct ClientHistory {
    /// The operation that each client waits for, and the time at which it began.
    asked: BTreeMap<u32, (Request, u64)>,
    registers: BTreeMap<u8, Vec<Operation<RegisterOp>>>,
}

impl ClientHistory {
    /// Notes that a client begins an operation. Its retries are the same operation.
    pub fn ask(&mut self, client: u32, request: Request, now: u64) {
        self.asked.entry(client).or_insert((request, now));
    }

    /// Notes that a client got an answer; `read` is the value that it read.
    pub fn done(&mut self, client: u32, read: Option<u64>, now: u64) {
        if let Some((request, invoked)) = self.asked.remove(&client) {
            self.push(request, read, invoked, Some(now));
        }
    }

    /// Forgets the read of a client that stopped waiting for it: it proves nothing.
    pub fn forget(&mut self, client: u32) {
        self.asked.remove(&client);
    }

    /// Checks that some order of the operations explains all answers.
    ///
    /// # Errors
    /// If no order does, or the search reached its limit.
    pub fn finish(&mut self) -> Verdict {
        for (request, invoked) in std::mem::take(&mut self.asked).into_values() {
            if matches!(request, Request::Write(_)) {
                self.push(request, None, invoked, None);
            }
        }
        for (key, history) in &self.registers {
            match tercet_linear::check(&Register, history, STATES_MAX) {
                Linearity::Linearizable => {}
                verdict => return broken(format!("client history: register {key} is {verdict}")),
            }
        }
        Ok(())
    }

    fn push(&mut self, request: Request, read: Option<u64>, invoked: u64, responded: Option<u64>) {
        let (key, op) = match request {
            Request::Write(command) => (command.key, RegisterOp::Write(command.value)),
            Request::Read { key } => (key, RegisterOp::Read(read)),
        };
        let operation = Operation {
            op,
            invoked,
            responded,
        };
        self.registers.entry(key).or_default().push(operation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Command;

    fn write(client: u32, value: u64) -> Request {
        Request::Write(Command {
            client,
            seq: 1,
            key: 1,
            value,
        })
    }

    #[test]
    fn stale_read_is_found_and_a_concurrent_one_is_not() {
        for (begun, good) in [(5, true), (15, false)] {
            let mut seen = ClientHistory::default();
            seen.ask(1, write(1, 7), 0);
            seen.ask(2, Request::Read { key: 1 }, begun);
            seen.done(1, None, 10);
            seen.done(2, None, 20);
            assert_eq!(seen.finish().is_ok(), good);
        }
    }

    #[test]
    fn write_whose_outcome_is_unknown_may_have_happened_or_not() {
        for read in [None, Some(7)] {
            let mut seen = ClientHistory::default();
            seen.ask(1, write(1, 7), 0);
            seen.ask(2, Request::Read { key: 1 }, 15);
            seen.done(2, read, 20);
            assert!(seen.finish().is_ok());
        }
    }
}
