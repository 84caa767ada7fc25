//! What the disk allows, whoever asks: writes of 4 KiB, each with an fdatasync, one file alone and
//! three at once, as three replicas on one machine have.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::load::histogram;

const BLOCK: [u8; 4096] = [7; 4096];
/// Of a file that is written over, as a log of preallocated files is.
const BLOCKS: u64 = 4096;

#[derive(Clone, Copy)]
enum Place {
    /// Each block makes the file longer, which the file system must journal too.
    Append,
    /// Each block is written over an old one.
    Overwrite,
}

/// One object for each of the four ways.
pub fn measure(dir: &Path, duration: Duration) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for place in [Place::Append, Place::Overwrite] {
        for files in [1, 3] {
            all.push(together(dir, place, files, duration)?);
        }
    }
    Ok(all)
}

fn together(dir: &Path, place: Place, files: usize, duration: Duration) -> Result<Value> {
    let paths: Vec<_> = (0..files).map(|n| dir.join(format!("limit-{n}"))).collect();
    let mut latencies = histogram();
    let mut prepared = Vec::new();
    for path in &paths {
        prepared.push(prepare(path, place).context("make a file to sync")?);
    }
    thread::scope(|scope| {
        let begin = |file| scope.spawn(move || sync(file, place, duration));
        let running: Vec<_> = prepared.into_iter().map(begin).collect();
        for one in running {
            let one = one.join().map_err(|_| anyhow!("a thread panicked"))?;
            latencies.add(one.context("write and sync")?)?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    for path in &paths {
        remove_file(path)?;
    }
    Ok(json!({
        "measure": "limits",
        "place": match place { Place::Append => "append", Place::Overwrite => "overwrite" },
        "files": files,
        "syncs_per_second": latencies.len() as f64 / duration.as_secs_f64(),
        "p50_ms": latencies.value_at_quantile(0.5) as f64 / 1e3,
        "p99_ms": latencies.value_at_quantile(0.99) as f64 / 1e3,
    }))
}

fn prepare(path: &Path, place: Place) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    if matches!(place, Place::Overwrite) {
        for _ in 0..BLOCKS {
            file.write_all(&BLOCK)?;
        }
        file.rewind()?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Microseconds of each write with its sync.
fn sync(mut file: File, place: Place, duration: Duration) -> Result<Histogram<u64>> {
    let mut latencies = histogram();
    let begin = Instant::now();
    while begin.elapsed() < duration {
        let begun = Instant::now();
        if matches!(place, Place::Overwrite) {
            let block = latencies.len() % BLOCKS;
            file.seek(SeekFrom::Start(block * BLOCK.len() as u64))?;
        }
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        let took = u64::try_from(begun.elapsed().as_micros())?;
        latencies.saturating_record(took);
    }
    Ok(latencies)
}
