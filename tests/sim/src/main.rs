//! Runs seeds of the simulator: one to replay a failure, or ranges for hours.

mod options;

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use tercet_sim::{statistics::Statistics, sweep::Sweep};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = match options::parse(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    // A panic of the core is reported with its seed, but without its source line, so that is printed here. Once is
    // enough: shrinking repeats the panic.
    let told = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |panic| {
        if !told.swap(true, Ordering::Relaxed) {
            eprintln!("panic: {panic}");
        }
    }));
    let began = Instant::now();
    let mut total = Statistics::default();
    let mut failed = false;
    for (done, &schedule) in options.schedules.iter().enumerate() {
        let left = options.time_limit.saturating_sub(began.elapsed());
        let sweep = Sweep {
            schedule,
            seeds: options.seeds.0..options.seeds.1,
            shape: options.shape.clone(),
            detail: options.detail,
            time_limit: left / (options.schedules.len() - done) as u32,
            jobs: options.jobs,
            keep_going: options.keep_going,
        };
        let swept = sweep.run();
        total.add(&swept.statistics);
        failed |= !swept.is_well();
    }
    if options.schedules.len() > 1 {
        println!("all profiles: {total}");
    }
    ExitCode::from(u8::from(failed))
}
