-- Direct messages are replies, are edited and deleted, and have reactions, in the tables that messages of rooms have for it:
-- LSNs and ids of conversations are different in all of them.

-- The direct conversations in which a message has, or had, a row in `replies`, `edits` or `reactions`. Reads of the others
-- look into none of these. Replicated.
CREATE TABLE direct_parts (
    conversation_id INTEGER PRIMARY KEY
) STRICT;
