-- The store remembers what a request asked, and so tells a retry from another request, whatever becomes of the rows that
-- the request made.

-- 8 bytes of SHA-256 over the client's part of the request. Not part of the state hash: it follows from the log, and
-- earlier builds do not have it. NULL in rows of earlier builds, until the request is forgotten: then the fingerprint
-- in `answers` counts, or the one that follows from the row in `messages`.
ALTER TABLE requests ADD COLUMN fingerprint BLOB;
