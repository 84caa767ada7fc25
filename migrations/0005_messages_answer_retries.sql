-- A message answers the retries of its own request: a row less to be written with every message.

-- Answers to the finished requests of the last 1,000,000 LSNs, but those that were sent messages which
-- are still there. Replicated.
CREATE TABLE answers (
    -- LSN of the entry that the request first became.
    lsn         INTEGER PRIMARY KEY,
    -- As in `requests`.
    request_id  BLOB NOT NULL,
    -- 16 bytes of SHA-256 over what was asked: tells a retry from a reused id.
    fingerprint BLOB NOT NULL,
    -- The answer, a tercet.log.v1.Outcome.
    outcome     BLOB NOT NULL
) STRICT;

INSERT INTO answers
    SELECT lsn, request_id, fingerprint, outcome FROM requests
    WHERE NOT EXISTS (SELECT 1 FROM messages WHERE messages.lsn = requests.lsn)
    ORDER BY lsn;

-- Finished requests of the last 1,000,000 LSNs. The answer is in `answers` or, of a sent message, follows
-- from its row in `messages`. Replicated.
CREATE TABLE new_requests (
    -- The client's UUID, 16 bytes.
    request_id BLOB PRIMARY KEY,
    -- LSN of the entry that the request first became.
    lsn        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO new_requests SELECT request_id, lsn FROM requests ORDER BY request_id;
DROP TABLE requests;
ALTER TABLE new_requests RENAME TO requests;
