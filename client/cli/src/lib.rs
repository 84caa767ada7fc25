//! The command line of Tercet: every command of `tercet` but `serve`, with the line mode of the chat, `tercet replay`,
//! `tercet bench` and `tercet local`. It stands on the library `tercet-client`.

mod accounts;
mod app;
mod bench;
mod chat;
mod cluster_health;
mod commands;
mod editor;
mod failure;
mod full_screen;
#[cfg(test)]
mod input_tests;
mod latency;
mod lines;
mod local;
mod messages;
mod numbers;
mod output;
mod poll;
mod pool;
mod progress;
mod prompt;
mod replay;
mod session;
mod spans;
mod stop_signals;
mod table;
mod times;
mod worker;

use tercet_types::plain_text;

pub use commands::{Command, run, run_to_end, set_by_env_file, with_text_apart};
