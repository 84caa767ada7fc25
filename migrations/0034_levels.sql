-- What an account wants to be notified of.

-- The notification levels of conversations, where they are not the default, all messages. Replicated.
CREATE TABLE levels (
    account_id      INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    -- 2: mentions. 3: nothing, the conversation is muted.
    level           INTEGER NOT NULL CHECK (level IN (2, 3)),
    PRIMARY KEY (account_id, conversation_id)
) STRICT, WITHOUT ROWID;

-- The keywords of accounts: a text that has one is like a mention for its reader, as the clients decide. Replicated.
CREATE TABLE keywords (
    account_id INTEGER NOT NULL,
    -- The keyword without case, made by the leader: what is unique.
    folded     TEXT NOT NULL,
    -- As typed, in NFC: 1 to 32 characters.
    keyword    TEXT NOT NULL,
    PRIMARY KEY (account_id, folded)
) STRICT, WITHOUT ROWID;
