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
//! | `random` | random numbers, and what is chosen with them: sizes, pauses, paths |
//! | `flow` | bytes that come at a rate into a bounded buffer |
//! | `wire` | a connection in memory, with a reader of some speed |
//! | `source` | content of some size and speed |
//! | `event_queue` | events to come, by time |
//! | `environment` | the clock, the sources and the observer of the server |
//! | `tasks` | connections that are to be polled |
//! | `clients` | who the clients are, and what they ask for |
//! | `engine` | moves the clock, and has clients connect, ask, read, think and give up |
//! | `totals` | how the transfers of a group ended, and their bytes and times |
//! | `ended_exchanges` | exchanges that ended, as the server reports them |
//! | `byte_counts` | bytes by time, of groups and of limits |
//! | [`outcome`] | the figures |
//! | [`plot`] | a plot of them |

mod byte_counts;
mod clients;
mod ended_exchanges;
mod engine;
mod environment;
mod event_queue;
mod flow;
pub mod outcome;
pub mod plot;
mod random;
mod source;
pub mod spec;
mod tasks;
mod totals;
mod wire;

pub use engine::Simulation;
pub use environment::{Environment, EnvironmentError};
pub use source::SimulatedSource;
