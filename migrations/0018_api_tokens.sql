-- Tokens for programs, which are valid beside an account's sessions.

-- At most 50 for each account; they go with it. Replicated.
CREATE TABLE api_tokens (
    -- SHA-256 of the token; the token is stored nowhere.
    token_hash    BLOB PRIMARY KEY,
    account_id    INTEGER NOT NULL,
    -- 1 to 64 characters, for people.
    name          TEXT NOT NULL,
    -- What it may do, a bit for each: 1 read, 2 send, 4 account.
    scopes        INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    -- Refused from then on. NULL: without end.
    expires_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- An account has one token of a name.
CREATE UNIQUE INDEX api_tokens_by_name ON api_tokens (account_id, name);
