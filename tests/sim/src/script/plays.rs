//! The events of each script, in the order of the table. The code counts replicas from 0, the comments count them
//! from 1.

use tercet_core::{
    RoleKind,
    id::{Lsn, ReplicaId},
};

use super::SECOND;
use crate::{network::Cut, world::World};

const MILLISECOND: u64 = 1_000;

/// Replica 1 shrinks its view again and again, and the messages to replica 2, the only other one left, are lost. When
/// 1 dies, 2 takes over the lead and then dies. The views of 1 that were never committed must not win when both meet
/// again.
pub(super) fn shrinks_that_nobody_heard(world: &mut World) {
    // The pause is too short to count as sleep.
    world.pause(1, 600 * MILLISECOND);
    for at in [2, 3, 4] {
        world.kill(at, None);
        world.pass(100 * MILLISECOND);
    }
    world.passes_until(150 * MILLISECOND, |world| view(world, 0).1 == 2);
    world.pass(20 * MILLISECOND);
    world.hang_up(0, 1, true);
    world.kill(0, None);
    world.passes_until(2 * SECOND, |world| world.serving() == Some(1));
    world.pass(SECOND);
    world.kill(1, Some(5 * MILLISECOND));
    world.start_after(0, 0);
    world.pass(8 * SECOND);
}

/// Replica 1 is cut off with writes that are never committed; 2 commits a few writes with 3, and dies. 1 has the
/// longer log, and 3 the right one.
pub(super) fn long_tail_of_a_leader_cut_off(world: &mut World) {
    part(world, 0, 1);
    part(world, 0, 2);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(1));
    world.passes_until(SECOND, |world| commit(world, 1) > view(world, 1).0);
    world.kill(1, None);
    world.heal(0, 2);
    world.pass(8 * SECOND);
}

/// Replica 3 served last, alone. When 1 and 2 start again without it, they must wait.
pub(super) fn outage_that_the_last_outlasts(world: &mut World) {
    world.kill(0, None);
    world.kill(1, None);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(2));
    world.pass(SECOND);
    world.kill(2, None);
    world.start_after(0, 0);
    world.start_after(1, 0);
    world.pass(8 * SECOND);
}

/// Replica 1 is about to join and lacks many entries; then all crash. The next leader must look at every log.
pub(super) fn outage_amid_a_join(world: &mut World) {
    world.kill(0, None);
    world.passes_until(2 * SECOND, |world| world.serving() == Some(1));
    world.pass(500 * MILLISECOND);
    world.start_after(0, 0);
    world.passes_until(SECOND, |world| {
        world.nodes[0].disk.image.promised == world.nodes[1].disk.image.promised
    });
    world.stall_disk(0, 3 * SECOND);
    world.passes_until(5 * SECOND, |world| view(world, 1).1 == 3);
    world.pass(10 * MILLISECOND);
    for at in 0..3 {
        let restart = world.rng.between(5 * MILLISECOND, SECOND);
        world.kill(at, Some(restart));
    }
    world.pass(8 * SECOND);
}

/// Replica 3 has the Config that makes it a member, which is never committed; 2 continues without 3, and dies.
pub(super) fn join_never_committed(world: &mut World) {
    world.kill(2, None);
    world.passes_until(2 * SECOND, |world| view(world, 0).1 == 2);
    world.pass(SECOND);
    let (before, _) = view(world, 0);
    world.start_after(2, 0);
    world.passes_until(5 * SECOND, |world| view(world, 2).0 > before);
    world.hang_up(0, 1, true);
    world.kill(0, None);
    // The pause is too short to count as sleep, and long enough to miss the takeover.
    world.pause(2, 600 * MILLISECOND);
    world.passes_until(500 * MILLISECOND, |world| world.serving() == Some(1));
    world.pass(80 * MILLISECOND);
    world.hang_up(1, 2, true);
    world.kill(1, None);
    world.pass(8 * SECOND);
}

/// Replicas 2 and 3 continue without 1, which is cut off. Then 2 is cut off, and 3 comes back to 1 with an empty
/// disk: its promise must not count.
pub(super) fn wiped_behind_a_cut(world: &mut World) {
    part(world, 0, 1);
    part(world, 0, 2);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(1));
    world.pass(SECOND);
    part(world, 1, 2);
    world.heal(0, 2);
    world.wipe(2, 5 * MILLISECOND);
    world.pass(8 * SECOND);
}

/// A session ends, and for a moment there is no new one. Both replicas live, and neither may lead without the other.
pub(super) fn short_cut_of_two(world: &mut World) {
    part(world, 0, 1);
    world.hang_up(0, 1, true);
    world.pass(400 * MILLISECOND);
    world.heal(0, 1);
    world.pass(8 * SECOND);
}

/// The leader sleeps, is replaced, and wakes just when the next leader dies, so that it may learn of that death
/// before its first tick.
pub(super) fn sleeper_beside_the_dead(world: &mut World) {
    let wakes = world.now + 9 * SECOND;
    world.pause(0, 9 * SECOND);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(1));
    let early = world.rng.below(10 * MILLISECOND);
    world.run_until(wakes - early);
    world.hang_up(0, 1, true);
    world.kill(1, None);
    world.pass(10 * SECOND);
}

/// The leader continues without a member whose disk stalls, and dies before its next message to that member.
pub(super) fn dropped_for_a_slow_disk(world: &mut World) {
    world.stall_disk(1, 12 * SECOND);
    world.passes_until(8 * SECOND, |world| view(world, 0).1 == 1);
    world.hang_up(0, 1, true);
    world.passes_until(20 * MILLISECOND, |world| {
        commit(world, 0) >= view(world, 0).0
    });
    world.pass(MILLISECOND);
    world.kill(0, None);
    world.pass(8 * SECOND);
}

/// Replicas 1 and 2 continue without 3, whose disk is slow, and die before their next message to it.
pub(super) fn left_out_for_a_crawling_disk(world: &mut World) {
    world.crawl_disk(2, 60 * SECOND, 3 * SECOND);
    world.passes_until(40 * SECOND, |world| view(world, 0).1 == 2);
    world.hang_up(0, 2, true);
    world.hang_up(1, 2, true);
    let (lsn, _) = view(world, 0);
    world.passes_until(100 * MILLISECOND, |world| commit(world, 0) >= lsn);
    world.pass(MILLISECOND);
    world.kill(0, None);
    world.kill(1, None);
    world.pass(15 * SECOND);
}

/// The disk of the leader hangs. Replica 2 continues without it and dies, and its messages to 1 in the meantime are
/// lost.
pub(super) fn led_on_beside_a_stalled_disk(world: &mut World) {
    world.hang_disk(0, 9 * SECOND, false);
    world.passes_until(9 * SECOND, |world| {
        let other = world.nodes[1].process.as_ref();
        other.is_some_and(|process| process.status.role == RoleKind::Leader)
    });
    world.hang_up(0, 1, true);
    world.passes_until(20 * MILLISECOND, |world| {
        commit(world, 1) >= view(world, 1).0
    });
    world.pass(MILLISECOND);
    world.kill(1, None);
    world.pass(12 * SECOND);
}

/// Replica 2 is removed, its session with the leader is reset, and the leader dies before the next session.
pub(super) fn removed_amid_a_reset(world: &mut World) {
    let removed = world.nodes[1].id;
    world.remove_replica(1);
    world.passes_until(2 * SECOND, |world| {
        let leader = world.nodes[0].process.as_ref();
        leader.is_some_and(|leader| !leader.roster.contains(&removed))
    });
    world.hang_up(0, 1, true);
    world.passes_until(500 * MILLISECOND, |world| {
        let (lsn, members) = view(world, 0);
        members == 1 && commit(world, 0) >= lsn
    });
    world.pass(MILLISECOND);
    world.kill(0, None);
    world.pass(8 * SECOND);
}

/// Replica 2 is removed, and knows it, before it gets an old Append. Then the leader dies, and its messages after the
/// dismissal are lost.
pub(super) fn removed_amid_overtaking(world: &mut World) {
    world.cut(0, 1, Cut::Hold);
    world.pass(60 * MILLISECOND);
    world.net.link(0, 1).cut = [Cut::None; 2];
    world.remove_replica(1);
    world.passes_until(2 * SECOND, |world| {
        let removed = world.nodes[1].process.as_ref();
        removed.is_some_and(|process| !process.status.active)
    });
    world.cut(0, 1, Cut::Hold);
    world.passes_until(500 * MILLISECOND, |world| {
        let (lsn, members) = view(world, 0);
        members == 1 && commit(world, 0) >= lsn
    });
    world.net.link(0, 1).held[0].truncate(1);
    world.heal(0, 1);
    world.pass(2 * MILLISECOND);
    world.hang_up(0, 1, true);
    world.kill(0, None);
    world.pass(8 * SECOND);
}

/// Replica 2 is removed, and 3 becomes a member instead. When 1 knows that Config, both 1 and 3 crash: they may have
/// forgotten it and wait for 2, which must still run.
pub(super) fn outage_behind_a_removal(world: &mut World) {
    world.kill(2, None);
    world.passes_until(8 * SECOND, |world| view(world, 0).1 == 2);
    world.pass(SECOND);
    world.remove_replica(1);
    world.passes_until(2 * SECOND, |world| {
        let leader = world.nodes[0].process.as_ref();
        leader.is_some_and(|leader| leader.roster.len() == 2)
    });
    let (before, _) = view(world, 0);
    world.start_after(2, 0);
    world.passes_until(8 * SECOND, |world| view(world, 0).0 > before);
    world.passes_until(SECOND, |world| commit(world, 0) >= view(world, 0).0);
    world.stall_disk(0, 200 * MILLISECOND);
    world.stall_disk(2, 200 * MILLISECOND);
    world.passes_until(100 * MILLISECOND, |world| world.nodes[1].away);
    world.kill(0, Some(5 * MILLISECOND));
    world.kill(2, Some(5 * MILLISECOND));
    world.pass(8 * SECOND);
}

/// A partition separates replica 1 from the others, which 2 leads. The disk of 2 is replaced, it joins 1, and leads
/// when 1 dies: its term is the same as before, because no live replica knows that 2 led in it. Then 3 returns, which
/// knows it.
pub(super) fn epoch_led_twice(world: &mut World) {
    part(world, 0, 1);
    part(world, 0, 2);
    world.passes_until(8 * SECOND, |world| leads(world, 1) && view(world, 1).1 == 2);
    world.passes_until(8 * SECOND, |world| view(world, 0).1 == 1);
    world.pass(SECOND);
    world.kill(2, None);
    world.wipe(1, 5 * MILLISECOND);
    world.heal(0, 1);
    world.passes_until(8 * SECOND, |world| view(world, 0).1 == 2);
    world.pass(SECOND);
    world.kill(0, None);
    world.passes_until(8 * SECOND, |world| leads(world, 1));
    world.pass(SECOND);
    world.heal(0, 2);
    world.start_after(2, 0);
    world.pass(8 * SECOND);
}

/// Replica 2 takes 1 back into its view, and both die when only 1 has that view on its disk. 1 leads with it, and 2
/// dies again before it gets it. 2 could start alone, so 1 must not continue without it.
pub(super) fn join_lost_by_its_leader(world: &mut World) {
    world.kill(0, None);
    world.passes_until(2 * SECOND, |world| world.serving() == Some(1));
    world.pass(SECOND);
    world.start_after(0, 0);
    world.passes_until(SECOND, |world| {
        world.nodes[0].disk.image.promised == world.nodes[1].disk.image.promised
    });
    world.passes_until(5 * SECOND, |world| view(world, 1).1 == 2);
    world.stall_disk(1, 20 * MILLISECOND);
    world.pass(10 * MILLISECOND);
    world.kill(0, Some(5 * MILLISECOND));
    world.kill(1, Some(5 * MILLISECOND));
    world.passes_until(2 * SECOND, |world| view(world, 0).1 == 2 && leads(world, 0));
    world.kill(1, None);
    world.passes_until(4 * SECOND, |world| view(world, 0).1 == 1);
    world.pass(50 * MILLISECOND);
    world.kill(0, None);
    world.start_after(1, 0);
    world.pass(8 * SECOND);
}

/// Replicas 1 and 3 sleep while 2 continues alone, and wake when 2 is dead. 1 does not know that it was replaced, and
/// 3 asks it for a confirmation of its membership.
pub(super) fn two_sleepers_and_the_dead(world: &mut World) {
    world.pause(0, 9 * SECOND);
    world.pause(2, 9 * SECOND + 100 * MILLISECOND);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(1));
    world.pass(SECOND);
    world.hang_up(0, 1, true);
    world.hang_up(1, 2, true);
    world.kill(1, None);
    world.pass(12 * SECOND);
}

/// Replica 3 sleeps, and when it wakes it reads messages of a dead leader, from before its own removal from the view.
pub(super) fn sleeper_with_old_mail(world: &mut World) {
    world.pause(2, 9 * SECOND);
    world.pass(60 * MILLISECOND);
    world.kill(0, None);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(1));
    world.pass(SECOND);
    world.hang_up(1, 2, true);
    world.kill(1, None);
    world.pass(12 * SECOND);
}

/// Replica 1 shrinks its view from five members to 1, 2 and 3, and only 2 learns of it. The other three continue; 1
/// and 2 must not, though they are a majority of their newest Config.
pub(super) fn shrink_that_few_know(world: &mut World) {
    for (a, b) in [(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4)] {
        part(world, a, b);
    }
    world.pass(900 * MILLISECOND);
    part(world, 0, 2);
    part(world, 1, 2);
    world.passes_until(SECOND, |world| view(world, 0).1 == 3);
    world.heal(2, 3);
    world.heal(2, 4);
    world.passes_until(5 * SECOND, |world| world.serving() > Some(1));
    world.pass(SECOND);
    world.kill(0, Some(5 * MILLISECOND));
    world.pass(5 * SECOND);
}

/// A firewall refuses connections to the leader, and the leader gets no message, while one of the others or both
/// restart. A replica that granted the leader its lease must not help to replace it.
pub(super) fn restarts_behind_a_firewall(world: &mut World) {
    for peer in [1, 2] {
        world.cut(peer, 0, Cut::Vanish);
        world.forge_refusal(0, peer, 5 * SECOND);
        world.net.link(0, peer).cut = [Cut::None; 2];
    }
    world.kill(1, Some(5 * MILLISECOND));
    if world.rng.chance(500) {
        world.kill(2, Some(5 * MILLISECOND));
    }
    world.pass(6 * SECOND);
}

/// Replica 1 cannot send, but gets the answers to its last heartbeat. A firewall ends its sessions and refuses new
/// ones shortly before the end of the lease that 2 and 3 granted: they take all steps of the takeover at once. Their
/// clocks are fast, and their last ticks were long before that heartbeat.
pub(super) fn refusals_at_the_end_of_a_lease(world: &mut World) {
    world.clients_stop = true;
    for at in [1, 2] {
        world.nodes[at].clock.drift = 1_000;
    }
    for _ in 0..6 {
        let chance = world.rng.between(10, 100);
        world.pass(chance * MILLISECOND);
        let next = world.nodes[0].process.as_ref().and_then(|p| p.next_tick);
        let until = next.map_or(0, |next| next - world.now);
        for at in [1, 2] {
            let early = world.rng.between(200, 1_500);
            world.tick_after(at, until + 10 * MILLISECOND - early);
        }
        let chance = world.rng.between(30, 90);
        world.pass(chance * MILLISECOND);
        for peer in [1, 2] {
            world.cut(0, peer, Cut::Vanish);
        }
        let silence = world.rng.between(450, 590);
        world.pass(silence * MILLISECOND);
        for peer in [1, 2] {
            // Replica 1 does not learn that its sessions ended: it would give up its lease.
            world.net.link(0, peer).cut = [Cut::None; 2];
            world.cut(peer, 0, Cut::Vanish);
            world.forge_refusal(0, peer, 3 * SECOND);
            world.net.link(0, peer).cut = [Cut::None; 2];
        }
        world.pass(3 * SECOND);
        world.passes_until(20 * SECOND, World::is_whole);
    }
}

/// A hypervisor pauses the host of replica 1, and stops its clock; 3 is paused too. 2 continues alone, and dies. 1
/// and 3 read no message of 2. 3 knows that it slept, and 1 can know it only by the clock of 3.
pub(super) fn clock_that_stood_still(world: &mut World) {
    let wakes = world.now + 9 * SECOND;
    world.freeze(0, 9 * SECOND);
    world.pause(2, 9 * SECOND - 20 * MILLISECOND);
    world.passes_until(7 * SECOND, |world| world.serving() == Some(1));
    world.run_until(wakes - 100 * MILLISECOND);
    for peer in [0, 2] {
        world.hang_up(1, peer, true);
    }
    world.kill(1, None);
    world.pass(8 * SECOND);
}

/// The session of two replicas ends, and for a moment connections are refused: by another process that has the peer's
/// old address, or once by the peer's own address.
pub(super) fn refused_by_another(world: &mut World) {
    for _ in 0..4 {
        let length = world.rng.between(20, 500) * MILLISECOND;
        let once = world.rng.chance(500);
        world.mislead(0, 1, length, once);
        world.pass(2 * SECOND);
    }
}

/// Replica 2 transfers the lead to 1, and is cut off before 1 asks for its promise.
pub(super) fn cut_off_amid_a_hand_over(world: &mut World) {
    world.kill(0, None);
    world.passes_until(8 * SECOND, |world| world.serving() == Some(1));
    world.start_after(0, 0);
    world.passes_until(8 * SECOND, |world| {
        let transferee = world.nodes[0].process.as_ref();
        transferee.is_some_and(|transferee| transferee.status.role == RoleKind::Candidate)
    });
    for peer in [0, 2] {
        part(world, 1, peer);
        world.hang_up(1, peer, true);
    }
    world.pass(5 * SECOND);
}

/// Replica 3 promises the epoch of 2, crashes before the promise is on its disk, and then gets messages of the old
/// leader again.
pub(super) fn promise_lost_in_a_crash(world: &mut World) {
    part(world, 0, 1);
    part(world, 0, 2);
    world.pass(900 * MILLISECOND);
    world.stall_disk(2, SECOND);
    world.passes_until(700 * MILLISECOND, |world| leads(world, 1));
    part(world, 1, 2);
    world.kill(2, Some(5 * MILLISECOND));
    world.heal(0, 2);
    world.pass(5 * SECOND);
}

/// A partition separates replica 1, alone or with 2, from the rest. When that side has its own view, it acknowledges
/// the writes that waited for the others, and dies before any of its disks has applied them. The others continue.
pub(super) fn acknowledged_on_one_side(world: &mut World) {
    let near = world.rng.index(2) + 1;
    let sides: Vec<_> = (0..near)
        .flat_map(|a| (near..3).map(move |b| (a, b)))
        .collect();
    sides.iter().for_each(|&(a, b)| part(world, a, b));
    (0..near).for_each(|at| world.slow_disk(at, 9 * SECOND, 20));
    let (whole, _) = view(world, 0);
    world.passes_until(9 * SECOND, |world| {
        let mut all = world.lineage.acknowledged().iter().rev();
        let last = all.find(|write| write.epoch.proposer == ReplicaId(1));
        let (lsn, members) = view(world, 0);
        members == near && commit(world, 0) >= lsn && last.is_some_and(|last| last.lsn > whole)
    });
    for at in 0..near {
        world.nodes[at].disk.queue.clear();
        world.kill(at, Some(8 * SECOND));
    }
    world.passes_until(7 * SECOND, |world| leads(world, near));
    sides.iter().for_each(|&(a, b)| world.heal(a, b));
    world.pass(9 * SECOND);
}

/// Gives the LSN and the number of members of the newest Config in the log of a replica.
fn view(world: &World, at: usize) -> (Lsn, usize) {
    let process = world.nodes[at].process.as_ref();
    let config = process.and_then(|process| process.status.config.as_ref());
    config.map_or((Lsn::ZERO, 0), |logged| {
        (logged.lsn, logged.config.members.len())
    })
}

fn leads(world: &World, at: usize) -> bool {
    let process = world.nodes[at].process.as_ref();
    process.is_some_and(|process| process.status.role == RoleKind::Leader)
}

fn commit(world: &World, at: usize) -> Lsn {
    let process = world.nodes[at].process.as_ref();
    process.map_or(Lsn::ZERO, |process| process.status.commit)
}

fn part(world: &mut World, a: usize, b: usize) {
    world.cut(a, b, Cut::Vanish);
    world.cut(b, a, Cut::Vanish);
}
