//! `sluicegate simulate`: a server's limits against synthetic clients, on a clock that is moved by hand.
//!
//! The server is a real one: connections, routes, classes, rules, filters, the tree of budgets, the sink and HTTP/1 framing
//! are those of a server in use. Only its clock, the wires of its connections and the sources of its content are replaced. Nothing
//! runs on a thread or an executor: [`Simulation::run`] moves the clock from deadline to deadline and polls the connections that
//! were woken, in order. So an hour takes seconds, and the same seed gives the same figures each time.
//!
//! | module | job |
//! |---|---|
//! | [`spec`] | the clients, as a file describes them |
//! | `draw` | random numbers and what is drawn with them: sizes, pauses, paths |
//! | `flow` | bytes that come at a rate into a bounded buffer |
//! | `wire` | a connection in memory, with a reader of some speed |
//! | `source` | content of some size and speed |
//! | `agenda` | what happens when |
//! | `tasks` | connections that are to be polled |
//! | `population` | who the clients are, and what they ask for |
//! | `engine` | moves the clock, and has clients connect, ask, read, think and give up |
//! | `tally` | what became of a group's transfers |
//! | `ledger` | what ended, as the server saw it |
//! | `gauges` | bytes by time, of groups and of limits |
//! | [`outcome`] | the figures |
//! | [`plot`] | their drawing |

mod agenda;
mod draw;
mod engine;
mod flow;
mod gauges;
mod ledger;
pub mod outcome;
pub mod plot;
mod population;
mod source;
pub mod spec;
mod tally;
mod tasks;
mod wire;

pub use engine::{Simulation, Stage};
pub use source::SimulatedSource;
