//! stub essay
pub mod config;
pub mod effect;
pub mod id;
pub mod input;
pub mod log;
pub mod message;
