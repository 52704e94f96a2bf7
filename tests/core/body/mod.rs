//! The pull driver on a manual clock: the chain's timelines, and what only a driver can get wrong.

mod fixture;
mod foreign;
mod golden;
mod late;
mod life;
mod limit_change;
mod pace;
