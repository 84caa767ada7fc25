//! The progress of long work: a bar on a terminal, a line a second in a pipe.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::notice;

const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// One piece of work of a known length.
pub struct Progress {
    what: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    done: u64,
    shown_at: Instant,
}

impl Progress {
    /// Starts showing `total` steps of `what`, on stderr.
    pub fn start(what: &'static str, total: u64) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(total), target);
            let template = "{msg:>12} {wide_bar} {pos}/{len} {per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.with_message(what)
        });
        if bar.is_none() {
            notice(&format!("{what}: 0 of {total}"));
        }
        Progress {
            what,
            total,
            bar,
            state: Mutex::new(State {
                done: 0,
                shown_at: Instant::now(),
            }),
        }
    }

    /// Counts one more step.
    pub fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += 1;
        if state.shown_at.elapsed() >= LINE_INTERVAL {
            state.shown_at = Instant::now();
            notice(&format!("{}: {} of {}", self.what, state.done, self.total));
        }
    }

    /// Shows the end of the work.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
            return;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        notice(&format!("{}: {} of {}", self.what, state.done, self.total));
    }
}
