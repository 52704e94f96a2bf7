//! Shared budgets on a clock: handles to the nodes of a [`Tree`](crate::limit::Tree), and the flows below them.
//!
//! The tree is pure and decides whose turn is next. This module adds its lock, its one timer and the wake-ups: while
//! flows wait, one timer is set for the instant at which the next turn can be granted; when it fires, every turn that is
//! due is granted and the tasks that wait for those are woken, no others. The lock is held for arithmetic only.

mod change;
mod clients;
mod each;
mod flow;
mod gate;
mod held;
mod idle_bound;
mod key;
mod node;
mod shared_tree;

pub use change::BudgetChange;
pub use clients::{Clients, TooManyOverrides};
pub use each::Each;
pub use flow::{Flow, FlowWatch};
pub use gate::Gate;
pub use held::{Held, HeldBy};
pub use idle_bound::IdleBound;
pub use key::ClientKey;
pub use node::Node;
