-- Direct messages are numbered, as those of rooms are.

-- The number of the message in its conversation, from 1 on. Without gaps where messages are sent; a message that was
-- dropped with its recipient, or was hidden from the reader, leaves one. The next number follows from the highest one in
-- the conversation, so the row with that one stays.
--
-- Earlier builds have no numbers. Part of the state hash from command version 3 on. Here the rows that are there are
-- numbered; the first command of version 3 numbers those of conversations with a deleted account once more, because two
-- replicas may run this migration before and after the same rows are dropped.
ALTER TABLE messages ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

UPDATE messages SET seq = numbered.seq
    FROM (SELECT lsn, row_number() OVER (PARTITION BY conversation_id ORDER BY lsn) AS seq FROM messages)
        AS numbered
    WHERE messages.lsn = numbered.lsn;

-- The messages of each conversation, in order, without those that are hidden. As before it follows from `messages` up to
-- indexed.through_lsn, and is not replicated.
DROP TABLE conversation_messages;
CREATE TABLE conversation_messages (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    -- Ascends with seq.
    lsn             INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO conversation_messages
    SELECT m.conversation_id, m.seq, m.lsn FROM messages AS m
    WHERE m.lsn <= (SELECT through_lsn FROM indexed)
        AND NOT EXISTS (SELECT 1 FROM hidden_messages AS hidden
                        WHERE hidden.recipient_id = m.recipient_id AND hidden.sender_id = m.sender_id
                            AND hidden.lsn = m.lsn)
    ORDER BY 1, 2;

-- The hidden messages of each conversation and sender, in order: all rows of `hidden_messages`, always. Not replicated.
CREATE TABLE hidden_index (
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    lsn             INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, sender_id, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO hidden_index
    SELECT m.conversation_id, m.sender_id, m.seq, m.lsn
    FROM hidden_messages AS hidden CROSS JOIN messages AS m ON m.lsn = hidden.lsn
    ORDER BY 1, 2, 3;
