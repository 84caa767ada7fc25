//! The scripted scenarios: the guarantees of the design, one by one, each with a few seeds.

use tercet_core::{
    RoleKind,
    config::{LoggedConfig, Mode},
    id::{Lsn, ReplicaId},
};
use tercet_sim::{
    network::Cut,
    profile::Plan,
    trace::{Detail, Trace},
    world::World,
};

const SECOND: u64 = 1_000_000;
const MAJORITY: Mode = Mode::Majority { min_in_sync: 2 };

/// Runs a script with 20 seeds, each in a world of its own that is whole when the script begins.
fn each(replicas: usize, mode: Mode, script: impl Fn(&mut World)) {
    each_of(20, replicas, mode, script);
}

/// Runs a script with `seeds` seeds: fewer for scripts that take long.
fn each_of(seeds: u64, replicas: usize, mode: Mode, script: impl Fn(&mut World)) {
    for seed in 0..seeds {
        let plan = Plan::quiet(replicas, mode);
        let mut world = World::new(seed, None, plan, Trace::new(Detail::Outline));
        until(&mut world, 10, "the cluster is made", World::is_whole);
        // A process can be found dead only by replicas that had a session with it.
        until(&mut world, 5, "all have met", all_have_met);
        script(&mut world);
        check(&world, "in the script");
    }
}

fn all_have_met(world: &World) -> bool {
    world.nodes.iter().enumerate().all(|(at, node)| {
        let sessions = node.process.as_ref().map(|process| process.sessions.iter());
        let mut others = sessions.into_iter().flatten().enumerate();
        others.all(|(peer, session)| peer == at || session.is_some())
    })
}

fn check(world: &World, when: &str) {
    assert_eq!(world.violation, None, "{when}\n{}", world.describe());
}

fn run(world: &mut World, micros: u64) {
    let end = world.now + micros;
    world.run_until(end);
    check(world, "while it ran");
}

/// Runs until a condition holds; fails if it does not within `seconds`.
fn until(world: &mut World, seconds: u64, what: &str, holds: impl Fn(&World) -> bool) {
    let deadline = world.now + seconds * SECOND;
    while !holds(world) {
        assert!(world.now < deadline, "not {what}:\n{}", world.describe());
        let end = world.now + 20_000;
        world.run_until(end);
        check(world, what);
    }
}

/// Ends all faults, waits until the cluster is whole, and makes the last checks.
fn finish(world: &mut World) {
    world.settle();
    run(world, 60 * SECOND);
    assert_eq!(world.statistics.runs, 1, "not over:\n{}", world.describe());
}

fn role(world: &World, at: usize) -> Option<RoleKind> {
    world.nodes[at].process.as_ref().map(|p| p.status.role)
}

#[test]
fn two_of_three_killed_together_and_the_third_serves_at_once() {
    each(3, Mode::Available, |world| {
        let survivor = world.rng.index(3);
        (0..3)
            .filter(|&at| at != survivor)
            .for_each(|at| world.kill(at, None));
        until(world, 1, "served by the survivor", |world| {
            world.serving() == Some(survivor)
        });
        run(world, SECOND);
        finish(world);
    });
}

#[test]
fn leader_killed_twice_and_the_last_one_serves() {
    each(3, Mode::Available, |world| {
        for next in 1..3 {
            world.kill(next - 1, None);
            until(world, 1, "served", |world| world.serving() == Some(next));
            run(world, SECOND);
        }
        finish(world);
    });
}

#[test]
fn two_without_power_and_the_third_serves_after_the_lone_timeout() {
    each(3, Mode::Available, |world| {
        world.power_loss(0, 60 * SECOND);
        world.power_loss(1, 60 * SECOND);
        until(world, 7, "served by 3", |world| world.serving() == Some(2));
        finish(world);
    });
}

#[test]
fn stale_replica_alone_after_an_outage_waits_and_says_for_whom() {
    each(3, Mode::Available, |world| {
        world.kill(2, None);
        run(world, 2 * SECOND);
        world.kill(0, None);
        world.kill(1, None);
        world.start_after(2, 0);
        for _ in 0..100 {
            run(world, SECOND / 5);
            assert_eq!(world.serving(), None);
        }
        let status = world.nodes[2].process.as_ref().map(|p| &p.status);
        let waits = status.map(|status| status.waiting_for.clone());
        assert_eq!(waits, Some(vec![ReplicaId(1), ReplicaId(2)]));
        finish(world);
    });
}

#[test]
fn all_stop_at_once_and_nobody_serves_until_all_who_may_know_more_are_back() {
    each(3, Mode::Available, |world| {
        (0..3).for_each(|at| world.kill(at, None));
        world.start_after(0, 0);
        world.start_after(2, SECOND);
        run(world, 10 * SECOND);
        assert_eq!(world.serving(), None);
        world.start_after(1, 0);
        until(world, 3, "served by 1", |world| world.serving() == Some(0));
        finish(world);
    });
}

#[test]
fn last_to_leave_starts_alone() {
    each(3, Mode::Available, |world| {
        for at in [1, 0, 2] {
            world.stop(at, 30 * SECOND);
            until(world, 10, "stopped", |world| {
                world.nodes[at].process.is_none()
            });
        }
        world.start_after(2, SECOND);
        until(world, 4, "served by 3", |world| world.serving() == Some(2));
        finish(world);
    });
}

#[test]
fn lower_replica_that_returns_is_handed_the_lead() {
    each(3, Mode::Available, |world| {
        world.kill(0, Some(3 * SECOND));
        until(world, 1, "served by 2", |world| world.serving() == Some(1));
        until(world, 8, "whole again", World::is_whole);
        finish(world);
    });
}

#[test]
fn replaced_leader_that_wakes_beside_dead_successors_does_not_serve() {
    each(3, Mode::Available, |world| {
        world.pause(0, 8 * SECOND);
        until(world, 3, "served by 2", |world| world.serving() == Some(1));
        run(world, 2 * SECOND);
        // The messages of the later leaders to it are lost unread.
        world.hang_up(0, 1, true);
        world.hang_up(0, 2, true);
        run(world, 1_000);
        world.kill(1, None);
        world.kill(2, None);
        run(world, 20 * SECOND);
        assert_eq!(world.serving(), None, "{}", world.describe());
        finish(world);
    });
}

#[test]
fn replaced_leader_that_wakes_with_a_tick_last_serves_no_stale_read() {
    each(3, Mode::Available, |world| {
        for length in [750_000, 1_500_000, 7 * SECOND] {
            world.pause(0, length);
            run(world, 9 * SECOND);
        }
        finish(world);
    });
}

#[test]
fn partition_in_mode_available_is_detected_when_it_heals() {
    for seed in 0..10 {
        let plan = Plan::quiet(3, Mode::Available);
        let trace = Trace::new(Detail::Outline);
        let mut world = World::new(seed, None, plan, trace);
        world.order.tolerated = true;
        until(&mut world, 10, "the cluster is made", World::is_whole);
        world.part(|at| at == 0, Cut::Hold, 10 * SECOND);
        until(&mut world, 30, "noticed", |world| {
            world.nodes.iter().any(|node| node.halted.is_some())
        });
        assert!(world.order.diverged.is_some());
    }
}

#[test]
fn minority_stops_and_majority_serves() {
    each(3, MAJORITY, |world| {
        world.part(|at| at == 0, Cut::Vanish, 10 * SECOND);
        until(world, 5, "served by 2", |world| {
            let leads = |at: usize| world.nodes[at].may_read(world.now);
            leads(1) && !leads(0)
        });
        run(world, 4 * SECOND);
        assert!(!world.nodes[0].may_read(world.now));
        finish(world);
    });
}

#[test]
fn one_of_three_alone_never_serves_in_mode_majority() {
    each(3, MAJORITY, |world| {
        world.kill(0, None);
        world.kill(2, None);
        for _ in 0..100 {
            run(world, SECOND / 5);
            assert!(!world.nodes[1].may_read(world.now) || world.now % SECOND == 1);
        }
        assert_ne!(role(world, 0), Some(RoleKind::Leader));
        finish(world);
    });
}

#[test]
fn any_one_of_three_dead_and_two_serve_in_mode_majority() {
    each(3, MAJORITY, |world| {
        for dead in 0..3 {
            world.kill(dead, None);
            until(world, 5, "served", |world| {
                let serving = world.serving();
                serving.is_some_and(|at| at != dead && world.nodes[at].may_read(world.now))
            });
            world.start_after(dead, SECOND);
            until(world, 15, "whole again", World::is_whole);
        }
        finish(world);
    });
}

#[test]
fn wiped_disk_rejoins_as_another_store() {
    each(3, Mode::Available, |world| {
        for at in 0..3 {
            let old = world.nodes[at].disk.store;
            world.wipe(at, SECOND);
            until(world, 20, "whole again", World::is_whole);
            assert_ne!(world.nodes[at].disk.store, old);
        }
        finish(world);
    });
}

#[test]
fn live_member_that_was_dropped_for_its_slow_disk_does_not_take_over() {
    each(2, Mode::Available, |world| {
        world.stall_disk(1, 12 * SECOND);
        let alone = |world: &World| {
            let status = world.nodes[0].process.as_ref().map(|p| p.status.clone());
            status.is_some_and(|status| {
                let settled = |logged: &LoggedConfig| {
                    logged.lsn <= status.commit && logged.config.members.len() == 1
                };
                status.config.as_ref().is_some_and(settled)
            })
        };
        let end = world.now + 8 * SECOND;
        while world.now < end && !alone(world) {
            let next = world.now + 50;
            world.run_until(next);
            check(world, "until it is alone");
        }
        assert!(alone(world), "{}", world.describe());
        world.kill(0, None);
        run(world, 8 * SECOND);
        assert_eq!(world.serving(), None, "{}", world.describe());
        finish(world);
    });
}

#[test]
fn replica_on_a_full_disk_stops_and_the_others_serve() {
    each(3, Mode::Available, |world| {
        world.fill_disk(0, 4 * SECOND);
        until(world, 3, "served by 2", |world| world.serving() == Some(1));
        run(world, 2 * SECOND);
        world.start_after(0, 2 * SECOND);
        until(world, 15, "whole again", World::is_whole);
        assert!(!world.statistics.faults.contains_key("disk full alone"));
        finish(world);
    });
}

#[test]
fn last_replica_on_a_full_disk_reads_and_writes_again_when_there_is_room() {
    each(3, Mode::Available, |world| {
        world.kill(0, None);
        world.kill(1, None);
        until(world, 1, "served by 3", |world| world.serving() == Some(2));
        world.fill_disk(2, 5 * SECOND);
        run(world, SECOND);
        let writes = world.history.acknowledged;
        run(world, 3 * SECOND);
        assert!(world.nodes[2].may_read(world.now), "it reads");
        assert_eq!(world.history.acknowledged, writes, "it writes nothing");
        run(world, 2 * SECOND);
        assert!(world.history.acknowledged > writes, "it writes again");
        finish(world);
    });
}

#[test]
fn process_whose_fsync_fails_ends_and_nothing_is_lost() {
    each(3, Mode::Available, |world| {
        world.nodes[0].disk.fails_next = true;
        until(world, 1, "ended", |world| world.alive() != [0, 1, 2]);
        until(world, 15, "whole again", World::is_whole);
        finish(world);
    });
}

#[test]
fn store_in_which_a_bit_flipped_is_refused_and_an_empty_one_rejoins() {
    each(3, Mode::Available, |world| {
        world.kill(0, None);
        let last = world.nodes[0].disk.image.last();
        world.rot(0, Lsn(1), last);
        world.start_after(0, SECOND);
        until(world, 2, "refused", |world| world.nodes[0].refused);
        run(world, SECOND);
        let old = world.nodes[0].disk.store;
        world.operate();
        until(world, 15, "whole again", World::is_whole);
        assert_ne!(world.nodes[0].disk.store, old);
        finish(world);
    });
}

#[test]
fn lone_replica_whose_store_rots_does_not_start_and_says_so() {
    each(1, Mode::Available, |world| {
        world.kill(0, None);
        let last = world.nodes[0].disk.image.last();
        world.rot(0, Lsn(1), last);
        world.start_after(0, SECOND);
        run(world, 20 * SECOND);
        assert!(world.nodes[0].refused && world.serving().is_none());
    });
}

#[test]
fn leader_whose_clock_jumps_ahead_serves_no_stale_read() {
    for mode in [Mode::Available, MAJORITY] {
        each(3, mode, |world| {
            for jump in [100_000, 650_000, 800_000, 3 * SECOND, 60 * SECOND] {
                world.jump_clock(0, jump);
                run(world, 3 * SECOND);
            }
            finish(world);
        });
    }
}

/// Gives the commit position of the serving replica.
fn committed(world: &World) -> Option<u64> {
    let serving = world.serving()?;
    let process = world.nodes[serving].process.as_ref();
    process.map(|process| process.status.commit.0)
}

/// Waits until writes are committed again; fails after `seconds`.
fn writes_go_on(world: &mut World, seconds: u64) {
    let before = world.order.last().0;
    until(world, seconds, "writing again", |world| {
        committed(world).is_some_and(|commit| commit > before + 10)
    });
}

#[test]
fn leader_whose_disk_hangs_is_replaced_and_comes_back_when_it_answers() {
    for (mode, flaps) in [
        (Mode::Available, false),
        (Mode::Available, true),
        (MAJORITY, false),
        (MAJORITY, true),
    ] {
        each_of(4, 3, mode, |world| {
            world.hang_disk(0, 60 * SECOND, flaps);
            until(world, 9, "served by 2", |world| world.serving() == Some(1));
            writes_go_on(world, 2);
            let stalled = |world: &World| {
                let process = world.nodes[0].process.as_ref();
                process.map_or(0, |process| process.status.disk_stalled_for)
            };
            assert!(stalled(world) > 5 * SECOND, "{}", world.describe());
            run(world, 20 * SECOND);
            assert_eq!(world.serving(), Some(1), "{}", world.describe());
            writes_go_on(world, 2);
            until(world, 50, "whole again", World::is_whole);
            assert_eq!(stalled(world), 0);
            finish(world);
        });
    }
}

#[test]
fn member_whose_disk_hangs_leaves_the_view_though_its_sessions_flap() {
    for (replicas, mode) in [(3, Mode::Available), (2, Mode::Available), (3, MAJORITY)] {
        for flaps in [false, true] {
            each_of(4, replicas, mode, |world| {
                world.hang_disk(1, 60 * SECOND, flaps);
                run(world, SECOND);
                writes_go_on(world, 12);
                writes_go_on(world, 2);
                run(world, 20 * SECOND);
                writes_go_on(world, 2);
                until(world, 50, "whole again", World::is_whole);
                finish(world);
            });
        }
    }
}

#[test]
fn one_of_two_whose_leader_hangs_goes_on_alone() {
    each_of(4, 2, Mode::Available, |world| {
        world.hang_disk(0, 30 * SECOND, false);
        until(world, 9, "served by 2", |world| world.serving() == Some(1));
        writes_go_on(world, 2);
        finish(world);
    });
}

#[test]
fn last_replica_whose_disk_hangs_stays_the_leader() {
    each_of(4, 3, Mode::Available, |world| {
        world.kill(1, None);
        world.kill(2, None);
        until(world, 2, "served alone", |world| world.serving() == Some(0));
        world.hang_disk(0, 12 * SECOND, false);
        run(world, 13 * SECOND);
        assert_eq!(world.serving(), Some(0), "{}", world.describe());
        writes_go_on(world, 2);
        finish(world);
    });
}

/// Gives the highest term that any replica promised.
fn term_max(world: &World) -> u64 {
    let processes = world.nodes.iter().filter_map(|node| node.process.as_ref());
    let terms = processes.map(|process| process.status.epoch.term());
    terms.max().unwrap_or(0)
}

#[test]
fn takeover_comes_however_slow_the_disks_are() {
    for fsync in [500_000, 700_000, SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND] {
        for (slow, mode) in [
            (vec![0, 1, 2], Mode::Available),
            (vec![1], Mode::Available),
            (vec![2], Mode::Available),
            (vec![0, 1, 2], MAJORITY),
            (vec![2], MAJORITY),
        ] {
            each_of(4, 3, mode, |world| {
                for &at in &slow {
                    world.crawl_disk(at, 600 * SECOND, fsync);
                }
                run(world, SECOND);
                let before = term_max(world);
                world.kill(0, None);
                // The write under way, the promise and the first view on each of two disks.
                let seconds = 6 * fsync / SECOND + 2;
                until(world, seconds, "served by another", |world| {
                    world.serving().is_some_and(|at| at != 0)
                });
                let tried = term_max(world) - before;
                assert!(tried <= 2, "{tried} takeovers\n{}", world.describe());
                writes_go_on(world, 12 * seconds);
                finish(world);
            });
        }
    }
}

/// Gives the members of the newest Config of the serving replica.
fn members(world: &World) -> Vec<u32> {
    let process = world
        .serving()
        .and_then(|at| world.nodes[at].process.as_ref());
    let config = process.and_then(|process| process.status.config.as_ref());
    config.map_or_else(Vec::new, |logged| {
        logged.config.members.keys().map(|id| id.0).collect()
    })
}

#[test]
fn member_with_a_slow_disk_leaves_the_view_and_returns_when_it_is_fast() {
    for fsync in [1_500_000, 4 * SECOND] {
        for mode in [Mode::Available, MAJORITY] {
            each_of(4, 3, mode, |world| {
                world.crawl_disk(2, 600 * SECOND, fsync);
                until(world, 30, "without 3", |world| members(world) == [1, 2]);
                let named = |world: &World| {
                    let process = world.nodes[0].process.as_ref();
                    let left_out = process.map(|process| process.status.left_out.clone());
                    left_out.is_some_and(|left_out| {
                        left_out
                            .iter()
                            .any(|(id, took)| id.0 == 3 && *took >= SECOND)
                    })
                };
                assert!(named(world), "{}", world.describe());
                for _ in 0..10 {
                    writes_go_on(world, 1);
                    run(world, 4 * SECOND);
                    assert_eq!(members(world), [1, 2], "{}", world.describe());
                }
                world.mend_disk(2);
                until(world, 30, "whole again", World::is_whole);
                assert!(!named(world));
                finish(world);
            });
        }
    }
}

#[test]
fn leader_with_a_slow_disk_gives_up_the_lead_and_returns_when_it_is_fast() {
    for fsync in [1_500_000, 4 * SECOND] {
        for mode in [Mode::Available, MAJORITY] {
            each_of(4, 3, mode, |world| {
                let before = term_max(world);
                world.crawl_disk(0, 600 * SECOND, fsync);
                until(world, 40, "served by 2", |world| world.serving() == Some(1));
                for _ in 0..10 {
                    writes_go_on(world, 1);
                    run(world, 4 * SECOND);
                    assert_eq!(members(world), [2, 3], "{}", world.describe());
                }
                assert!(term_max(world) <= before + 2, "{}", world.describe());
                world.mend_disk(0);
                until(world, 40, "whole again", World::is_whole);
                finish(world);
            });
        }
    }
}

#[test]
fn nobody_leaves_for_a_slow_disk_where_that_helps_nobody_or_leaves_too_few() {
    for (replicas, slow, mode) in [
        (2, vec![1], Mode::Available),
        (2, vec![0], Mode::Available),
        (3, vec![0, 1, 2], Mode::Available),
        (3, vec![1, 2], Mode::Available),
        (3, vec![0, 2], Mode::Available),
        (2, vec![1], MAJORITY),
        (3, vec![0, 1, 2], MAJORITY),
    ] {
        each_of(4, replicas, mode, |world| {
            let (whole, before) = (members(world), term_max(world));
            for &at in &slow {
                world.crawl_disk(at, 600 * SECOND, 2 * SECOND);
            }
            for _ in 0..60 {
                run(world, SECOND);
                assert_eq!(members(world), whole, "{}", world.describe());
            }
            assert_eq!(term_max(world), before, "{}", world.describe());
            writes_go_on(world, 60);
            finish(world);
        });
    }
}

#[test]
fn member_whose_disk_is_slow_leaves_though_its_sessions_flap() {
    for mode in [Mode::Available, MAJORITY] {
        each_of(4, 3, mode, |world| {
            world.crawl_disk(2, 600 * SECOND, 4 * SECOND);
            for _ in 0..20 {
                run(world, 2 * SECOND);
                world.hang_up(0, 2, true);
            }
            assert_eq!(members(world), [1, 2], "{}", world.describe());
            world.mend_disk(2);
            until(world, 60, "whole again", World::is_whole);
            finish(world);
        });
    }
}
