//! The full-screen chat of Tercet.
//!
//! [`model`] is pure: events go in, effects come out. [`view`] draws the model on a screen of cells. The worker carries
//! the effects out over `tercet-client`, and the terminal is its own module. A crate of its own, so that users of the
//! client library compile no code for terminals.

mod accounts;
mod bindings;
mod cache;
mod compact;
mod config;
mod conversation;
mod fuzzy;
mod input;
mod item;
mod key;
mod keymap;
mod links;
mod marker;
pub mod model;
mod screen;
mod terminal;
mod text;
pub mod view;
mod worker;

pub use accounts::{Accounts, NoAnswer, Session, Setup};
pub use cache::Cache;
pub use config::read as read_config;
pub use key::Key;
pub use screen::{Frame, Screen};
pub use terminal::is_capable;
pub use worker::run;
