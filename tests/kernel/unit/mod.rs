//! The hardening of contrib/systemd/sluicegate.service: the program does a day's work within it, and binds low ports.

mod capability;
mod day;
mod filter;
