//! The commands that begin with `/`: names, help, and suggestions for misspelt names.
//!
//! Knows nothing of the chat that carries a command out.

pub(super) const HELP: &str = "\
TEXT               send TEXT to whom you chose with /to
//TEXT             send /TEXT, a text that begins with a slash
/to NAME           send the lines that follow to NAME
/msg NAME TEXT     send TEXT to NAME, this once
                   (NAME is an account, or a room that you are in: #ROOM)
/who [PATTERN]     list the accounts; * and ? are wildcards
/block NAME        hide the messages of NAME from now on
/unblock NAME      end that
/history [NAME]    show the newest messages to and from NAME
/search WORDS      find messages that have all the words
/edit NUMBER TEXT  replace the text of your message there (/to)
/delete NUMBER     delete a message there
/react NUMBER EMOJI  add a reaction to a message there
/help              show this
/quit              leave
Several lines that are pasted at once are one text, never commands.";

const COMMANDS: [&str; 12] = [
    "search", "to", "msg", "who", "history", "block", "unblock", "help", "quit", "edit", "delete",
    "react",
];
/// A suggestion differs from the typed word in at most this many letters.
const SLIPS_MAX: usize = 2;

/// The nearest command replaces a misspelt word, if at most [`SLIPS_MAX`] letters differ.
pub(super) fn suggestion(word: &str) -> Option<&'static str> {
    let slips = |known: &&str| distance(word, known);
    let nearest = COMMANDS.into_iter().min_by_key(slips)?;
    (distance(word, nearest) <= SLIPS_MAX.min(nearest.len() - 1)).then_some(nearest)
}

/// The edit distance counts the letters to add, drop or change between two words. The result is
/// `usize::MAX` if the lengths differ by more than [`SLIPS_MAX`].
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > SLIPS_MAX {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in (1..).zip(one.chars()) {
        let mut diagonal = std::mem::replace(&mut row[0], at);
        for (column, &d) in (1..).zip(&other) {
            let changed = diagonal + usize::from(c != d);
            diagonal = row[column];
            row[column] = changed.min(diagonal + 1).min(row[column - 1] + 1);
        }
    }
    row[other.len()]
}
