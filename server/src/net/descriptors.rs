//! File descriptors: the limit of this process, and the shares of its users.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that clients never get: those of the store, its snapshots and checkpoints, of the sessions
/// with other replicas, of runtimes and logs.
const RESERVE: usize = 128;

/// Descriptors for the port for replicas: sessions, and handshakes that are under way.
const PEERS_MAX: usize = 288;

/// Connections of clients when the system would allow more: each costs some ten kilobytes.
const CLIENTS_MAX_DEFAULT: usize = 4_096;

/// The least number of clients' connections, however few descriptors there are.
const CLIENTS_MIN: usize = 16;

/// Raises the limit of open descriptors to the highest that this process may set, and returns it.
pub(crate) fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "raise the limit of open file descriptors");
            current
        }
    };
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// Gives the limit of clients' connections where `descriptors` may be open. `wanted` is the operator's setting.
pub(crate) fn clients_max(descriptors: usize, wanted: Option<usize>) -> usize {
    // With few descriptors, replicas and the store together get half of them.
    let reserve = (RESERVE + PEERS_MAX).min(descriptors / 2);
    let room = (descriptors - reserve).max(CLIENTS_MIN);
    let wanted_or_default = wanted.unwrap_or(CLIENTS_MAX_DEFAULT);
    if wanted.is_some_and(|wanted| wanted > room) {
        tracing::warn!(
            "{wanted_or_default} connections of clients are wanted, and the limit of open files leaves room for {room}: raise the limit (`ulimit -n`, LimitNOFILE of the service)"
        );
    }
    wanted_or_default.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_descriptors_for_the_store_and_the_other_replicas() {
        assert_eq!(clients_max(1_024, None), 1_024 - RESERVE - PEERS_MAX);
        assert_eq!(clients_max(1_024, Some(100)), 100);
        assert_eq!(clients_max(usize::MAX, None), CLIENTS_MAX_DEFAULT);
        assert_eq!(clients_max(usize::MAX, Some(9_000)), 9_000);
        assert_eq!(clients_max(256, None), 128);
        assert_eq!(clients_max(20, None), CLIENTS_MIN);
    }
}
