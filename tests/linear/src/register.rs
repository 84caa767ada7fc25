//! A register: a write replaces what is in it, a read gives it.

use crate::Model;

/// A register that holds nothing at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOp {
    Write(u64),
    Read(Option<u64>),
}

impl Model for Register {
    type State = Option<u64>;
    type Op = RegisterOp;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn step(&self, state: &Option<u64>, op: &RegisterOp) -> Option<Option<u64>> {
        match op {
            RegisterOp::Write(value) => Some(Some(*value)),
            RegisterOp::Read(value) => (value == state).then_some(*state),
        }
    }
}
