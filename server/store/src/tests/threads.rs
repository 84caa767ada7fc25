//! The threads that read for callers who must not block.

use std::sync::{
    Arc, Barrier,
    mpsc::{self, Receiver, Sender},
};

use tercet_types::fair::Key;

use super::{
    super::{
        ReadThreads,
        readers::{Busy, WAITING_MAX},
    },
    *,
};

const KEY: Key = Key::REPLICA;

/// Keeps each thread in a read of its own until the senders are dropped.
fn occupy(threads: &ReadThreads) -> Vec<Sender<()>> {
    let occupied = Arc::new(Barrier::new(ReadThreads::COUNT + 1));
    let hold = || {
        let (held, until) = mpsc::channel::<()>();
        let occupied = Arc::clone(&occupied);
        threads.run(KEY, move |_| {
            occupied.wait();
            let _ = until.recv();
        });
        // The next one goes to another thread: this one is in no batch that could still grow.
        while threads.waiting() > 0 {
            std::thread::yield_now();
        }
        held
    };
    let held = (0..ReadThreads::COUNT).map(|_| hold()).collect();
    occupied.wait();
    held
}

fn applied(threads: &ReadThreads) -> Receiver<u64> {
    let (seen, receiver) = mpsc::channel();
    threads.run(KEY, move |readers| {
        let _ = readers.map(|readers| seen.send(readers.applied().unwrap()));
    });
    receiver
}

#[test]
fn reads_that_waited_together_see_what_was_written_before_each_was_asked_for() {
    let mut store = TestStore::new();
    let threads = store.readers.start_threads().unwrap();
    let held = occupy(&threads);
    let mut asked = Vec::new();
    for n in 0..40 {
        store.register(&format!("user{n}"));
        asked.push((store.last, applied(&threads)));
    }
    drop(held);
    for (written, seen) in asked {
        assert!(seen.recv().unwrap() >= written);
    }
    // No transaction was left open: a new read sees a new write.
    store.register("ann");
    assert_eq!(applied(&threads).recv().unwrap(), store.last);
}

#[test]
fn read_that_panics_ends_neither_its_thread_nor_the_reads_beside_it() {
    let store = TestStore::new();
    let threads = store.readers.start_threads().unwrap();
    for _ in 0..2 * ReadThreads::COUNT {
        let held = occupy(&threads);
        threads.run(KEY, |_| panic!("on purpose"));
        let beside = applied(&threads);
        drop(held);
        assert_eq!(beside.recv(), Ok(0));
    }
}

#[test]
fn more_reads_than_may_wait_are_refused_and_those_that_wait_are_answered() {
    let store = TestStore::new();
    let threads = store.readers.start_threads().unwrap();
    let held = occupy(&threads);
    let waiting: Vec<_> = (0..WAITING_MAX).map(|_| applied(&threads)).collect();
    let busy = || {
        let (told, whether) = mpsc::channel();
        let tell = move |readers: Result<&Readers, Busy>| told.send(readers.is_err()).unwrap();
        (tell, whether)
    };
    let (read, refused) = busy();
    threads.run(KEY, read);
    assert_eq!(refused.recv(), Ok(true));
    // Another account gets the place of one that has many.
    let (read, refused) = busy();
    threads.run(Key::account(1), read);
    drop((held, threads));
    assert_eq!(refused.recv(), Ok(false));
    let answered = waiting.iter().filter(|seen| seen.recv() == Ok(0));
    assert_eq!(answered.count(), WAITING_MAX - 1);
}
