//! The program as a user runs it: what it says when it starts, how it serves, how it ends.

mod custom;
mod ends;
mod given_up;
mod held;
mod logs;
mod memory;
mod reloads;
mod restarts;
mod shut_windows;
mod stalled;
mod starts;
mod streams;
