//! The history of operations, checked against the log: no acknowledged write is lost or done twice, and the answers
//! are linearizable (the documentation of the module `check` proves that the check is complete).

use std::collections::BTreeMap;

use tercet_core::id::Lsn;

use super::{Verdict, broken};
use crate::machine::Command;

/// A logical write, with all its tries.
#[derive(Clone, Debug)]
struct WriteRecord {
    command: Command,
    /// The floor when the first try reached a replica.
    floor: Lsn,
    /// The LSN at which it took effect.
    effect: Option<Lsn>,
    acknowledged: bool,
}

/// The operations of all clients.
#[derive(Clone, Debug, Default)]
pub struct History {
    writes: BTreeMap<(u32, u32), WriteRecord>,
    /// The last write of each client that took effect.
    newest: BTreeMap<u32, u32>,
    /// The values of each register, each with the LSN from which it holds.
    versions: BTreeMap<u8, Vec<(Lsn, u64)>>,
    /// The highest position of an operation that has ended.
    floor: Lsn,
    /// The highest position of an acknowledged write.
    pub acknowledged_last: Lsn,
    pub acknowledged: u64,
    pub reads: u64,
}

impl History {
    /// Notes that a try of a write reached a replica.
    pub fn invoke(&mut self, command: Command) {
        let floor = self.floor;
        let record = WriteRecord {
            command,
            floor,
            effect: None,
            acknowledged: false,
        };
        self.writes
            .entry((command.client, command.seq))
            .or_insert(record);
    }

    /// Notes that a try of a write is committed at `lsn`; called once for each LSN, in ascending order.
    ///
    /// # Errors
    /// If no client asked for the write, or it takes effect before an operation that ended before it began.
    pub fn committed(&mut self, lsn: Lsn, command: Command) -> Verdict {
        let key = (command.client, command.seq);
        let Some(record) = self.writes.get_mut(&key) else {
            return broken(format!("history: nobody wrote what is committed at {lsn}"));
        };
        if record.command != command {
            return broken(format!("history: the write at {lsn} is not as asked for"));
        }
        let newest = self.newest.entry(command.client).or_insert(0);
        if command.seq <= *newest {
            return Ok(());
        }
        *newest = command.seq;
        record.effect = Some(lsn);
        if lsn <= record.floor {
            return broken(format!(
                "history: a write began when {} had ended, and takes effect at {lsn}",
                record.floor
            ));
        }
        let versions = self.versions.entry(command.key).or_default();
        versions.push((lsn, command.value));
        Ok(())
    }

    /// Notes that a replica acknowledges a write and reports that it took effect at `lsn`.
    ///
    /// # Errors
    /// If it did not take effect there.
    pub fn acknowledge(&mut self, command: Command, lsn: Lsn) -> Verdict {
        let Some(record) = self.writes.get_mut(&(command.client, command.seq)) else {
            return broken("history: an acknowledged write that nobody asked for");
        };
        if record.effect != Some(lsn) {
            return broken(format!(
                "history: acknowledged at {lsn}, took effect at {:?}",
                record.effect
            ));
        }
        record.acknowledged = true;
        self.acknowledged += 1;
        self.acknowledged_last = self.acknowledged_last.max(lsn);
        self.floor = self.floor.max(lsn);
        Ok(())
    }

    /// Begins a read; gives the floor for [`History::end_read`].
    #[must_use]
    pub fn begin_read(&self) -> Lsn {
        self.floor
    }

    /// Checks a read that is answered with the register's value in the state at `position`.
    ///
    /// # Errors
    /// If the state is older than an operation that ended before the read began, or the value is not that of the
    /// state.
    pub fn end_read(&mut self, floor: Lsn, position: Lsn, key: u8, value: Option<u64>) -> Verdict {
        if position < floor {
            return broken(format!(
                "history: stale read: answered at {position}, began when {floor} had ended"
            ));
        }
        let versions = self.versions.get(&key).map_or(&[][..], Vec::as_slice);
        let count = versions.partition_point(|&(lsn, _)| lsn <= position);
        let expected = count.checked_sub(1).map(|last| versions[last].1);
        if value != expected {
            return broken(format!(
                "history: a read at {position} gave {value:?}, the log says {expected:?}"
            ));
        }
        self.reads += 1;
        self.floor = self.floor.max(position);
        Ok(())
    }

    /// Checks a replica's final state: its writes in their order, each with LSN, client and sequence number.
    ///
    /// # Errors
    /// If an acknowledged write is not in it exactly once, at its LSN.
    pub fn finish(&self, present: &[(Lsn, u32, u32)]) -> Verdict {
        let mut places: BTreeMap<(u32, u32), Vec<Lsn>> = BTreeMap::new();
        for &(lsn, client, seq) in present {
            places.entry((client, seq)).or_default().push(lsn);
        }
        for (key, record) in self.writes.iter().filter(|(_, r)| r.acknowledged) {
            let found = places.get(key).map_or(&[][..], Vec::as_slice);
            let expected = record.effect.unwrap_or_default();
            if found != [expected] {
                return broken(format!(
                    "history: write {key:?} was acknowledged at {expected} and is at {found:?}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(client: u32, seq: u32) -> Command {
        Command {
            client,
            seq,
            key: 1,
            value: u64::from(client) * 100 + u64::from(seq),
        }
    }

    fn with_one_write() -> History {
        let mut history = History::default();
        history.invoke(command(1, 1));
        history.committed(Lsn(5), command(1, 1)).unwrap();
        history.acknowledge(command(1, 1), Lsn(5)).unwrap();
        history
    }

    #[test]
    fn good_history_passes() {
        let mut history = with_one_write();
        let floor = history.begin_read();
        history.end_read(floor, Lsn(6), 1, Some(101)).unwrap();
        history.finish(&[(Lsn(5), 1, 1)]).unwrap();
    }

    #[test]
    fn lost_doubled_and_moved_writes_are_found() {
        let history = with_one_write();
        assert!(history.finish(&[]).is_err());
        let doubled = [(Lsn(5), 1, 1), (Lsn(6), 1, 1)];
        assert!(history.finish(&doubled).is_err());
        assert!(history.finish(&[(Lsn(4), 1, 1)]).is_err());
    }

    #[test]
    fn stale_read_is_found() {
        let mut history = with_one_write();
        let floor = history.begin_read();
        assert!(history.end_read(floor, Lsn(4), 1, None).is_err());
    }

    #[test]
    fn second_read_must_not_go_back_behind_the_first() {
        let mut history = History::default();
        history.invoke(command(1, 1));
        history.committed(Lsn(5), command(1, 1)).unwrap();
        let floor = history.begin_read();
        history.end_read(floor, Lsn(5), 1, Some(101)).unwrap();
        let floor = history.begin_read();
        assert!(history.end_read(floor, Lsn(4), 1, None).is_err());
    }

    #[test]
    fn read_of_a_wrong_value_is_found() {
        let mut history = with_one_write();
        let floor = history.begin_read();
        assert!(history.end_read(floor, Lsn(5), 1, Some(7)).is_err());
        assert!(history.end_read(floor, Lsn(5), 1, None).is_err());
    }

    #[test]
    fn write_that_takes_effect_before_an_earlier_one_is_found() {
        let mut history = with_one_write();
        history.invoke(command(2, 1));
        assert!(history.committed(Lsn(4), command(2, 1)).is_err());
    }

    #[test]
    fn writes_that_nobody_asked_for_or_that_are_garbled_are_found() {
        let mut history = with_one_write();
        assert!(history.committed(Lsn(6), command(3, 1)).is_err());
        history.invoke(command(3, 1));
        let garbled = Command {
            value: 0,
            ..command(3, 1)
        };
        assert!(history.committed(Lsn(6), garbled).is_err());
    }

    #[test]
    fn acknowledgement_of_what_did_not_happen_is_found() {
        let mut history = with_one_write();
        history.invoke(command(2, 1));
        assert!(history.acknowledge(command(2, 1), Lsn(6)).is_err());
        assert!(history.acknowledge(command(9, 1), Lsn(6)).is_err());
    }
}
