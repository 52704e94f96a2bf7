//! The program as a user runs it: what it says when it starts, how it serves, how it ends.

mod access_log;
mod cli;
mod cli_admin;
mod config;
mod custom;
mod deployed;
mod documented;
mod ends;
mod examples;
mod given_up;
mod held;
mod logs;
mod memory;
mod notified;
mod probe;
mod proxy_protocol;
mod reloads;
mod restarts;
mod shut_windows;
mod spans;
mod stalled;
mod starts;
mod streams;
mod tls;
mod typed;
mod upgrades;
