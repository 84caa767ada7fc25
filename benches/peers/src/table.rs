//! The lines of a run as tables in Markdown.

use serde_json::Value;

const NONE: &str = "–";

/// `text` may hold other lines between those that are JSON objects.
pub fn tables(text: &str) -> String {
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines: Vec<Value> = lines.filter(Value::is_object).collect();
    [writes(&lines), limits(&lines), syncs(&lines)].concat()
}

fn writes(lines: &[Value]) -> String {
    let peers = names(lines, &["load", "failover", "alone"]);
    if peers.is_empty() {
        return String::new();
    }
    let header = [
        "peer",
        "1: writes/s",
        "p50 ms",
        "p99 ms",
        "64: writes/s",
        "p50 ms",
        "p99 ms",
        "servers' CPU s per 1,000",
        "256: writes/s",
        "p99 ms",
        "gap, median (worst) ms",
        "writes with 1 of 3",
    ];
    let rows = peers.iter().map(|peer| row(lines, peer));
    table("Writes of 100 bytes", &header, rows.collect())
}

fn row(lines: &[Value], peer: &str) -> Vec<String> {
    let of_peer = || lines.iter().filter(|line| line["peer"] == *peer);
    let load = |in_flight: u32, field: &str, digits: usize| {
        let mut loads = of_peer().filter(|line| line["measure"] == "load");
        let load = loads.find(|line| line["in_flight"] == in_flight);
        number(load.and_then(|load| load[field].as_f64()), digits)
    };
    let mut gaps: Vec<f64> = of_peer()
        .filter(|line| line["measure"] == "failover")
        .filter_map(|line| line["gap_ms"].as_f64())
        .collect();
    gaps.sort_by(f64::total_cmp);
    let alone = of_peer().find(|line| line["measure"] == "alone");
    vec![
        peer.to_owned(),
        load(1, "per_second", 0),
        load(1, "p50_ms", 2),
        load(1, "p99_ms", 2),
        load(64, "per_second", 0),
        load(64, "p50_ms", 2),
        load(64, "p99_ms", 2),
        load(64, "servers_cpu_seconds_per_1000", 3),
        load(256, "per_second", 0),
        load(256, "p99_ms", 2),
        median_and_worst(&gaps),
        alone.map_or(NONE, takes_writes).to_owned(),
    ]
}

fn median_and_worst(sorted: &[f64]) -> String {
    let Some(worst) = sorted.last() else {
        return NONE.to_owned();
    };
    let middle = sorted.len() / 2;
    let median = (sorted[middle] + sorted[(sorted.len() - 1) / 2]) / 2.0;
    format!("{median:.0} ({worst:.0})")
}

fn takes_writes(alone: &Value) -> &'static str {
    match alone["acknowledged"].as_f64() {
        Some(acknowledged) if acknowledged > 0.0 => "yes",
        _ => "no",
    }
}

fn limits(lines: &[Value]) -> String {
    let rows = lines.iter().filter(|line| line["measure"] == "limits");
    let rows = rows.map(|line| {
        let place = line["place"].as_str().unwrap_or(NONE);
        vec![
            format!("{place}, files at once: {}", line["files"]),
            number(line["syncs_per_second"].as_f64(), 0),
            number(line["p50_ms"].as_f64(), 2),
            number(line["p99_ms"].as_f64(), 2),
        ]
    });
    let header = ["fdatasync of 4 KiB", "syncs/s in all", "p50 ms", "p99 ms"];
    table("What the disk allows", &header, rows.collect())
}

fn syncs(lines: &[Value]) -> String {
    let rows = names(lines, &["syncs"]).into_iter().map(|peer| {
        let counts = (1..=3).map(|server| {
            let mut counts = lines.iter().filter(|line| line["measure"] == "syncs");
            let count = counts.find(|line| line["peer"] == peer && line["server"] == server);
            number(count.and_then(syncs_per_write), 2)
        });
        let counts: Vec<String> = counts.collect();
        [vec![peer], counts].concat()
    });
    let header = ["syncs per write", "server 1", "server 2", "server 3"];
    table(
        "Calls of fsync and fdatasync, 1 in flight",
        &header,
        rows.collect(),
    )
}

fn syncs_per_write(line: &Value) -> Option<f64> {
    Some(line["calls"].as_f64()? / line["writes"].as_f64()?)
}

/// The peers of such lines, each once, in their order.
fn names(lines: &[Value], measures: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in lines {
        let measured = line["measure"]
            .as_str()
            .is_some_and(|one| measures.contains(&one));
        if let Some(name) = line["peer"].as_str().filter(|_| measured)
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// Nothing if there are no rows.
fn table(title: &str, header: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows = rows
        .into_iter()
        .map(|row| format!("| {} |\n", row.join(" | ")));
    let rule = "|---".repeat(header.len());
    let rows: String = rows.collect();
    format!("\n{title}\n\n| {} |\n{rule}|\n{rows}", header.join(" | "))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_row_with_what_was_measured() {
        let text = r#"
etcd starts
{"peer":"etcd","measure":"load","in_flight":64,"per_second":1234.4,"p50_ms":1.0,"p99_ms":2.0,"servers_cpu_seconds_per_1000":0.5}
{"peer":"etcd","measure":"failover","gap_ms":900.0}
{"peer":"etcd","measure":"failover","gap_ms":100.0}
{"peer":"etcd","measure":"failover","gap_ms":200.0}
{"peer":"etcd","measure":"alone","acknowledged":0}
"#;
        let row = "| etcd | – | – | – | 1234 | 1.00 | 2.00 | 0.500 | – | – | 200 (900) | no |\n";
        assert!(tables(text).ends_with(row), "{}", tables(text));
    }

    #[test]
    fn syncs_are_counted_for_each_write() {
        let text = r#"{"peer":"redis","measure":"syncs","server":2,"calls":30,"writes":20}"#;
        assert!(tables(text).ends_with("| redis | – | 1.50 | – |\n"));
    }

    #[test]
    fn nothing_measured_is_no_table() {
        assert_eq!(tables("{}\n"), "");
    }
}
