-- Keys with values beside each conversation, which its members share.

-- One row for each key. A removed key has none: its next version is greater all the same, because versions are LSNs.
-- Replicated.
CREATE TABLE state (
    -- An id of `conversations` or of `rooms`, which share no ids.
    conversation_id INTEGER NOT NULL,
    -- 1 to 128 characters of ASCII; the case counts.
    key             TEXT NOT NULL,
    -- LSN of the entry that set the value: what compare-and-set compares.
    version         INTEGER NOT NULL,
    -- At most 16 KiB; may be empty.
    value           TEXT NOT NULL,
    -- The stamp of that entry.
    changed_at_ms   INTEGER NOT NULL,
    -- The account that set it; it may be deleted.
    changed_by      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, key)
) STRICT;

-- How much state each conversation has, so that its limits are checked without reading all of it. No row: none.
-- Replicated.
CREATE TABLE state_totals (
    conversation_id INTEGER PRIMARY KEY,
    keys            INTEGER NOT NULL,
    -- Of keys and values.
    bytes           INTEGER NOT NULL
) STRICT;
