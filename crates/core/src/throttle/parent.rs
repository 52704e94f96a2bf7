//! Chooses the parent of a new node.

use std::sync::Arc;

use crate::budget::{ClientKey, Clients, Node};
use crate::clock::Clock;

/// The node below which the node of a `T` is created.
pub(super) enum Parent<T> {
    Node(Node),
    Client(Clients, Arc<dyn Fn(&T) -> ClientKey + Send + Sync>),
}

impl<T> Parent<T> {
    pub(super) fn client(clients: &Clients, key: impl Fn(&T) -> ClientKey + Send + Sync + 'static) -> Self {
        Self::Client(clients.clone(), Arc::new(key))
    }

    pub(super) fn node(&self, of: &T) -> Node {
        match self {
            Self::Node(node) => node.clone(),
            Self::Client(clients, key) => clients.node(&key(of)),
        }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        let node = match self {
            Self::Node(node) => node,
            Self::Client(clients, _) => clients.parent(),
        };
        Arc::clone(node.clock())
    }
}

impl<T> Clone for Parent<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Node(node) => Self::Node(node.clone()),
            Self::Client(clients, key) => Self::Client(clients.clone(), Arc::clone(key)),
        }
    }
}
