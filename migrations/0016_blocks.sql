-- An account blocks another one: the direct messages of the blocked one are hidden or refused.

-- A row with a deleted account counts no more, and a CleanUp removes it. Replicated.
CREATE TABLE blocks (
    blocker_id    INTEGER NOT NULL,
    blocked_id    INTEGER NOT NULL,
    -- 1: messages are refused as if no account had the name. 0: they are accepted and hidden.
    refuse        INTEGER NOT NULL CHECK (refuse IN (0, 1)),
    -- The stamp of the entry that made the block, or that last changed it.
    blocked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id)
) STRICT, WITHOUT ROWID;

-- The blocks of a deleted account end, from both sides.
CREATE INDEX blocks_by_blocked ON blocks (blocked_id);

-- Messages that were accepted while their recipient blocked their sender. Only the sender sees them, for good. The
-- tables `conversation_messages` and `waiting_messages` leave them out, so that no page of the recipient goes through
-- them. Replicated.
CREATE TABLE hidden_messages (
    recipient_id INTEGER NOT NULL,
    sender_id    INTEGER NOT NULL,
    -- As in `messages`.
    lsn          INTEGER NOT NULL,
    PRIMARY KEY (recipient_id, sender_id, lsn)
) STRICT, WITHOUT ROWID;
