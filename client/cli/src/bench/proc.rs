//! Facts about processes from /proc: their listening sockets, their processor time and memory, and how they
//! were started. On other systems than Linux nothing is found.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub rss_kib: u64,
    /// The highest value since the process was started.
    pub peak_kib: u64,
}

/// The way in which a process was started.
#[derive(Debug, Clone)]
pub struct Start {
    pub program: PathBuf,
    /// The words of the command line, the program's name first.
    pub argv: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    pub directory: PathBuf,
    /// The files that stdout and stderr go to, if they are files.
    pub stdout: Option<PathBuf>,
    pub stderr: Option<PathBuf>,
}

/// Finds the process of this machine that listens at `HOST:PORT`.
pub fn listener(address: &str) -> Option<u32> {
    // On another machine the same port may be somebody else's.
    let here = |address: &SocketAddr| UdpSocket::bind((address.ip(), 0)).is_ok();
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().ok()?.filter(here).collect();
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let tables = [read("/proc/net/tcp"), read("/proc/net/tcp6")];
    let sockets = tables
        .iter()
        .flat_map(|table| table.lines().filter_map(socket));
    let inodes: HashSet<u64> = sockets
        .filter(|(at, _)| addresses.iter().any(|address| serves(at, address)))
        .map(|(_, inode)| inode)
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid| holds(*pid, &inodes))
}

fn holds(pid: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false; // somebody else's, or gone
    };
    let mut links = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    links.any(|link| inode(&link).is_some_and(|inode| inodes.contains(&inode)))
}

/// Gives the inode of `socket:[123]`.
fn inode(link: &Path) -> Option<u64> {
    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// True if a socket that listens at `at` is reached by `address`.
fn serves(at: &SocketAddr, address: &SocketAddr) -> bool {
    let (ip, wanted) = (at.ip().to_canonical(), address.ip().to_canonical());
    at.port() == address.port() && (ip.is_unspecified() || ip == wanted)
}

/// Gives the address and inode of a listening socket, from a line of /proc/net/tcp or tcp6.
fn socket(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next()?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip_of(ip)?, port), inode))
}

/// Parses an IP address of 32-bit words, each in the byte order of the machine.
fn ip_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            let bytes: [u8; 16] = words.try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// Gives the processor time of a process, its own and the system's for it.
pub fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = ticks(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

fn ticks(stat: &str) -> Option<u64> {
    // The name may have spaces and brackets; what follows the last one has none.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

pub fn memory(pid: u32) -> Option<Memory> {
    memory_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn memory_of(status: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory {
        rss_kib: kib("VmRSS:")?,
        peak_kib: kib("VmHWM:")?,
    })
}

/// The way in which a process was started.
///
/// # Errors
/// When it is gone or somebody else's.
pub fn start(pid: u32) -> io::Result<Start> {
    let path = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
    let file = |name: &str| {
        let target = fs::read_link(path(name)).ok()?;
        target.is_file().then_some(target)
    };
    let pair = |word: OsString| {
        let bytes = word.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=')?;
        let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((part(&bytes[..at]), part(&bytes[at + 1..])))
    };
    let environment = words(&fs::read(path("environ"))?);
    Ok(Start {
        program: replaced(fs::read_link(path("exe"))?),
        argv: words(&fs::read(path("cmdline"))?),
        environment: environment.into_iter().filter_map(pair).collect(),
        directory: fs::read_link(path("cwd"))?,
        stdout: file("fd/1"),
        stderr: file("fd/2"),
    })
}

/// Gives the path of a program whose file was replaced after it was started.
fn replaced(program: PathBuf) -> PathBuf {
    let bytes = program.as_os_str().as_bytes();
    match bytes.strip_suffix(b" (deleted)") {
        Some(path) => OsString::from_vec(path.to_vec()).into(),
        None => program,
    }
}

/// Splits words that each end with a zero byte.
fn words(bytes: &[u8]) -> Vec<OsString> {
    let words = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let words = words.split(|byte| *byte == 0);
    words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

/// True if a process has ended, so that its ports are free, even if its parent has not waited for it.
pub fn is_gone(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    // While its other threads still end it is a zombie already, and still holds its ports.
    rest.trim_start().starts_with('Z') && threads <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  \
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 34510 1 0
   1: 00000000:1770 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0
   2: 0100007F:1389 0100007F:D2F4 01 00000000:00000000 00:00000000 00000000  1000        0 34599 1 0";
    const TCP6: &str = "   \
   0: 00000000000000000000000001000000:1389 00000000000000000000000000000000:0000 0A \
       00000000:00000000 00:00000000 00000000  1000        0 77 1 0";

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_that_listen_are_read_and_others_passed_over() {
        let found: Vec<_> = TCP.lines().filter_map(socket).collect();
        let expected = [("127.0.0.1:5001", 34510), ("0.0.0.0:6000", 111)];
        let expected = expected.map(|(at, inode)| (at.parse().unwrap(), inode));
        assert_eq!(found, expected);
        assert_eq!(socket(TCP6), Some(("[::1]:5001".parse().unwrap(), 77)));
        assert_eq!(socket(""), None);
        assert_eq!(socket("1: zz:1 0 0A"), None);
    }

    #[test]
    fn a_socket_serves_its_own_address_or_all() {
        let serves = |at: &str, address: &str| {
            super::serves(&at.parse().unwrap(), &address.parse().unwrap())
        };
        assert!(serves("127.0.0.1:5001", "127.0.0.1:5001"));
        assert!(serves("0.0.0.0:5001", "127.0.0.1:5001"));
        assert!(serves("[::]:5001", "127.0.0.1:5001"));
        assert!(serves("[::ffff:127.0.0.1]:5001", "127.0.0.1:5001"));
        assert!(!serves("127.0.0.2:5001", "127.0.0.1:5001"));
        assert!(!serves("127.0.0.1:5002", "127.0.0.1:5001"));
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 1000 0 0 0 120 34 0 0 20 0 9 0 555";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("4242 (x) S 1"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn memory_is_what_it_has_now_and_had_at_most() {
        let status =
            "Name:\ttercet\nVmPeak:\t  900000 kB\nVmHWM:\t   61234 kB\nVmRSS:\t   50000 kB\n";
        let memory = Memory {
            rss_kib: 50_000,
            peak_kib: 61_234,
        };
        assert_eq!(memory_of(status), Some(memory));
        assert_eq!(memory_of("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn words_end_with_a_zero_and_may_be_empty() {
        let expected = ["tercet", "", "--id"].map(OsString::from);
        assert_eq!(words(b"tercet\0\0--id\0"), expected);
    }

    #[test]
    fn a_program_that_was_replaced_is_started_from_its_place() {
        let program = |path: &str| replaced(PathBuf::from(path));
        assert_eq!(program("/bin/tercet (deleted)"), Path::new("/bin/tercet"));
        assert_eq!(program("/bin/tercet"), Path::new("/bin/tercet"));
    }

    #[test]
    fn an_inode_is_that_of_a_socket_only() {
        assert_eq!(inode(Path::new("socket:[77]")), Some(77));
        assert_eq!(inode(Path::new("pipe:[77]")), None);
        assert_eq!(inode(Path::new("/dev/null")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_found_by_the_port_that_it_listens_at() {
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap().to_string();
        let pid = std::process::id();
        assert_eq!(listener(&address), Some(pid));
        assert!(cpu(pid).is_some() && memory(pid).is_some() && !is_gone(pid));
        let start = start(pid).unwrap();
        assert_eq!(start.argv, std::env::args_os().collect::<Vec<_>>());
        assert_eq!(start.directory, std::env::current_dir().unwrap());
        drop(listening);
        assert_eq!(listener(&address), None);
    }
}
