//! The statistics of runs: the faults, of which a set of runs must have had all kinds, and the events of the
//! protocol, which show the coverage of the runs.

use std::{collections::BTreeMap, fmt};

/// The counters by name, and sums over runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The number of faults of each kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The number of events of the protocol of each kind.
    pub events: BTreeMap<&'static str, u64>,
    pub runs: u64,
    /// The simulated time, microseconds.
    pub simulated: u64,
    pub writes_acknowledged: u64,
    pub reads_answered: u64,
    pub entries_committed: u64,
}

impl Statistics {
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub fn event(&mut self, kind: &'static str) {
        *self.events.entry(kind).or_default() += 1;
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Statistics) {
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (kind, count) in &other.events {
            *self.events.entry(kind).or_default() += count;
        }
        self.runs += other.runs;
        self.simulated += other.simulated;
        self.writes_acknowledged += other.writes_acknowledged;
        self.reads_answered += other.reads_answered;
        self.entries_committed += other.entries_committed;
    }

    /// Gives those of `required` that never happened.
    #[must_use]
    pub fn missing(&self, required: &[&'static str]) -> Vec<&'static str> {
        let fired = |kind: &&&'static str| !self.faults.contains_key(**kind);
        required.iter().filter(fired).copied().collect()
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated as f64 / 3.6e9;
        writeln!(f, "{} runs, {hours:.2} simulated hours", self.runs)?;
        writeln!(
            f,
            "checked: {} writes acknowledged, {} reads answered, {} entries committed",
            self.writes_acknowledged, self.reads_answered, self.entries_committed
        )?;
        let list = |counts: &BTreeMap<&'static str, u64>| {
            let items = counts.iter().map(|(kind, count)| format!("{kind} {count}"));
            items.collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "faults: {}", list(&self.faults))?;
        write!(f, "events: {}", list(&self.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_that_never_fired_is_missing() {
        let mut statistics = Statistics::default();
        statistics.fault("kill");
        let mut sum = Statistics::default();
        sum.add(&statistics);
        sum.add(&statistics);
        assert_eq!(sum.faults["kill"], 2);
        assert_eq!(sum.missing(&["kill", "wipe"]), ["wipe"]);
    }
}
