//! The test of the watch over progress: each test breaks something without a report, and an alarm must follow.

use tercet_core::config::Mode;
use tercet_sim::{
    check::Violation,
    profile::Plan,
    trace::{Detail, Trace},
    world::World,
};

const SECOND: u64 = 1_000_000;

/// Makes a whole cluster in mode available.
fn whole(replicas: usize) -> World {
    let plan = Plan::quiet(replicas, Mode::Available);
    let mut world = World::new(1, None, plan, Trace::new(Detail::Outline));
    world.run_until(5 * SECOND);
    assert!(world.is_whole(), "{}", world.describe());
    world
}

fn run(world: &mut World, micros: u64) {
    let end = world.now + micros;
    world.run_until(end);
}

fn alarm(world: &World) -> &str {
    let alarm = world.violation.as_ref().map(|Violation(words)| words);
    alarm.expect("something is noticed")
}

#[test]
fn nobody_serving_though_somebody_could_is_noticed() {
    let mut world = whole(3);
    for node in &mut world.nodes {
        // A slow disk: one that hangs would excuse the replica.
        (node.disk.slow_until, node.disk.slowness) = (1_000 * SECOND, 1_000_000);
    }
    world.kill(0, None);
    run(&mut world, 10 * SECOND);
    assert_eq!(world.violation, None, "it has its time");
    run(&mut world, 10 * SECOND);
    assert!(alarm(&world).starts_with("service: nobody serves"));
}

#[test]
fn replica_that_does_not_come_back_in_step_is_noticed() {
    let mut world = whole(3);
    world.wipe(2, 1_000);
    world.settle();
    run(&mut world, SECOND / 100);
    world.nodes[2].disk.stalled_until = 1_000 * SECOND;
    run(&mut world, 30 * SECOND);
    assert_eq!(world.violation, None, "it has its time");
    run(&mut world, 30 * SECOND);
    assert!(alarm(&world).starts_with("liveness: not whole in time"));
}
