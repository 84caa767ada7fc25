//! The questions to every replica of a cluster. Each is asked at every address that is known for it, and
//! has the id that it answers with: an address may be out of date.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tercet_client::{Client, Error, Replica, ReplicaView, Replicas};

use super::connect::ListSource;

/// Answers by replica, ascending by id.
pub(super) type Answers<T> = Vec<(Replica, Result<T, Error>)>;

/// The source of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    List(ListSource),
    /// An earlier command remembered the address.
    Remembered,
    /// A replica of the cluster named the address.
    Cluster,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::List(ListSource::Default) => f.write_str("from the default list"),
            Source::List(source) => source.fmt(f),
            Source::Remembered => f.write_str("remembered from an earlier command"),
            Source::Cluster => f.write_str("from the cluster's own list"),
        }
    }
}

/// An answer from one address, with the id under which the address is known.
struct Asked {
    replica: Replica,
    source: Source,
    answer: Result<ReplicaView, Error>,
}

/// Asks every replica of the cluster for its status: the replicas of the list and of an earlier command, then
/// those that the most advanced of them names besides.
pub(super) async fn roster_views(
    client: &Client,
    list: ListSource,
    limit: Duration,
) -> Answers<ReplicaView> {
    let mut asked = Vec::new();
    ask(
        client,
        client.replicas(),
        Source::List(list),
        limit,
        &mut asked,
    )
    .await;
    if let Some(remembered) = client.roster() {
        ask(client, &remembered, Source::Remembered, limit, &mut asked).await;
    }
    let named = best(&asked).and_then(roster);
    if let Some(named) = &named {
        ask(client, named, Source::Cluster, limit, &mut asked).await;
    }
    combine(asked, named.as_ref())
}

/// Asks the replicas whose addresses were not asked yet, all at once.
async fn ask(
    client: &Client,
    replicas: &Replicas,
    source: Source,
    limit: Duration,
    asked: &mut Vec<Asked>,
) {
    let is_new = |replica: &&Replica| {
        asked
            .iter()
            .all(|one| one.replica.address != replica.address)
    };
    let fresh = replicas.iter().filter(is_new).cloned().collect();
    let Ok(fresh) = Replicas::from_parts(fresh) else {
        return;
    };
    for (replica, answer) in views(client, &fresh, limit).await {
        asked.push(Asked {
            replica,
            source,
            answer,
        });
    }
}

/// Asks each of these replicas for its status, all at once.
pub async fn views(client: &Client, replicas: &Replicas, limit: Duration) -> Answers<ReplicaView> {
    let view = |client: Client, replica: Replica| async move {
        client.replica_view(&replica, limit).await
    };
    ask_all(client, replicas, view).await
}

/// Asks each of these replicas a question, all at once.
pub(super) async fn ask_all<T: Send + 'static, F>(
    client: &Client,
    replicas: &Replicas,
    question: impl Fn(Client, Replica) -> F,
) -> Answers<T>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let ask = |replica: &Replica| {
        let question = question(client.clone(), replica.clone());
        (replica.clone(), tokio::spawn(question))
    };
    let questions: Vec<_> = replicas.iter().map(ask).collect();
    let mut answers = Vec::new();
    for (replica, question) in questions {
        if let Ok(answer) = question.await {
            answers.push((replica, answer));
        }
    }
    answers
}

/// Gives the answers of the replicas that answer.
pub(super) fn reached(answers: &Answers<ReplicaView>) -> impl Iterator<Item = &ReplicaView> {
    answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok())
}

/// Gives the leader of the highest epoch among the replicas that answer.
pub(super) fn leader(answers: &Answers<ReplicaView>) -> Option<&ReplicaView> {
    let leaders = reached(answers).filter(|view| view.is_master);
    leaders.max_by_key(|view| epoch(view))
}

pub(super) fn epoch(view: &ReplicaView) -> u64 {
    view.status.view.as_ref().map_or(0, |view| view.epoch)
}

/// Tells whether a replica is a member of the view, as the replica `asked` has it.
pub(super) fn is_member(asked: &ReplicaView, id: u32) -> bool {
    let view = asked.status.view.as_ref();
    view.is_some_and(|view| view.members.contains(&id))
}

fn rank(view: &ReplicaView) -> (bool, u64, u64) {
    (view.is_master, epoch(view), view.status.applied_lsn)
}

/// Gives the most advanced replica of the cluster that answers at the list, if one does.
fn best(asked: &[Asked]) -> Option<&ReplicaView> {
    let of = |listed: bool| {
        let answers = asked.iter().filter(move |one| {
            let is_listed = matches!(one.source, Source::List(_));
            is_listed || !listed
        });
        let views = answers.filter_map(|one| one.answer.as_ref().ok());
        views.max_by_key(|view| rank(view))
    };
    let listed = of(true).or_else(|| of(false))?;
    let same = asked.iter().filter_map(|one| one.answer.as_ref().ok());
    let same = same.filter(|view| view.status.cluster_id == listed.status.cluster_id);
    same.max_by_key(|view| rank(view))
}

/// Gives the replicas of the cluster, as one replica names them.
fn roster(view: &ReplicaView) -> Option<Replicas> {
    let replicas = view.status.replicas.iter().map(|replica| Replica {
        id: replica.replica_id,
        address: replica.address.clone(),
    });
    Replicas::from_parts(replicas.collect()).ok()
}

/// Gives one answer for each replica, from the address where it answered, or an error with every address
/// where it did not.
fn combine(asked: Vec<Asked>, named: Option<&Replicas>) -> Answers<ReplicaView> {
    let cluster = best(&asked).map(|view| view.status.cluster_id.clone());
    let cluster = cluster.unwrap_or_default();
    let mut reached: BTreeMap<u32, (Replica, ReplicaView)> = BTreeMap::new();
    let mut silent: BTreeMap<u32, Vec<(String, String)>> = BTreeMap::new();
    for Asked {
        replica,
        source,
        answer,
    } in asked
    {
        let what = match answer {
            Err(Error::Unreachable { what, .. }) => what,
            Err(error) => error.to_string(),
            Ok(view) if is_other(&view.status.cluster_id, &cluster) => {
                "a replica of another cluster answers".to_owned()
            }
            Ok(view) => {
                let id = match view.status.replica_id {
                    0 => replica.id,
                    id => id,
                };
                let address = replica.address.clone();
                let at = Replica { id, address };
                let before = reached.get(&id);
                if before.is_none_or(|(_, before)| rank(before) < rank(&view)) {
                    reached.insert(id, (at, view));
                }
                if id == replica.id {
                    continue;
                }
                format!("replica {id} answers")
            }
        };
        // A replica that has left the cluster is left out: the cluster's own list counts.
        let is_past = named.is_some_and(|named| named.address(replica.id).is_none());
        if source == Source::Remembered && is_past {
            continue;
        }
        let tried = (replica.address, format!("{what} ({source})"));
        silent.entry(replica.id).or_default().push(tried);
    }
    silent.retain(|id, _| !reached.contains_key(id));
    let reached = reached
        .into_values()
        .map(|(replica, view)| (replica, Ok(view)));
    let silent = silent.into_iter().map(|(id, tried)| unreached(id, tried));
    let mut answers: Answers<ReplicaView> = reached.chain(silent).collect();
    answers.sort_by_key(|(replica, _)| replica.id);
    answers
}

fn is_other(cluster: &str, ours: &str) -> bool {
    !cluster.is_empty() && !ours.is_empty() && cluster != ours
}

fn unreached(id: u32, tried: Vec<(String, String)>) -> (Replica, Result<ReplicaView, Error>) {
    let mut tried = tried.into_iter();
    let (address, mut what) = tried.next().unwrap_or_default();
    for (other, why) in tried {
        what.push_str(&format!("; nor at {other}: {why}"));
    }
    let error = Error::Unreachable {
        replica: id,
        address: address.clone(),
        what,
    };
    (Replica { id, address }, Err(error))
}

/// Gives the reason why a replica did not answer, for a line that names the replica already.
pub(super) fn no_answer(error: &Error) -> String {
    match error {
        Error::Unreachable { address, what, .. } => format!("no answer at {address}: {what}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u32, address: &str) -> Replica {
        Replica {
            id,
            address: address.to_owned(),
        }
    }

    fn answers(id: u32, cluster: &str, epoch: u64) -> Result<ReplicaView, Error> {
        let status = tercet_client::Status {
            replica_id: id,
            cluster_id: cluster.to_owned(),
            view: Some(tercet_client::View {
                epoch,
                ..Default::default()
            }),
            ..Default::default()
        };
        Ok(ReplicaView {
            is_master: false,
            status,
        })
    }

    fn refuses() -> Result<ReplicaView, Error> {
        Err(Error::Unreachable {
            replica: 0,
            address: String::new(),
            what: "connection refused".to_owned(),
        })
    }

    fn asked(replica: Replica, source: Source, answer: Result<ReplicaView, Error>) -> Asked {
        Asked {
            replica,
            source,
            answer,
        }
    }

    const LIST: Source = Source::List(ListSource::Flag);

    /// `ID@ADDRESS`, or what is said of a replica that does not answer.
    fn rows(all: Vec<Asked>, named: &str) -> Vec<String> {
        let named: Option<Replicas> = named.parse().ok();
        let row = |(replica, answer): (Replica, Result<ReplicaView, Error>)| match answer {
            Ok(view) => format!("{}@{}", view.status.replica_id, replica.address),
            Err(error) => format!("{}: {}", replica.id, no_answer(&error)),
        };
        combine(all, named.as_ref()).into_iter().map(row).collect()
    }

    #[test]
    fn a_replica_is_known_by_the_id_that_it_answers_with() {
        let all = vec![
            asked(at(1, "new:1"), LIST, answers(1, "x", 3)),
            asked(at(2, "new:2"), LIST, refuses()),
            asked(at(3, "new:3"), LIST, answers(2, "x", 3)),
            asked(at(1, "old:1"), Source::Cluster, refuses()),
            asked(at(2, "old:2"), Source::Cluster, refuses()),
            asked(at(3, "old:3"), Source::Cluster, refuses()),
        ];
        assert_eq!(
            rows(all, "1=old:1,2=old:2,3=old:3"),
            [
                "1@new:1",
                "2@new:3",
                "3: no answer at new:3: replica 2 answers (from --replicas); nor at old:3: connection \
                 refused (from the cluster's own list)",
            ]
        );
    }

    #[test]
    fn a_replica_of_another_cluster_and_one_that_left_are_not_taken_for_one_of_it() {
        let all = vec![
            asked(at(1, "a:1"), LIST, answers(1, "x", 3)),
            asked(at(2, "b:1"), Source::Cluster, answers(2, "y", 9)),
            asked(at(4, "d:1"), Source::Remembered, refuses()),
        ];
        assert_eq!(
            rows(all, "1=a:1,2=b:1"),
            [
                "1@a:1",
                "2: no answer at b:1: a replica of another cluster answers (from the cluster's own \
                 list)",
            ]
        );
    }

    #[test]
    fn what_is_remembered_is_told_when_nobody_answers() {
        let all = vec![
            asked(at(1, "a:1"), LIST, refuses()),
            asked(at(1, "z:1"), Source::Remembered, refuses()),
        ];
        assert_eq!(
            rows(all, ""),
            [
                "1: no answer at a:1: connection refused (from --replicas); nor at z:1: connection \
                 refused (remembered from an earlier command)"
            ]
        );
    }
}
