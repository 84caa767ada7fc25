//! Which operations are in the order so far. Equal sets are equal values, and a set that is a
//! beginning of the history plus a little is small, however long the history.

/// A set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Placed {
    /// All numbers below 64 times this are in the set.
    full_words: usize,
    /// The bits from there on: the first word is not full, the last one not empty.
    words: Vec<u64>,
}

impl Placed {
    pub(crate) fn contains(&self, number: usize) -> bool {
        let Some(word) = (number / 64).checked_sub(self.full_words) else {
            return true;
        };
        let bits = self.words.get(word).copied().unwrap_or(0);
        bits & (1 << (number % 64)) != 0
    }

    /// No number below this one is missing.
    pub(crate) fn all_below(&self) -> usize {
        let ones = self.words.first().map_or(0, |word| word.trailing_ones());
        self.full_words * 64 + ones as usize
    }

    pub(crate) fn insert(&mut self, number: usize) {
        let Some(word) = (number / 64).checked_sub(self.full_words) else {
            return;
        };
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (number % 64);
        let full = self.words.iter().take_while(|word| **word == u64::MAX);
        let full = full.count();
        self.words.drain(..full);
        self.full_words += full;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: impl IntoIterator<Item = usize>) -> Placed {
        let mut set = Placed::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }

    #[test]
    fn order_of_insertion_does_not_show() {
        let set = of(0..300);
        assert_eq!(set, of((0..300).rev()));
        assert_eq!(set.all_below(), 300);
        assert_eq!(set.words.len(), 1, "what is full takes no room");
    }

    #[test]
    fn gap_is_seen() {
        let set = of((0..200).filter(|number| *number != 130));
        assert_eq!(set.all_below(), 130);
        assert!(set.contains(129) && !set.contains(130) && set.contains(131));
        assert!(!set.contains(200) && !set.contains(1_000));
        assert_eq!(of((0..200).rev()).all_below(), 200);
    }
}
