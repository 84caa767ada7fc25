-- The replies to a message are found by it. Only a reply writes to this index.
CREATE INDEX replies_by_message ON replies (conversation_id, reply_to, seq);
