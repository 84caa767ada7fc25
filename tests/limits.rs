//! Registering accounts and guessing passwords have limits, and an operator reads of it once.

mod cluster;

use cluster::{Cluster, last_json, said};

#[test]
fn registering_too_many_accounts_is_refused_and_logged_once() {
    let cluster = Cluster::start_with(&[("TERCET_REGISTRATION_LIMIT_LOOPBACK", "1")], 1);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "cat"] {
        cluster.person(name);
    }
    for name in ["dan", "eve"] {
        let register = ["register", name, "--password", "correct horse", "--json"];
        let (code, errors) = cluster.fails(&register);
        assert_eq!(code, 1);
        assert!(errors.contains("RATE_LIMITED"), "{errors}");
        assert!(errors.contains("too many accounts"), "{errors}");
        assert!(errors.contains("try again in"), "{errors}");
    }
    // Who is registered is not concerned.
    cluster.json(&["login", "ann", "--password", "correct horse", "--json"]);
    cluster.json(&["send", "bob", "hello", "--json"]);
    let log = cluster.log(1);
    let told = log.matches("refused for now: too many accounts").count();
    assert_eq!(told, 1, "{log}");
    assert!(log.contains("from=127.0.0.1"), "{log}");
}

#[test]
fn guessing_a_password_gets_slower_and_is_logged() {
    let cluster = Cluster::start(1);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.person("bob");
    let mut reasons = Vec::new();
    // The last of these would wait for 16 s: it is told, and not waited for.
    for guess in 0..10 {
        let password = format!("guess number {guess}");
        let output = cluster.run(&["login", "ann", "--password", &password, "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let text = said(&output);
        reasons.push(text.contains("RATE_LIMITED"));
        assert!(
            text.contains("WRONG_CREDENTIALS") || text.contains("RATE_LIMITED"),
            "{text}"
        );
    }
    assert!(!reasons[0] && reasons[9], "{reasons:?}");
    let bob = cluster.run(&["login", "bob", "--password", "correct horse", "--json"]);
    assert!(last_json(&bob).is_some(), "{}", said(&bob));
    let log = cluster.log(1);
    assert_eq!(log.matches("too many wrong passwords").count(), 1, "{log}");
    assert!(
        log.contains("account=\"ann\"") || log.contains("account=ann"),
        "{log}"
    );
    assert!(!log.contains("guess number"), "{log}");
}
