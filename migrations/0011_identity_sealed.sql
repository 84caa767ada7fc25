-- Rot in the row that says whose store this is, and what it promised, is found when the store is opened.

-- SHA-256 over the rest of the row, as the log's chain finds rot in `log`. NULL only while this migration runs: it
-- seals the row as it finds it.
ALTER TABLE identity ADD COLUMN seal BLOB;
