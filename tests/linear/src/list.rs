//! A list that only grows, as a conversation does: sending appends, history reads.

use crate::Model;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOp {
    Append(u64),
    /// The whole list, oldest first.
    Read(Vec<u64>),
    /// The newest so many, oldest of them first; the whole list if it is no longer than that.
    ReadLast(usize, Vec<u64>),
}

fn gives(list: &[u64], op: &ListOp) -> bool {
    match op {
        ListOp::Append(_) => true,
        ListOp::Read(read) => list == read,
        ListOp::ReadLast(count, read) => list[list.len().saturating_sub(*count)..] == **read,
    }
}

/// A list of which nothing is known beforehand: its states are whole lists, so it is for short
/// histories.
#[derive(Clone, Copy, Debug, Default)]
pub struct List;

impl Model for List {
    type State = Vec<u64>;
    type Op = ListOp;

    fn initial(&self) -> Vec<u64> {
        Vec::new()
    }

    fn step(&self, state: &Vec<u64>, op: &ListOp) -> Option<Vec<u64>> {
        match op {
            ListOp::Append(value) => {
                let mut list = state.clone();
                list.push(*value);
                Some(list)
            }
            read => gives(state, read).then(|| state.clone()),
        }
    }
}

/// A list of which is known what it became, from a read of the whole after everything else: as
/// nothing is ever taken out, every earlier state is a beginning of it, and a length says which.
/// The same verdicts as [`List`] on such histories, for long ones too.
#[derive(Clone, Debug)]
pub struct GrownList {
    /// The final list. No append may take effect after it was read.
    pub end: Vec<u64>,
}

impl Model for GrownList {
    /// The length.
    type State = usize;
    type Op = ListOp;

    fn initial(&self) -> usize {
        0
    }

    fn step(&self, length: &usize, op: &ListOp) -> Option<usize> {
        match op {
            ListOp::Append(value) => (self.end.get(*length) == Some(value)).then_some(length + 1),
            read => gives(&self.end[..*length], read).then_some(*length),
        }
    }
}
