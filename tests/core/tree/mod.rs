//! The tree of budgets on simulated time: bounds, shares, and who waits for whom.

mod classes;
mod random;
mod shares;
mod simulation;
mod turns;
