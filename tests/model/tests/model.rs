//! The protocol keeps its promises in small scopes of both modes, and every mistake it avoids is
//! shown to break them. The large scopes are run by command; see the notebook.

use std::process::{Command, Output};

use tercet_model::{
    actions::Spec,
    check::{Counterexample, Effort, Report, Search, Verdict, check},
    mutation::Mutation,
    properties::{DIVERGENCE_IS_NOTICED, NOTHING_IS_LOST, PROMISES, Property, asked_of},
    scope::{Mode, Scope},
};

fn effort(search: Search) -> Effort {
    Effort {
        search,
        threads: 1,
        time_limit: None,
    }
}

/// Visits the whole scope with the protocol as it is.
fn assert_holds(scope: Scope, asked: &'static [Property]) {
    let spec = Spec {
        scope,
        mutation: None,
    };
    let Report {
        unique, verdict, ..
    } = check(spec, asked, effort(Search::Deep));
    match verdict {
        Verdict::Holds => println!("{unique} states of {scope:?}"),
        Verdict::Refuted(counterexample) => panic!("{scope:?}\n{}", counterexample.tell()),
        Verdict::Unfinished => panic!("there is no time limit"),
    }
}

fn refute(mutation: Mutation) -> Counterexample {
    let spec = Spec {
        scope: mutation.scope(),
        mutation: Some(mutation),
    };
    match check(spec, asked_of(spec.mutation), effort(Search::Shortest)).verdict {
        Verdict::Refuted(counterexample) => counterexample,
        verdict => panic!("{mutation}: {verdict:?}"),
    }
}

#[test]
fn three_replicas_in_mode_available_survive_two_crashes() {
    let scope = Scope {
        writes: 1,
        crashes: 2,
        ballots: 2,
        ..Scope::standard(Mode::Available)
    };
    assert_holds(scope, PROMISES);
}

#[test]
fn two_replicas_in_mode_available_survive_four_crashes_and_a_replaced_disk() {
    let scope = Scope {
        replicas: 2,
        writes: 0,
        crashes: 4,
        wipes: 1,
        ballots: 2,
        parts: true,
        late_sessions: true,
        ..Scope::standard(Mode::Available)
    };
    assert_holds(scope, PROMISES);
}

#[test]
fn mode_majority_survives_a_crash_and_false_suspicion() {
    let scope = Scope {
        writes: 0,
        crashes: 1,
        ..Scope::standard(Mode::Majority)
    };
    assert_holds(scope, PROMISES);
}

#[test]
fn every_mutation_loses_what_was_committed() {
    for mutation in Mutation::ALL {
        let counterexample = refute(mutation);
        assert_eq!(counterexample.property, "nothing committed is lost");
        println!("{mutation}: {} steps", counterexample.steps.len());
    }
}

#[test]
fn what_refutes_a_mutation_does_not_refute_the_protocol() {
    let mut scopes: Vec<Scope> = Mutation::ALL.map(Mutation::scope).into();
    scopes.sort_by_key(|scope| format!("{scope:?}"));
    scopes.dedup();
    for scope in scopes {
        assert_holds(scope, &[NOTHING_IS_LOST]);
    }
}

#[test]
fn divergence_after_a_false_suspicion_is_noticed() {
    let spec = Spec {
        scope: Mutation::LiveSuspected.scope(),
        mutation: Some(Mutation::LiveSuspected),
    };
    let report = check(spec, &[DIVERGENCE_IS_NOTICED], effort(Search::Deep));
    assert!(matches!(report.verdict, Verdict::Holds), "{report:?}");
}

#[test]
fn shortest_counterexample_is_told_the_same_way_twice() {
    let [first, second] = [(), ()].map(|()| refute(Mutation::ActiveSurvivesRestart).tell());
    assert_eq!(first, second);
    assert!(first.starts_with("  1. "), "{first}");
    assert!(
        first.ends_with("broken: nothing committed is lost"),
        "{first}"
    );
}

fn run(args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet-model"));
    command
        .args(args.split_whitespace())
        .output()
        .expect("run the checker")
}

#[test]
fn command_exits_with_its_verdict() {
    let small = "--mode available --replicas 2 --crashes 1 --writes 1";
    assert_eq!(run(small).status.code(), Some(0));
    assert_eq!(run("--mutation no-log-collection").status.code(), Some(1));
    assert_eq!(run("--mode majority --time-limit 0").status.code(), Some(1));
}

#[test]
fn wrong_usage_is_explained() {
    let wrong = [
        ("", "which mode?"),
        ("--mode both", "no mode is called both"),
        ("--mode", "--mode needs a value"),
        ("--mode available --replicas 4", "--replicas 4: from 2 to 3"),
        ("--mode available --writes many", "--writes many: "),
        ("--mutation none", "no mutation is called none"),
        ("--mode available --speed 1", "unknown argument --speed"),
    ];
    for (args, error) in wrong {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with(error), "{args}: {said}");
    }
}
