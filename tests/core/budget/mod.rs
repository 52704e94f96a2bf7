//! Shared budgets on a manual clock: handles, turns, wake-ups, clients, and bodies that pass them.

mod bodies;
mod clients;
mod each;
mod flows;
mod tasks;
