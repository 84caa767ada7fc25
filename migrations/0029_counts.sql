-- The numbers of direct messages of each side are kept at each 64th number of a conversation, no longer at each message.
-- Between them, the index tells whose each message is. As the index, they follow from the messages up to
-- indexed.through_lsn, and are not replicated.

CREATE TABLE conversation_counts (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    -- The messages up to this one of the account with the lower id, and of the other one.
    low_sent        INTEGER NOT NULL,
    high_sent       INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO conversation_counts
    SELECT conversation_id, seq, low_sent, high_sent FROM conversation_messages WHERE seq % 64 = 0;

-- Whether the account with the lower id sent the message.
ALTER TABLE conversation_messages ADD COLUMN is_low INTEGER NOT NULL DEFAULT 0;

UPDATE conversation_messages SET is_low = 1
    WHERE EXISTS (SELECT 1 FROM messages AS m
                  WHERE m.lsn = conversation_messages.lsn AND m.sender_id <= m.recipient_id);

ALTER TABLE conversation_messages DROP COLUMN low_sent;
ALTER TABLE conversation_messages DROP COLUMN high_sent;

-- By it, the index leaves the hidden messages of the entries that it reaches out at once.
CREATE INDEX hidden_messages_by_lsn ON hidden_messages (lsn);
