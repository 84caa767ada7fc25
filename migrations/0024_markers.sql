-- How far accounts have read in direct conversations. In rooms `members.read_seq` says it, which may also go back now: when
-- its account marks messages as unread.

-- A row from the first time on that the account marks something there as read. Stays when an account is deleted, as its
-- conversations do. Replicated.
CREATE TABLE markers (
    -- A row of `conversations`.
    conversation_id INTEGER NOT NULL,
    account_id      INTEGER NOT NULL,
    -- The account has read all messages up to this seq. Goes back when it marks messages as unread.
    read_seq        INTEGER NOT NULL,
    -- The highest read_seq so far, which the other account is shown.
    seen_seq        INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, account_id)
) STRICT, WITHOUT ROWID;
