#!/usr/bin/env bash
# Draws the pictures of the chat, docs/chat.svg and docs/failover.svg: real chats on pseudo-terminals, with three
# replicas of which some are killed. docs/failover.svg moves: it is two chats side by side.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --test full_screen -- --ignored pictures::
