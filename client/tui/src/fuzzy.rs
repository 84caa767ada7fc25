//! The order of choices for a few typed letters.

/// Returns how well a text matches what was typed: larger is better; `None` if it does not contain its letters in
/// their order. Case does not count.
#[must_use]
pub fn score(typed: &str, text: &str) -> Option<i32> {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut score = 0;
    let mut at = 0;
    let mut last = None;
    for wanted in typed
        .chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !c.is_whitespace())
    {
        let ahead = text[at..].iter().position(|c| *c == wanted)?;
        let place = at + ahead;
        let starts_a_word = place == 0 || !text[place - 1].is_alphanumeric();
        score += match last {
            Some(last) if last + 1 == place => 8,
            _ if starts_a_word => 6,
            _ => -(ahead.min(4) as i32),
        };
        last = Some(place);
        at = place + 1;
    }
    Some(score * 8 - text.len().min(60) as i32 / 8)
}

/// Returns the places of the texts that match, the best first; of equals, the first.
pub fn best<'a>(typed: &str, texts: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let scored = texts
        .enumerate()
        .filter_map(|(at, text)| Some((score(typed, text)?, at)));
    let mut scored: Vec<(i32, usize)> = scored.collect();
    if !typed.trim().is_empty() {
        scored.sort_by_key(|(score, at)| (-score, *at));
    }
    scored.into_iter().map(|(_, at)| at).collect()
}

/// Returns the number of letters to add, drop or change between two words.
#[must_use]
pub fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in (1..).zip(one.chars()) {
        let mut diagonal = std::mem::replace(&mut row[0], at);
        for (column, d) in (1..).zip(&other) {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[column];
            row[column] = changed.min(diagonal + 1).min(row[column - 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_of_words_and_runs_come_first() {
        let names = ["gardening", "engineering", "general", "big-end"];
        assert_eq!(best("gen", names.into_iter())[0], 2);
        assert_eq!(best("eng", names.into_iter())[0], 1);
        assert_eq!(best("be", names.into_iter())[0], 3);
        assert_eq!(best("", names.into_iter()), [0, 1, 2, 3]);
        assert!(best("xyz", names.into_iter()).is_empty());
    }

    #[test]
    fn distance_counts_slips() {
        assert_eq!(distance("qiut", "quit"), 2);
        assert_eq!(distance("", "ab"), 2);
    }
}
