#!/usr/bin/env bash
# Draws the picture of the chat in the README, docs/chat.svg: a real chat on a pseudo-terminal, with three replicas of
# which one is killed.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --test full_screen -- --ignored --exact the_picture_of_the_readme
