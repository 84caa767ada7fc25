-- The indexes of messages are kept by Tercet, not by SQLite: one for many messages at once. Each index
-- that is kept with every message costs each transaction a page for each conversation in it.
--
-- These tables follow from `messages`. Not replicated: each replica adds to them when it likes, and what
-- is read is not in them from indexed.through_lsn on.

-- How far they go. One row.
CREATE TABLE indexed (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Never above position.applied_lsn.
    through_lsn INTEGER NOT NULL
) STRICT;

INSERT INTO indexed (only_row, through_lsn)
    VALUES (1, coalesce((SELECT applied_lsn FROM position), 0));

-- The messages of each conversation, in order.
CREATE TABLE conversation_messages (
    conversation_id INTEGER NOT NULL,
    lsn             INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, lsn)
) STRICT, WITHOUT ROWID;

INSERT INTO conversation_messages SELECT conversation_id, lsn FROM messages ORDER BY 1, 2;
DROP INDEX messages_by_conversation;

-- The messages that each account has not acknowledged, in order. One that is acknowledged soon is never
-- in here.
CREATE TABLE waiting_messages (
    recipient_id INTEGER NOT NULL,
    lsn          INTEGER NOT NULL,
    PRIMARY KEY (recipient_id, lsn)
) STRICT, WITHOUT ROWID;

INSERT INTO waiting_messages
    SELECT recipient_id, lsn FROM messages WHERE delivered = 0 ORDER BY 1, 2;
DROP INDEX messages_waiting;
