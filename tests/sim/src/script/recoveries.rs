//! The scripts in which an operator declares replicas dead.

use std::collections::BTreeSet;

use tercet_core::{config::LoggedConfig, id::ReplicaId};

use super::SECOND;
use crate::{
    network::{Cut, MessageFaults},
    world::World,
};

/// Replica 2 is down while 1 and 3 continue. Then only 2 runs, and 1 is declared dead: 3 may still come back with
/// entries that 2 lacks.
pub(super) fn one_of_two_declared(world: &mut World) {
    world.kill(1, None);
    goes_on(world, 0, SECOND);
    kill(world, &[0, 2]);
    world.start_after(1, 0);
    world.pass(2 * SECOND);
    declare_dead(world, &[0]);
    world.pass(3 * SECOND);
    world.start_after(2, 0);
    world.pass(2 * SECOND);
    declare_dead(world, &[0]);
    world.pass(3 * SECOND);
}

/// Replica 1 leads alone, many times, and is declared dead; 2 and 3 continue. Then 2 is lost for good, and 1 comes
/// back before 3 knows that its writes with 2 are committed.
pub(super) fn dead_with_high_epochs(world: &mut World) {
    kill(world, &[1, 2]);
    for _ in 0..4 {
        goes_on(world, 0, SECOND / 2);
        kill(world, &[0]);
        world.start_after(0, 0);
    }
    goes_on(world, 0, SECOND / 2);
    kill(world, &[0]);
    world.start_after(1, 0);
    world.start_after(2, 0);
    world.pass(2 * SECOND);
    declare_dead(world, &[0]);
    let message_faults = MessageFaults {
        lost: 400,
        ..MessageFaults::FAIR
    };
    world.message_faults(message_faults, 3 * SECOND);
    acknowledges_to(world, 2);
    kill(world, &[2]);
    world.wipe(1, 20 * SECOND);
    world.start_after(0, 0);
    world.start_after(2, 0);
    world.pass(3 * SECOND);
    declare_dead(world, &[1]);
    world.pass(3 * SECOND);
}

/// Replica 1 is declared dead and replaced by a replica 1 with another disk. That one continues alone while the
/// others sleep, and is down when they wake.
pub(super) fn declared_dead_long_ago(world: &mut World) {
    kill(world, &[0, 1, 2]);
    world.start_after(1, 0);
    world.start_after(2, 0);
    world.pass(2 * SECOND);
    declare_dead(world, &[0]);
    world.passes_until(5 * SECOND, |world| world.serving() == Some(1));
    world.start_after(0, 0);
    for _ in 0..100 {
        world.pass(SECOND / 10);
        world.operate();
    }
    for sleeper in [1, 2] {
        world.pause(sleeper, 9 * SECOND);
    }
    world.pass(6 * SECOND);
    goes_on(world, 0, 2 * SECOND);
    kill(world, &[0]);
    world.pass(8 * SECOND);
}

/// Replicas 1 and 3 continue without 2. 1 is lost for good, and both are declared dead; then 3 comes back, which does
/// not know that its writes with 1 are committed.
pub(super) fn dead_backup_returns(world: &mut World) {
    world.pass(SECOND);
    world.kill(1, None);
    acknowledges_to(world, 2);
    kill(world, &[2]);
    world.wipe(0, 20 * SECOND);
    world.start_after(1, 0);
    world.pass(2 * SECOND);
    declare_dead(world, &[0, 2]);
    world.passes_until(5 * SECOND, |world| world.serving() == Some(1));
    world.pass(SECOND);
    world.start_after(2, 0);
    world.pass(3 * SECOND);
}

/// Replica 1 stops last, and its disk is copied. All run together, and crash. The old copy is put back at 1, which
/// leads alone, as it could at the time of the copy. Then the others come back, with entries that 1 acknowledged
/// together with them.
pub(super) fn old_copy_leads(world: &mut World) {
    for at in [2, 1, 0] {
        world.stop(at, 8 * SECOND);
        world.passes_until(8 * SECOND, |world| world.nodes[at].process.is_none());
    }
    let old = world.nodes[0].disk.clone();
    for at in 0..3 {
        world.start_after(at, 0);
    }
    world.passes_until(20 * SECOND, World::is_whole);
    world.pass(SECOND);
    kill(world, &[0, 1, 2]);
    world.put_back(0, old, false);
    world.start_after(0, 0);
    goes_on(world, 0, SECOND);
    world.start_after(1, 0);
    world.start_after(2, 0);
    world.pass(3 * SECOND);
    world.require_told_of_its_past(0);
    declare_dead(world, &[0]);
    world.pass(3 * SECOND);
}

/// An old copy of replica 1 is put back after 1 and 2 have continued without 3, and 2 is down: with 3 the copy would
/// be a majority that lacks entries of 2.
pub(super) fn old_copy_votes(world: &mut World) {
    let old = world.nodes[0].disk.clone();
    world.pass(SECOND);
    world.kill(2, None);
    goes_on(world, 0, 2 * SECOND);
    kill(world, &[0, 1]);
    world.put_back(0, old, false);
    world.start_after(0, 0);
    world.start_after(2, 0);
    world.pass(3 * SECOND);
    world.require_told_of_its_past(0);
    world.start_after(1, 0);
    world.pass(2 * SECOND);
    declare_dead(world, &[0]);
    for _ in 0..50 {
        world.pass(SECOND / 10);
        world.operate();
    }
}

/// Replica 3 dies, and at that moment the disk of 1 is copied; 1 and 2 continue. Then the copy is put back at 1, and
/// 2 is down: with 3, which knows no later entries, the copy would be a majority.
pub(super) fn old_copy_that_nobody_knows(world: &mut World) {
    world.pass(SECOND);
    world.kill(2, None);
    let old = world.nodes[0].disk.clone();
    goes_on(world, 0, 2 * SECOND);
    kill(world, &[0, 1]);
    world.put_back(0, old, true);
    world.start_after(0, 0);
    world.start_after(2, 0);
    world.pass(3 * SECOND);
    world.start_after(1, 0);
    world.pass(SECOND);
    world.require_told_of_its_past(0);
    declare_dead(world, &[0]);
    for _ in 0..50 {
        world.pass(SECOND / 10);
        world.operate();
    }
}

/// The disk of replica 3 is copied. 1 is cut off, and 2 and 3 continue. The copy is put back at 3, has no trace of
/// its promise to 2, and has a session only with 1, which would continue to lead with it. Later 2 shows it that it is
/// old, or sends it the missing entries.
pub(super) fn old_copy_beside_an_old_leader(world: &mut World) {
    let old = world.nodes[2].disk.clone();
    for other in [1, 2] {
        world.cut(0, other, Cut::Vanish);
        world.cut(other, 0, Cut::Vanish);
    }
    goes_on(world, 1, SECOND);
    kill(world, &[2]);
    world.put_back(2, old, true);
    for (from, to) in [(1, 2), (2, 1)] {
        world.cut(from, to, Cut::Vanish);
    }
    world.heal(0, 2);
    world.start_after(2, 0);
    world.pass(4 * SECOND);
    world.heal(1, 2);
    world.heal(0, 1);
    world.pass(2 * SECOND);
    declare_dead(world, &[2]);
    for _ in 0..50 {
        world.pass(SECOND / 10);
        world.operate();
    }
}

fn kill(world: &mut World, those: &[usize]) {
    for &at in those {
        world.kill(at, None);
    }
}

/// Runs until the replica serves, and then for `micros` microseconds.
fn goes_on(world: &mut World, at: usize, micros: u64) {
    world.passes_until(8 * SECOND, |world| world.serving() == Some(at));
    world.pass(micros);
}

/// Runs until a write is acknowledged in a view of two, with a backup whose disk is so slow that it does not know of
/// it.
fn acknowledges_to(world: &mut World, backup: usize) {
    world.slow_disk(backup, 8 * SECOND, 40);
    world.passes_until(8 * SECOND, |world| {
        let leader = world.serving().and_then(|at| world.nodes[at].awake());
        leader.is_some_and(|leader| {
            let config = leader.status.config.as_ref();
            config.is_some_and(|LoggedConfig { lsn, config }| {
                config.members.len() == 2 && *lsn <= leader.status.commit
            })
        })
    });
    let last = world.lineage.acknowledged().len();
    world.passes_until(SECOND, |world| world.lineage.acknowledged().len() > last);
}

fn declare_dead(world: &mut World, those: &[usize]) {
    let dead: BTreeSet<_> = those.iter().map(|&at| ReplicaId(at as u32 + 1)).collect();
    let up = world.alive();
    world.declare_dead(&dead, &up);
}
