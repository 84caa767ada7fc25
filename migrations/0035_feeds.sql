-- Feeds: rooms that only their admins and owners write to, and that others follow without a message that tells of it.

ALTER TABLE rooms ADD COLUMN is_feed INTEGER NOT NULL DEFAULT 0;
