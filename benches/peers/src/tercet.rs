//! What `tercet bench … --json` reports, in the words of the other measurements.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Measure {
    Load,
    Failover,
    Alone,
}

/// # Errors
/// When the report has not what the measurement needs, or says that writes failed under plain load.
pub fn translate(report: &Value, measure: Measure, name: &str) -> Result<Vec<Value>> {
    match measure {
        Measure::Load => Ok(vec![load(report, name)?]),
        Measure::Failover => failovers(report, name),
        Measure::Alone => Ok(vec![json!({
            "peer": name,
            "measure": "alone",
            "seconds": number(report, "/seconds")?,
            "acknowledged": report["operations"].as_u64().context("no number of operations")?,
            "first_error": report["errors"].as_object().and_then(|all| all.keys().next()),
        })]),
    }
}

fn load(report: &Value, name: &str) -> Result<Value> {
    if number(report, "/failed")? > 0.0 {
        bail!("writes failed: {}", report["errors"]);
    }
    Ok(json!({
        "peer": name,
        "measure": "load",
        "in_flight": report["options"]["in_flight"],
        "seconds": number(report, "/seconds")?,
        "writes": report["operations"],
        "per_second": number(report, "/per_second")?,
        "p50_ms": number(report, "/kinds/send/p50_ms")?,
        "p99_ms": number(report, "/kinds/send/p99_ms")?,
        "max_ms": number(report, "/kinds/send/max_ms")?,
        "servers_cpu_seconds_per_1000": number(report, "/servers_cpu_seconds_per_1000")?,
        "own_cpu_seconds_per_1000": report["own_cpu_seconds_per_1000"],
    }))
}

fn failovers(report: &Value, name: &str) -> Result<Vec<Value>> {
    if let Some(error) = report["drill"]["error"].as_str() {
        bail!("the drill ended: {error}");
    }
    let kills = report["drill"]["kills"].as_array().context("no kills")?;
    kills
        .iter()
        .map(|kill| {
            Ok(json!({
                "peer": name,
                "measure": "failover",
                "in_flight": report["options"]["in_flight"],
                "killed": kill["leader"],
                "gap_ms": number(kill, "/gap_ms")?,
            }))
        })
        .collect()
}

fn number(report: &Value, pointer: &str) -> Result<f64> {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.with_context(|| format!("the report of `tercet bench` has no number at {pointer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Value {
        json!({
            "options": { "in_flight": 64 },
            "seconds": 10.0,
            "operations": 5000,
            "per_second": 500.0,
            "failed": 0,
            "errors": {},
            "kinds": { "send": { "p50_ms": 1.5, "p99_ms": 2.5, "max_ms": 9.0 } },
            "drill": { "kills": [{ "leader": 1, "gap_ms": 180.5 }, { "leader": 1, "gap_ms": 90.0 }], "error": null },
            "servers_cpu_seconds_per_1000": 0.05,
            "own_cpu_seconds_per_1000": 0.01,
        })
    }

    #[test]
    fn a_load_keeps_its_numbers() {
        let lines = translate(&report(), Measure::Load, "tercet").unwrap();
        assert_eq!(lines[0]["per_second"], 500.0);
        assert_eq!(lines[0]["p99_ms"], 2.5);
        assert_eq!(lines[0]["servers_cpu_seconds_per_1000"], 0.05);
    }

    #[test]
    fn a_load_with_failures_is_none() {
        let mut report = report();
        report["failed"] = json!(1);
        assert!(translate(&report, Measure::Load, "tercet").is_err());
        assert!(translate(&report, Measure::Alone, "tercet").is_ok());
    }

    #[test]
    fn each_kill_is_a_line() {
        let lines = translate(&report(), Measure::Failover, "tercet").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["gap_ms"], 180.5);
    }
}
