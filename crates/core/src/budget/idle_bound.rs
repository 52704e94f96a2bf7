//! One bound for the clients that several [`Clients`](super::Clients) remember.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::Clients;
use super::clients;
use crate::sync::Mutex;

/// Bounds how many clients several [`Clients`] remember together; clones are one bound.
///
/// At [`Clients::MAX_IDLE`] in all the oldest idle ones are dropped. Each new client, whichever of them it comes to, also has some
/// of the others examined for clients that can be forgotten: what is remembered of a crowd goes though nobody comes to it again.
#[derive(Clone, Default)]
pub struct IdleBound(Arc<Account>);

#[derive(Default)]
struct Account {
    known: AtomicUsize,
    /// Examined in turn.
    members: Mutex<VecDeque<Weak<clients::Inner>>>,
}

impl IdleBound {
    /// Returns how many clients are known in all, those with something under way included. One at two places counts twice.
    pub fn known(&self) -> usize {
        self.0.known.load(Ordering::Relaxed)
    }

    pub(super) fn is_reached(&self) -> bool {
        self.known() >= Clients::MAX_IDLE
    }

    pub(super) fn add_member(&self, member: Weak<clients::Inner>) {
        let mut members = self.0.members.lock();
        members.retain(|member| member.strong_count() > 0);
        members.push_back(member);
    }

    pub(super) fn add(&self, clients: usize) {
        self.0.known.fetch_add(clients, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, clients: usize) {
        self.0.known.fetch_sub(clients, Ordering::Relaxed);
    }

    /// Drops some idle clients of the member whose turn it is. No lock of a member may be held.
    pub(super) fn drop_some_idle(&self) {
        let member = {
            let mut members = self.0.members.lock();
            // Those that are gone take no turn.
            loop {
                let Some(weak) = members.pop_front() else { return };
                if let Some(member) = weak.upgrade() {
                    members.push_back(weak);
                    break member;
                }
            }
        };
        member.drop_idle();
    }
}

impl fmt::Debug for IdleBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleBound").field("known", &self.known()).finish_non_exhaustive()
    }
}
