//! The limits of a running server: their addresses, their values, and where each value comes from.
//!
//! The admin API lists and changes them here, and a reload sets them. A value that was set by hand and saved stands in the
//! overlay, a file beside the configuration.

mod book;
mod change;
mod live;
mod name;
mod source;

pub use book::SavesPaused;
pub(crate) use book::{Given, LimitBook};
pub(crate) use change::Setting;
pub use change::{ClientLimit, LimitChange};
pub(crate) use live::{Live, all_clients};
pub(crate) use name::{Name, Part};
pub use source::{FileLine, LimitSource, LimitSources, Sources};
