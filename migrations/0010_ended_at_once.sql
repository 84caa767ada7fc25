-- Sessions and accounts end at once, however many rows they have. The rows go later, a few with each command.

-- The LSN of the entry that last ended sessions of the account but one; 0: none did. A session is valid while its
-- own generation is this one.
ALTER TABLE users ADD COLUMN session_generation INTEGER NOT NULL DEFAULT 0;

-- That of the account when the session began, or when the session ended the others.
ALTER TABLE sessions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;

-- Finds those of an account that have expired, without looking at the others.
CREATE INDEX sessions_by_expiry ON sessions (account_id, expires_at_ms);

-- Accounts that have rows of ended sessions, or, when the account is deleted, of any sessions and of messages that
-- waited for it. Nobody sees these rows; commands remove them. Replicated.
CREATE TABLE cleanups (
    account_id  INTEGER PRIMARY KEY,
    -- Whether the account is deleted.
    is_deleted  INTEGER NOT NULL CHECK (is_deleted IN (0, 1)),
    -- Sessions with token hashes up to this one were looked at. Empty: none was.
    after_token BLOB NOT NULL
) STRICT;
