//! The check compares the acknowledged messages with those that the cluster has. Pure.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::plan::{Plan, Planned};

/// A stored message that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub cursor: u64,
    pub sender: String,
    pub recipient: String,
    pub body: String,
}

/// The faults, each with the ids of its messages; all lists are empty if there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Messages that were acknowledged and are not there.
    pub missing: Vec<String>,
    /// Messages that are there more than once: under their own id, or with the same content under an id
    /// that the file does not have.
    pub duplicated: Vec<String>,
    /// Messages behind a later one of their conversation, or not in the order of their page.
    pub out_of_order: Vec<String>,
    /// Messages that are there with another sender, recipient or body.
    pub altered: Vec<String>,
    /// Messages of these histories that are unlike any in the file; they are no fault.
    pub strangers: u64,
}

impl Findings {
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty()
            && self.duplicated.is_empty()
            && self.out_of_order.is_empty()
            && self.altered.is_empty()
    }
}

/// Checks the histories of all pairs against the plan; `acknowledged` by message index.
pub fn check(plan: &Plan, acknowledged: &[bool], histories: &[Vec<Row>]) -> Findings {
    let mut findings = Findings::default();
    let mut found: HashMap<&str, &Row> = HashMap::new();
    let known: HashSet<String> = plan.known.iter().map(|id| id.to_string()).collect();
    let content: HashSet<(&str, &str, &str)> = plan
        .messages
        .iter()
        .map(|message| expected(plan, message))
        .collect();
    for history in histories {
        let mut last = 0;
        for row in history {
            if row.cursor < last {
                findings.out_of_order.push(row.id.clone());
            }
            last = last.max(row.cursor);
            if known.contains(&row.id) {
                match found.entry(&row.id) {
                    Entry::Vacant(entry) => drop(entry.insert(row)),
                    Entry::Occupied(_) => findings.duplicated.push(row.id.clone()),
                }
            } else if content.contains(&actual(row)) {
                findings.duplicated.push(row.id.clone());
            } else {
                findings.strangers += 1;
            }
        }
    }
    for conversation in &plan.conversations {
        let mut last = 0;
        for &index in conversation {
            let message = &plan.messages[index];
            let id = message.id.to_string();
            let Some(row) = found.get(id.as_str()) else {
                if acknowledged[index] {
                    findings.missing.push(id);
                }
                continue;
            };
            if actual(row) != expected(plan, message) {
                findings.altered.push(id.clone());
            }
            if row.cursor <= last {
                findings.out_of_order.push(id);
            }
            last = last.max(row.cursor);
        }
    }
    findings
}

fn expected<'a>(plan: &'a Plan, message: &'a Planned) -> (&'a str, &'a str, &'a str) {
    let name = |person: usize| plan.people[person].name.as_str();
    (name(message.from), plan.recipient(message), &message.body)
}

fn actual(row: &Row) -> (&str, &str, &str) {
    (&row.sender, &row.recipient, &row.body)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::accounts::Wanted;

    /// Two conversations of the same two people: messages 0, 1, 2 and messages 3, 4.
    fn plan() -> Plan {
        let person = |name: &str| Wanted {
            name: name.to_owned(),
            password: String::new(),
            logs_in: true,
        };
        let message = |index: usize| Planned {
            id: Uuid::from_u128(index as u128 + 1),
            from: index % 2,
            to: (index + 1) % 2,
            conversation: usize::from(index > 2),
            body: format!("text {}", index % 4),
        };
        let messages: Vec<_> = (0..5).map(message).collect();
        Plan {
            people: vec![person("ann"), person("ben")],
            known: messages.iter().map(|message| message.id).collect(),
            conversations: vec![vec![0, 1, 2], vec![3, 4]],
            messages,
            ..Plan::default()
        }
    }

    /// All of the plan in one history, the conversations interleaved.
    fn history(plan: &Plan) -> Vec<Row> {
        let row = |(place, index): (usize, &usize)| {
            let message = &plan.messages[*index];
            Row {
                id: message.id.to_string(),
                cursor: place as u64 + 1,
                sender: plan.people[message.from].name.clone(),
                recipient: plan.people[message.to].name.clone(),
                body: message.body.clone(),
            }
        };
        [0, 3, 1, 4, 2].iter().enumerate().map(row).collect()
    }

    fn check_all(plan: &Plan, history: Vec<Row>) -> Findings {
        check(plan, &[true; 5], &[history])
    }

    #[test]
    fn conversations_that_share_a_history_may_interleave() {
        let plan = plan();
        let findings = check_all(&plan, history(&plan));
        assert_eq!(findings, Findings::default());
        assert!(findings.is_clean());
    }

    #[test]
    fn an_acknowledged_message_that_is_not_there_is_missing() {
        let plan = plan();
        let mut rows = history(&plan);
        let lost = rows.remove(2);
        let findings = check_all(&plan, rows.clone());
        assert_eq!(findings.missing, [lost.id]);
        assert!(!findings.is_clean());
        let acknowledged = [true, false, true, true, true];
        assert!(check(&plan, &acknowledged, &[rows]).is_clean());
    }

    #[test]
    fn a_message_that_is_there_twice_is_duplicated() {
        let plan = plan();
        let mut rows = history(&plan);
        let mut again = rows[1].clone();
        again.cursor = 99;
        rows.push(again);
        let findings = check_all(&plan, rows);
        assert_eq!(findings.duplicated.len(), 1);
        assert!(findings.missing.is_empty());
    }

    #[test]
    fn the_same_content_under_a_strange_id_is_duplicated() {
        let plan = plan();
        let mut rows = history(&plan);
        let mut again = rows[1].clone();
        again.id = Uuid::from_u128(1000).to_string();
        again.cursor = 99;
        rows.push(again.clone());
        assert_eq!(check_all(&plan, rows).duplicated, [again.id]);
    }

    #[test]
    fn the_same_content_twice_in_the_file_is_no_duplicate() {
        let mut plan = plan();
        plan.messages[2].body = plan.messages[0].body.clone();
        let rows = history(&plan);
        assert!(check_all(&plan, rows).is_clean());
    }

    #[test]
    fn a_message_behind_a_later_one_of_its_conversation_is_out_of_order() {
        let plan = plan();
        let mut rows = history(&plan);
        // Messages 0 and 1 change places.
        let first = rows[0].cursor;
        rows[0].cursor = rows[2].cursor;
        rows[2].cursor = first;
        rows.sort_by_key(|row| row.cursor);
        let findings = check_all(&plan, rows);
        assert_eq!(findings.out_of_order, [plan.messages[1].id.to_string()]);
        assert!(!findings.is_clean());
    }

    #[test]
    fn pages_that_do_not_ascend_are_out_of_order() {
        let plan = plan();
        let mut rows = history(&plan);
        rows.swap(0, 1); // of two conversations, each in order by itself
        assert_eq!(check_all(&plan, rows).out_of_order.len(), 1);
    }

    #[test]
    fn a_message_with_another_body_is_altered() {
        let plan = plan();
        let mut rows = history(&plan);
        rows[0].body.push('!');
        let findings = check_all(&plan, rows);
        assert_eq!(findings.altered.len(), 1);
        assert!(!findings.is_clean());
    }

    #[test]
    fn what_people_wrote_besides_the_file_is_no_fault() {
        let plan = plan();
        let mut rows = history(&plan);
        let mut other = rows[0].clone();
        other.id = Uuid::from_u128(1000).to_string();
        other.cursor = 99;
        other.body = "by hand".to_owned();
        rows.push(other);
        let findings = check_all(&plan, rows);
        assert!(findings.is_clean());
        assert_eq!(findings.strangers, 1);
    }
}
