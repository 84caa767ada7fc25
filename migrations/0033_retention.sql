-- Messages are kept for a time, if somebody says so; older ones are removed from the beginning of each conversation.

-- How long. No row: for ever. Replicated.
CREATE TABLE retention (
    -- A room, or 0: the whole cluster, direct conversations too. Of the two that concern a room, the shorter counts.
    conversation_id INTEGER PRIMARY KEY,
    -- Milliseconds, from an hour to 10 years.
    keep_ms         INTEGER NOT NULL
) STRICT;

-- Where the history of a conversation begins, from the first removal on. Its next message is numbered after the last
-- removed one, if nothing else is left. Replicated.
CREATE TABLE history_starts (
    -- A room or a direct conversation.
    conversation_id INTEGER PRIMARY KEY,
    -- All messages below it were removed.
    first_seq       INTEGER NOT NULL,
    -- The row of the newest removed message, and the entry that removed it.
    removed_lsn     INTEGER NOT NULL,
    changed_lsn     INTEGER NOT NULL
) STRICT;

-- The search finds the conversations whose texts it must erase.
CREATE INDEX history_starts_by_change ON history_starts (changed_lsn);
