//! The report of a run: an object for programs, a table for people.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::failover_drill::Rounds;
use super::measurements::{Kind, Measurements, Series};
use super::options::Bench;
use super::process_stats::Reading;
use super::subscribe::Deliveries;
use crate::failure::Failure;
use crate::latency::ms;
use crate::output::{line, notice};
use crate::table::figures;

/// Shares of the latencies, with their names in the object and in the table.
const SHARES: [(&str, &str, f64); 4] = [
    ("p50_ms", "p50 ms", 0.5),
    ("p90_ms", "p90 ms", 0.9),
    ("p99_ms", "p99 ms", 0.99),
    ("p99_9_ms", "p99.9 ms", 0.999),
];

pub struct Report<'a> {
    pub bench: &'a Bench,
    pub measurements: &'a Measurements,
    pub retries: u64,
    pub failovers: u64,
    /// The number of acknowledged messages, also those before the run and in its warm-up.
    pub stored: u64,
    pub behind: u64,
    pub deliveries: Option<Deliveries>,
    pub drill: Option<Rounds>,
    pub replicas: Vec<Reading>,
    /// The processor time of this process.
    pub own_cpu: Option<Duration>,
}

impl Report<'_> {
    pub fn is_good(&self) -> bool {
        let drilled = self.drill.as_ref().is_none_or(|all| all.error.is_none());
        let delivered = self.deliveries.is_none_or(|all| all.is_clean());
        self.measurements.failed() == 0
            && self.measurements.operations() > 0
            && drilled
            && delivered
    }

    /// Gives the processor seconds for each 1,000 operations.
    fn per_thousand(&self, cpu: Duration) -> Option<f64> {
        let operations = self.measurements.operations();
        (operations > 0).then(|| cpu.as_secs_f64() * 1e3 / operations as f64)
    }

    /// Gives the processor time of all replicas, if that of each is known.
    fn servers_cpu(&self) -> Option<Duration> {
        self.replicas.iter().map(|one| one.cpu).sum()
    }

    pub fn json(&self) -> Value {
        let measurements = self.measurements;
        let kinds = measurements.series.iter();
        let kinds: Map<String, Value> = kinds
            .map(|(kind, series)| (kind.name().to_owned(), self.series_json(series)))
            .collect();
        json!({
            "workload": self.bench.name(),
            "options": self.bench.json(),
            "seconds": ms(measurements.took()) / 1e3,
            "operations": measurements.operations(),
            "per_second": measurements.per_second(measurements.operations()),
            "failed": measurements.failed(),
            "errors": measurements.errors,
            "kinds": kinds,
            "longest_gap_ms": ms(measurements.longest_gap),
            "retries": self.retries,
            "failovers": self.failovers,
            "stored": self.stored,
            "behind": self.behind,
            "deliveries": self.deliveries.map(|all| json!({
                "acknowledged": all.acknowledged,
                "arrived": all.arrived,
                "missing": all.missing(),
                "twice": all.twice,
                "resumed": all.resumed,
            })),
            "drill": self.drill.as_ref().map(Rounds::json),
            "replicas": self.replicas.iter().map(|one| self.reading_json(one)).collect::<Vec<_>>(),
            "servers_cpu_seconds_per_1000": self.servers_cpu().and_then(|cpu| self.per_thousand(cpu)),
            "own_cpu_seconds_per_1000": self.own_cpu.and_then(|cpu| self.per_thousand(cpu)),
        })
    }

    fn series_json(&self, series: &Series) -> Value {
        let mut object = json!({
            "succeeded": series.succeeded,
            "failed": series.failed,
            "per_second": self.measurements.per_second(series.succeeded),
            "max_ms": series.latencies.max_ms(),
        });
        for (name, _, share) in SHARES {
            object[name] = json!(series.latencies.within_ms(share));
        }
        object
    }

    fn reading_json(&self, reading: &Reading) -> Value {
        let cpu = reading.cpu;
        json!({
            "id": reading.id,
            "pid": reading.pid,
            "cpu_seconds": cpu.map(|cpu| cpu.as_secs_f64()),
            "cpu_seconds_per_1000": cpu.and_then(|cpu| self.per_thousand(cpu)),
            "rss_kib": reading.memory.map(|memory| memory.rss_kib),
            "peak_rss_kib": reading.memory.map(|memory| memory.peak_kib),
        })
    }

    pub fn print(&self) -> Result<(), Failure> {
        let measurements = self.measurements;
        let [p50, p90, p99, p99_9] = SHARES.map(|(_, name, _)| name);
        let head = [
            "", "a second", "in all", "failed", p50, p90, p99, p99_9, "max ms",
        ];
        let rows = measurements.series.iter();
        let rows = rows.map(|(kind, series)| self.row(*kind, series));
        figures(head, rows).iter().try_for_each(|text| line(text))?;
        line(&format!(
            "{:.1} s; longest gap {:.1} ms; {} retries, {} failovers",
            measurements.took().as_secs_f64(),
            ms(measurements.longest_gap),
            self.retries,
            self.failovers,
        ))?;
        if self.behind > 0 {
            line(&format!(
                "{} more were due and not begun: the cluster did not keep up with the rate",
                self.behind
            ))?;
        }
        if let Some(all) = self.deliveries {
            line(&format!(
                "{} acknowledged, {} arrived, {} missing, {} twice; {} streams resumed",
                all.acknowledged,
                all.arrived,
                all.missing(),
                all.twice,
                all.resumed
            ))?;
        }
        if let Some(drill) = &self.drill {
            print_drill(drill, self.bench.common().drill.signal.done())?;
        }
        self.print_machine()
    }

    fn row(&self, kind: Kind, series: &Series) -> [String; 9] {
        let number = |value: f64| format!("{value:.2}");
        let within = |(_, _, share)| number(series.latencies.within_ms(share));
        let [p50, p90, p99, p99_9] = SHARES.map(within);
        let per_second = self.measurements.per_second(series.succeeded);
        [
            kind.name().to_owned(),
            format!("{per_second:.0}"),
            series.succeeded.to_string(),
            series.failed.to_string(),
            p50,
            p90,
            p99,
            p99_9,
            number(series.latencies.max_ms()),
        ]
    }

    fn print_machine(&self) -> Result<(), Failure> {
        let seconds = |cpu: Option<Duration>| {
            let seconds = cpu.and_then(|cpu| self.per_thousand(cpu));
            seconds.map_or("not known".to_owned(), |seconds| format!("{seconds:.4} s"))
        };
        line(&format!(
            "processor for 1,000 operations: all replicas {}, this process {}",
            seconds(self.servers_cpu()),
            seconds(self.own_cpu)
        ))?;
        for reading in &self.replicas {
            let memory = reading.memory.map_or("not known".to_owned(), |memory| {
                let (now, peak) = (memory.rss_kib / 1024, memory.peak_kib / 1024);
                format!("{now} MiB (at most {peak})")
            });
            let (id, cpu) = (reading.id, seconds(reading.cpu));
            line(&format!("replica {id}: processor {cpu}, memory {memory}"))?;
        }
        Ok(())
    }

    /// Writes the faults of the run to stderr.
    pub fn name_faults(&self) {
        for (reason, count) in &self.measurements.errors {
            notice(&format!("error: {count} operations failed: {reason}"));
        }
        if self.measurements.operations() == 0 {
            notice("error: no operation succeeded");
        }
        if let Some(error) = self.drill.as_ref().and_then(|all| all.error.as_ref()) {
            notice(&format!("error: the drill ended: {error}"));
        }
        if let Some(all) = self.deliveries.filter(|all| !all.is_clean()) {
            let (missing, twice) = (all.missing(), all.twice);
            notice(&format!(
                "error: {missing} messages did not arrive, {twice} arrived twice"
            ));
        }
    }
}

fn print_drill(drill: &Rounds, done: &str) -> Result<(), Failure> {
    for round in &drill.rounds {
        line(&round.text(done))?;
    }
    match (drill.median_gap(), drill.worst_gap()) {
        (Some(median), Some(worst)) => line(&format!(
            "times {done}: {}; median gap {:.0} ms, worst {:.0} ms",
            drill.rounds.len(),
            ms(median),
            ms(worst)
        )),
        _ => line(&format!("no leader was {done}")),
    }
}
