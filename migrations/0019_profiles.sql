-- What accounts show of themselves.

-- The accounts that show something; a row goes with its account. Replicated.
CREATE TABLE profiles (
    account_id   INTEGER PRIMARY KEY,
    -- At most 64 characters, in NFC; empty: none.
    display_name TEXT NOT NULL,
    -- At most 140 characters, in NFC; empty: none.
    status_text  TEXT NOT NULL
) STRICT;
