-- An index less to be kept with every message.

-- It was asked for what a subscription missed, which is rare: now each of the account's conversations
-- is looked into.
DROP INDEX messages_by_recipient;

-- The lower account of a conversation is found by its UNIQUE; this finds the higher. Written once for
-- each conversation.
CREATE INDEX conversations_by_high ON conversations (high_account);
