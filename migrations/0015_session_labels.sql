-- A session says what opened it.

-- What the client called itself at its login, at most 64 characters. NULL: nothing. Part of the state hash where it
-- is not NULL, so that builds without the column compute the same hash until a command of version 2 sets one.
ALTER TABLE sessions ADD COLUMN label TEXT;
