//! Who may see that an account is connected, and that it is typing.

use super::*;
use crate::queries::{NoTyping, PresenceAudience, PresenceOf, TypingAudience};

impl TestStore {
    /// Tells whether one account sees another one: when it asks, and when something changes, which is the same here.
    fn sees(&self, account_id: u64, name: &str) -> bool {
        let query = PresenceOf {
            account_id,
            names: vec![name.to_owned()],
        };
        let row = self.readers.read(&query).unwrap().unwrap().remove(0);
        let query = PresenceAudience {
            account_id: row.account_id,
            among: vec![account_id],
        };
        let told = self.readers.read(&query).unwrap();
        assert_eq!(told.contains(&account_id), row.is_shown, "{name}");
        row.is_shown
    }

    fn hear_typing(&self, account_id: u64, conversation: &str) -> Result<Vec<u64>, NoTyping> {
        let query = TypingAudience {
            account_id,
            conversation: conversation.to_owned(),
        };
        self.readers.read(&query).unwrap()
    }
}

#[test]
fn those_who_share_a_room_or_a_conversation_see_each_other_unless_one_blocks_the_other() {
    let mut store = TestStore::new();
    let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
    assert!(!store.sees(ann, "bob"));
    store.send(bob, "ann", "hello");
    assert!(store.sees(ann, "bob") && store.sees(bob, "ann"));
    assert!(!store.sees(cy, "ann"));
    store.act(create_room(ann, "tea", true));
    store.act(join(cy, "tea"));
    assert!(store.sees(cy, "ann") && !store.sees(cy, "bob"));
    assert_eq!(store.hear_typing(ann, "#TEA"), Ok(vec![cy]));
    assert_eq!(store.hear_typing(ann, "bob"), Ok(vec![bob]));
    assert_eq!(store.hear_typing(cy, "bob"), Ok(vec![]));
    assert_eq!(
        store.hear_typing(ann, "nobody"),
        Err(NoTyping::UnknownAccount)
    );
    assert!(matches!(
        store.hear_typing(bob, "#tea"),
        Err(NoTyping::Room(_))
    ));
    for by in [ann, cy] {
        let other = if by == ann { "cy" } else { "ann" };
        store.act(block(by, other, false));
        assert!(!store.sees(cy, "ann") && !store.sees(ann, "cy"));
        assert_eq!(store.hear_typing(ann, "#tea"), Ok(vec![]));
        store.act(unblock(by, other));
        assert!(store.sees(cy, "ann"));
    }
    // Followers of a feed do not see each other.
    raw(store.path())
        .execute("UPDATE rooms SET is_feed = 1", [])
        .unwrap();
    assert!(!store.sees(cy, "ann"));
}
