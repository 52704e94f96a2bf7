//! Faults on real sockets, on either side of the server: after each no task, timer, buffer, connection or
//! descriptor is left. The [fixture](ground) counts them.
//!
//! Faults that no socket makes (a write of nothing, a drop at an exact place) are in the server's own
//! tests, on wires in memory. Time is real here; nothing is waited for that does not come, and the bounds
//! are only about hanging.

mod asleep;
mod census;
pub mod ground;
mod half_close;
mod one_byte;
mod panics;
mod resets;
mod upstream;
mod zero_window;
