//! A cluster of real processes: started through `tercet local` on loopback, or each by a command
//! of its own, harmed by signal, started again by its own `argv`, and gone when dropped.

#![allow(dead_code)]

pub mod load;
pub mod people;
pub mod preload;
pub mod wrong_clock;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub const TERCET: &str = env!("CARGO_BIN_EXE_tercet");

/// The time that a step may take that should take a second: machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// One replica as `tercet local` described it.
#[derive(Clone, Debug)]
pub struct Replica {
    pub id: u64,
    pub pid: i32,
    pub address: String,
    pub peer_address: String,
    pub data: PathBuf,
    pub argv: Vec<String>,
}

/// Variables and their values.
type Settings = &'static [(&'static str, &'static str)];

pub struct Cluster {
    pub dir: TempDir,
    pub replicas: BTreeMap<u64, Replica>,
    /// `tercet local`, and its output, kept open as it writes to it; not if started by hand.
    local: Option<(Child, BufReader<ChildStdout>)>,
    /// Settings that every replica is started with.
    settings: Settings,
    /// Replicas that were started by hand, or again by hand.
    restarted: BTreeMap<u64, Child>,
}

impl Cluster {
    pub fn start(count: usize) -> Cluster {
        Cluster::start_with(&[], count)
    }

    /// As [`Cluster::start`], with these settings in the environment of every replica.
    pub fn start_with(settings: Settings, count: usize) -> Cluster {
        let dir = tempfile::tempdir().expect("make a directory");
        Cluster::start_local(dir, settings, count)
    }

    /// As [`Cluster::start`], with data directories `data/replica-ID` in `dir`, which may be there.
    pub fn start_in(dir: TempDir, count: usize) -> Cluster {
        Cluster::start_local(dir, &[], count)
    }

    /// Both of these.
    pub fn start_in_with(dir: TempDir, settings: Settings, count: usize) -> Cluster {
        Cluster::start_local(dir, settings, count)
    }

    fn start_local(dir: TempDir, settings: Settings, count: usize) -> Cluster {
        let base_port = free_ports(2 * count);
        let errors = fs::File::create(dir.path().join("local.log")).expect("make a log");
        let mut local = Command::new(TERCET)
            .args(["local", "--no-chat", "--data"])
            .arg(dir.path().join("data"))
            .args(["--base-port", &base_port.to_string()])
            .args(["--replicas", &count.to_string()])
            .env_remove("TERCET_REPLICAS")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("start tercet local");
        let mut stdout = BufReader::new(local.stdout.take().expect("stdout is piped"));
        let mut replicas = BTreeMap::new();
        for _ in 0..count {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("read a line");
            let said = fs::read_to_string(dir.path().join("local.log")).unwrap_or_default();
            let replica = parse(&line).unwrap_or_else(|| panic!("no replica in {line:?}: {said}"));
            replicas.insert(replica.id, replica);
        }
        Cluster {
            dir,
            replicas,
            local: Some((local, stdout)),
            settings,
            restarted: BTreeMap::new(),
        }
    }

    /// Replicas that are each started by their own command.
    pub fn by_hand(dir: TempDir, replicas: impl IntoIterator<Item = Replica>) -> Cluster {
        let replicas = replicas.into_iter().map(|replica| (replica.id, replica));
        let mut cluster = Cluster {
            dir,
            replicas: replicas.collect(),
            local: None,
            settings: &[],
            restarted: BTreeMap::new(),
        };
        let token = cluster.data("admin-token");
        fs::create_dir_all(token.parent().expect("a directory")).expect("make a directory");
        fs::write(token, "of the operator of this test\n").expect("write the admin token");
        for id in cluster.ids() {
            cluster.restart(id);
        }
        cluster
    }

    pub fn ids(&self) -> Vec<u64> {
        self.replicas.keys().copied().collect()
    }

    /// A file of `tercet local`.
    fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    /// Describes one more replica, which joins those that are there; `restart` starts it.
    pub fn describe(&mut self, id: u64) {
        let data = self.data(&format!("replica-{id}"));
        fs::create_dir_all(&data).expect("make a directory");
        let argv = [
            "serve",
            "--id",
            &id.to_string(),
            "--join",
            &self.addresses(),
        ];
        let mut argv: Vec<String> = [TERCET]
            .iter()
            .chain(&argv)
            .map(ToString::to_string)
            .collect();
        for (flag, path) in [
            ("--data", data.clone()),
            ("--peer-secret-file", self.data("peer-secret")),
            ("--admin-token-file", self.data("admin-token")),
        ] {
            argv.extend([flag.to_owned(), path.display().to_string()]);
        }
        let replica = Replica {
            id,
            pid: 0,
            address: String::new(),
            peer_address: String::new(),
            data,
            argv,
        };
        self.replicas.insert(id, replica);
        self.move_to_free_ports(id);
    }

    /// Adds a replica that was described to the cluster.
    pub fn add(&self, id: u64) {
        let replica = &self.replicas[&id];
        let at = format!("{id}={}", replica.address);
        let peer = ["--peer-address", &replica.peer_address];
        self.json(&["cluster", "add-replica", &at, peer[0], peer[1], "--json"]);
    }

    /// From its next start on a replica is reached somewhere else.
    pub fn move_to_free_ports(&mut self, id: u64) {
        let port = free_ports(2);
        let replica = self.replicas.get_mut(&id).expect("it exists");
        replica.address = format!("127.0.0.1:{port}");
        replica.peer_address = format!("127.0.0.1:{}", port + 1);
        let at = [
            "--address",
            &replica.address,
            "--peer-address",
            &replica.peer_address,
        ];
        replica.argv.extend(at.map(String::from));
    }

    /// From their next start on these replicas are reached somewhere else, and each of them has lists that
    /// say so of all.
    pub fn move_in_lists(&mut self, ids: &[u64]) {
        for id in ids {
            let port = free_ports(2);
            let replica = self.replicas.get_mut(id).expect("it exists");
            replica.address = format!("127.0.0.1:{port}");
            replica.peer_address = format!("127.0.0.1:{}", port + 1);
        }
        let list = |address: fn(&Replica) -> &String| {
            let pairs = self.replicas.values();
            let pairs = pairs.map(|replica| format!("{}={}", replica.id, address(replica)));
            pairs.collect::<Vec<_>>().join(",")
        };
        let lists = [
            ("--replicas", list(|replica| &replica.address)),
            ("--peers", list(|replica| &replica.peer_address)),
        ];
        for id in ids {
            let replica = self.replicas.get_mut(id).expect("it exists");
            for (flag, list) in &lists {
                let at = replica.argv.iter().position(|word| word == flag);
                let at = at.expect("it is started with both lists");
                replica.argv[at + 1].clone_from(list);
            }
        }
    }

    /// From its next start on a replica has an empty disk, and joins those that are there.
    pub fn wipe(&mut self, id: u64) {
        let join = ["--join".to_owned(), self.addresses()];
        let replica = self.replicas.get_mut(&id).expect("it exists");
        fs::remove_dir_all(&replica.data).expect("remove a store");
        fs::create_dir(&replica.data).expect("make a directory");
        replica.argv.extend(join);
    }

    fn addresses(&self) -> String {
        let addresses = self
            .replicas
            .values()
            .map(|replica| replica.address.as_str());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// `1=HOST:PORT,…` of the given replicas.
    pub fn list_of(&self, ids: &[u64]) -> String {
        let pairs = ids
            .iter()
            .map(|id| format!("{id}={}", self.replicas[id].address));
        pairs.collect::<Vec<_>>().join(",")
    }

    pub fn list(&self) -> String {
        self.list_of(&self.ids())
    }

    /// The command line, towards this cluster, with sessions of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_at(&self.list(), arguments)
    }

    /// Logs in once more, with sessions in a file of its own: another device. Gives the file.
    pub fn other_device(&self, name: &str, password: &str) -> PathBuf {
        let file = self.dir.path().join("other-sessions.json");
        let path = file.to_str().expect("a path");
        let login = ["login", name, "--password", password];
        self.json(&[&login[..], &["--session-file", path, "--json"]].concat());
        file
    }

    pub fn on_device(&self, device: &Path, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let command = command.env("TERCET_SESSION_FILE", device);
        command.output().expect("run tercet")
    }

    pub fn command_at(&self, list: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(TERCET);
        command
            .args(arguments)
            .env("TERCET_REPLICAS", list)
            .env("TERCET_SESSION_FILE", self.dir.path().join("sessions.json"))
            .env("TERCET_ADMIN_TOKEN_FILE", self.data("admin-token"))
            .env_remove("TERCET_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("run tercet")
    }

    /// Runs it, and gives what it printed as JSON; it must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let text = said(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        last_json(&output).unwrap_or_else(|| panic!("{arguments:?} printed no JSON: {text}"))
    }

    /// Runs it, and gives every line that it printed: an array of objects. It must succeed.
    pub fn lines(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let text = said(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        all_json(&output)
    }

    /// Runs it, and gives the exit code and what it said on standard error; it must fail.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), errors)
    }

    /// `cluster recover`: declares these replicas dead (`1` or `1,3`). Gives who leads then.
    pub fn recover(&self, dead: &str) -> Value {
        let recover = ["cluster", "recover", "--declare-dead", dead];
        self.json(&[&recover[..], &["--yes", "--json"]].concat())
    }

    /// Makes an account with a session.
    pub fn person(&self, name: &str) {
        self.json(&["register", name, "--password", "correct horse", "--json"]);
        self.json(&["login", name, "--password", "correct horse", "--json"]);
    }

    /// `cluster status --json`, which also prints when no leader was found.
    pub fn status(&self) -> Value {
        let output = self.run(&["cluster", "status", "--json"]);
        last_json(&output).unwrap_or_else(|| panic!("no status: {}", said(&output)))
    }

    pub fn leader(&self) -> Option<u64> {
        self.status()["leader"].as_u64()
    }

    /// Gives the status of one replica by `cluster status`.
    pub fn status_of(&self, id: u64) -> Value {
        let status = self.status();
        let replicas = status["replicas"].as_array().expect("replicas are listed");
        let found = replicas
            .iter()
            .find(|replica| replica["id"].as_u64() == Some(id));
        found.expect("the replica is listed").clone()
    }

    pub fn wait_for_leader(&self, id: u64) {
        wait_until(&format!("replica {id} leads"), || self.leader() == Some(id));
    }

    /// Waits until every replica is reachable and a member, and the lowest leads.
    pub fn wait_until_whole(&self) {
        wait_until("all replicas are members", || self.is_whole());
    }

    /// Every replica is reachable and a member, and the lowest leads.
    pub fn is_whole(&self) -> bool {
        let lowest = *self.replicas.keys().next().expect("there are replicas");
        let status = self.status();
        let replicas = status["replicas"].as_array().expect("replicas are listed");
        status["leader"].as_u64() == Some(lowest)
            && replicas.len() == self.replicas.len()
            && replicas.iter().all(|replica| replica["member"] == true)
            && replicas.iter().all(|replica| replica["reachable"] == true)
    }

    /// Tells whether `cluster verify` finds the states equal.
    pub fn is_equal(&self) -> bool {
        let output = self.run(&["cluster", "verify", "--json"]);
        let verified = last_json(&output).unwrap_or_else(|| panic!("{}", said(&output)));
        verified["equal"] == true
    }

    /// All replicas hold the same state at one LSN.
    pub fn assert_equal(&self) {
        let verified = self.json(&["cluster", "verify", "--json"]);
        assert_eq!(verified["equal"], true, "{verified}");
        let replicas = verified["replicas"]
            .as_array()
            .expect("replicas are listed");
        assert_eq!(replicas.len(), self.replicas.len());
        let hashes = replicas
            .iter()
            .map(|replica| replica["state_hash"].as_str());
        let hashes: Vec<&str> = hashes.map(|hash| hash.expect("each has a hash")).collect();
        assert!(
            hashes.windows(2).all(|pair| pair[0] == pair[1]),
            "{verified}"
        );
    }

    pub fn signal(&self, id: u64, signal: Signal) {
        let pid = Pid::from_raw(self.replicas[&id].pid).expect("pids are not zero");
        kill_process(pid, signal).expect("signal a replica");
    }

    /// `kill -9`; returns once the process is dead.
    pub fn kill(&mut self, id: u64) {
        self.signal(id, Signal::KILL);
        self.wait_until_gone(id);
    }

    /// Waits until a replica that was told to end is gone.
    pub fn wait_until_gone(&mut self, id: u64) {
        if let Some(mut child) = self.restarted.remove(&id) {
            child.wait().expect("wait for a replica");
        }
        let pid = self.replicas[&id].pid;
        wait_until("the process is gone", || !alive(pid));
    }

    /// The exit code of a replica that was started by hand and ends by itself.
    pub fn exit_code(&mut self, id: u64) -> Option<i32> {
        let child = self.restarted.get_mut(&id).expect("started by hand");
        let mut code = None;
        wait_until("the process has ended", || {
            code = child.try_wait().expect("wait for a replica");
            code.is_some()
        });
        self.restarted.remove(&id);
        code.and_then(|code| code.code())
    }

    /// Starts a replica, again or for the first time, with its own `argv`.
    pub fn restart(&mut self, id: u64) {
        let replica = &self.replicas[&id];
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.by_hand_log(id))
            .expect("open a log");
        let child = Command::new(&replica.argv[0])
            .args(&replica.argv[1..])
            .env("TERCET_ADMIN_TOKEN_FILE", self.data("admin-token"))
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start a replica");
        self.replicas.get_mut(&id).expect("it exists").pid = child.id() as i32;
        self.restarted.insert(id, child);
    }

    /// Waits until a replica that was started by hand ends by itself, and gives its exit code.
    pub fn wait_for_exit(&mut self, id: u64) -> Option<i32> {
        let mut child = self.restarted.remove(&id).expect("it was started by hand");
        let mut status = None;
        wait_until(&format!("replica {id} ends by itself"), || {
            status = child.try_wait().expect("look at a process");
            status.is_some()
        });
        status.expect("it ended").code()
    }

    /// Whether a replica's process is there.
    pub fn is_up(&self, id: u64) -> bool {
        alive(self.replicas[&id].pid)
    }

    /// Everything a replica has logged.
    pub fn log(&self, id: u64) -> String {
        let logs = [
            self.replicas[&id].data.join("replica.log"),
            self.by_hand_log(id),
        ];
        let texts = logs
            .iter()
            .map(|log| fs::read_to_string(log).unwrap_or_default());
        texts.collect()
    }

    /// Not in the data directory, which tests wipe and fill.
    pub fn by_hand_log(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("replica-{id}.log"))
    }

    /// Ends the cluster as Ctrl-C would, and gives the exit code of `tercet local`.
    pub fn stop(&mut self) -> Option<i32> {
        let (local, _) = self.local.as_mut().expect("tercet local started it");
        kill_process(Pid::from_child(local), Signal::TERM).expect("signal tercet local");
        local.wait().expect("wait for tercet local").code()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.restarted.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A pid that was waited for above, or in a test, may be another's by now.
        for replica in self.replicas.values().filter(|_| self.local.is_some()) {
            if let Some(pid) = Pid::from_raw(replica.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let Some((local, _)) = &mut self.local else {
            return;
        };
        let _ = kill_process(Pid::from_child(local), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if let Ok(Some(_)) = local.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = local.kill();
        let _ = local.wait();
    }
}

/// Polls a condition until it holds; fails with its name when it does not in time.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The last line of standard output, or all of it, as JSON.
pub fn last_json(output: &Output) -> Option<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let whole = serde_json::from_str(&text);
    whole
        .ok()
        .or_else(|| serde_json::from_str(text.trim_end().lines().last()?).ok())
}

/// Every line of standard output, each an object.
pub fn all_json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let object = |line| serde_json::from_str::<Value>(line).expect("each line is JSON");
    let objects: Vec<Value> = text.lines().map(object).collect();
    assert!(objects.iter().all(Value::is_object), "{text}");
    objects.into()
}

/// The lines of standard output as JSON, none if one is no JSON.
pub fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    lines.unwrap_or_default()
}

pub fn said(output: &Output) -> String {
    format!(
        "exit {:?}\n{}\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Feeds a command its standard input.
pub fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("run tercet");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("wait for tercet")
}

fn parse(line: &str) -> Option<Replica> {
    let value: Value = serde_json::from_str(line).ok()?;
    let argv = value["argv"].as_array()?.iter();
    Some(Replica {
        id: value["id"].as_u64()?,
        pid: i32::try_from(value["pid"].as_i64()?).ok()?,
        address: value["address"].as_str()?.into(),
        peer_address: value["peer_address"].as_str()?.into(),
        data: value["data"].as_str()?.into(),
        argv: argv
            .map(|word| word.as_str().map(String::from))
            .collect::<Option<_>>()?,
    })
}

/// Whether a process exists and is no zombie. While its other threads still end it is one already,
/// and still holds its ports and its store.
fn alive(pid: i32) -> bool {
    let exists = Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    let proc = Path::new("/proc").join(pid.to_string());
    let zombie = fs::read_to_string(proc.join("stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim().starts_with('Z'))
    });
    let threads = fs::read_dir(proc.join("task")).map_or(0, Iterator::count);
    exists && !(zombie && threads <= 1)
}

/// The first of `count` consecutive ports that are free now, below the range from which the
/// system gives out ports, so that no client's connection takes one meanwhile.
pub fn free_ports(count: usize) -> u16 {
    let start = 10_000 + (std::process::id() % 400) as u16 * 50;
    for round in 0..400_u16 {
        let base = 10_000 + (start - 10_000 + round * 50 + offset()) % 20_000;
        let ports = base..base + count as u16;
        if ports
            .clone()
            .all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        {
            return base;
        }
    }
    panic!("no {count} consecutive free ports");
}

/// Keeps the tests of one process apart.
fn offset() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    OFFSET.fetch_add(20, Ordering::Relaxed)
}
