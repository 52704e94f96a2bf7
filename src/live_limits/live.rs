//! A limit in force, found by its address, and set.

use std::sync::Arc;

use super::change::{LimitChange, Setting};
use super::name::{Name, Part};
use crate::budget::{ClientKey, Clients, Node, TooManyOverrides};
use crate::http::Class;
use crate::http::budgets::Budgets;
use crate::http::route::Route;
use crate::http::server::Handle;
use crate::limit::{Budget, Limit, Passed, Rate, Rates};

/// A limit in force.
pub(crate) enum Live {
    Node(Node),
    Clients(Clients),
    /// Of one client, among those without a class, which come first, and in each class.
    Own(Vec<Clients>, ClientKey),
    Limit(Limit),
}

impl Live {
    pub(crate) fn find(server: &Handle, name: &Name) -> Option<Self> {
        let budgets = server.budgets();
        Some(match name {
            Name::Server => Self::Node(budgets.server().clone()),
            Name::Client => Self::Clients(budgets.clients().clone()),
            Name::Connection => Self::Limit(budgets.connection().clone()),
            Name::Own(key) => Self::Own(all_clients(budgets, false), key.clone()),
            Name::UploadServer => Self::Node(budgets.uploads().parent().clone()),
            Name::UploadClient => Self::Clients(budgets.uploads().clone()),
            Name::UploadOwn(key) => Self::Own(all_clients(budgets, true), key.clone()),
            Name::Class(name, part) => Self::of_class(&*budgets.class(name)?, *part)?,
            Name::Route(path, part) => {
                let route = server.routes().into_iter().find(|route| route.name() == path)?;
                Self::of_route(&route, *part)
            }
        })
    }

    pub(crate) fn of_class(class: &Class, part: Part) -> Option<Self> {
        Some(match part {
            Part::Total => Self::Node(class.clients().parent().clone()),
            Part::Client => Self::Clients(class.clients().clone()),
            Part::UploadTotal => Self::Node(class.uploads().parent().clone()),
            Part::UploadClient => Self::Clients(class.uploads().clone()),
            Part::Response | Part::Upload => return None,
        })
    }

    pub(crate) fn of_route(route: &Route, part: Part) -> Self {
        match part {
            Part::Response => Self::Limit(route.limit().clone()),
            Part::Total => Self::Node(route.clients().parent().clone()),
            Part::Client => Self::Clients(route.clients().clone()),
            Part::Upload => Self::Limit(route.upload_limit().clone()),
            Part::UploadTotal => Self::Node(route.upload_clients().parent().clone()),
            Part::UploadClient => Self::Clients(route.upload_clients().clone()),
        }
    }

    pub(crate) fn budget(&self) -> Budget {
        match self {
            Self::Node(node) => node.budget(),
            Self::Clients(clients) => clients.budget(),
            Self::Own(clients, key) => own(&clients[0], key),
            Self::Limit(limit) => limit.budget(),
        }
    }

    /// The rates of each stream, if several hold one after another.
    pub(crate) fn rates(&self) -> Option<Rates> {
        match self {
            Self::Limit(limit) => Some(limit.rates()).filter(|rates| !rates.is_single()),
            _ => None,
        }
    }

    /// The values of the limit.
    pub(crate) fn setting(&self) -> Setting {
        match self {
            Self::Limit(limit) => limit.into(),
            _ => self.budget().into(),
        }
    }

    /// Changes the limit; of a client what it has in each class. What is not changed there stays that of each client.
    ///
    /// # Errors
    /// It is a client's, and there are too many of them.
    pub(crate) fn change(&self, change: &LimitChange) -> Result<(), TooManyOverrides> {
        if let Self::Own(clients, key) = self {
            return clients.iter().try_for_each(|clients| clients.change_override(key, change.of_budget()));
        }
        self.set(change.over(self.setting()));
        Ok(())
    }

    /// Sets the limit to `base` with the change over it; of a client what is its own to the change alone.
    ///
    /// # Errors
    /// As of [`change`](Self::change).
    pub(crate) fn set_only(&self, change: &LimitChange, base: Setting) -> Result<(), TooManyOverrides> {
        if let Self::Own(clients, key) = self {
            let own = Some(change.of_budget());
            return clients.iter().try_for_each(|clients| clients.replace_override(key, own));
        }
        self.set(change.over(base));
        Ok(())
    }

    /// Sets the limit. One of a client has what each has again, whatever `setting` is.
    pub(crate) fn set(&self, setting: Setting) {
        match self {
            Self::Node(node) => node.set(setting.budget),
            Self::Clients(clients) => clients.set(setting.budget),
            Self::Own(clients, key) => {
                for clients in clients {
                    // Only a new one can be one too many.
                    let _ = clients.set_override(key, None);
                }
            }
            Self::Limit(limit) => {
                limit.set_burst(setting.budget.burst);
                limit.set_report_only(setting.budget.report_only);
                limit.set_rates(setting.rates);
            }
        }
    }

    /// For a client: whether this limit is its own.
    pub(crate) fn is_own(&self) -> Option<bool> {
        match self {
            Self::Own(clients, key) => Some(clients[0].override_of(key).is_some()),
            _ => None,
        }
    }

    /// For a client: which of rate, burst, weight and report_only are its own.
    pub(crate) fn own_values(&self) -> Option<[bool; 4]> {
        let Self::Own(clients, key) = self else { return None };
        let own = clients[0].override_of(key).unwrap_or_default();
        Some([own.rate.is_some(), own.burst.is_some(), own.weight.is_some(), own.report_only.is_some()])
    }

    /// The rate of a ceiling that holds in the place of its own: the server's share of a quota.
    pub(crate) fn quota(&self) -> Option<Rate> {
        let Self::Node(node) = self else { return None };
        let own = node.budget();
        let in_force = node.in_force();
        in_force.rate.filter(|_| in_force.rate != own.rate || in_force.report_only != own.report_only)
    }

    /// What passed it, if that is counted; and the bytes that it would have delayed, had it not only reported.
    pub(crate) fn passed(&self) -> (Option<Passed>, u64) {
        let passed = match self {
            Self::Node(node) => node.passed(),
            Self::Clients(clients) => clients.parent().passed_below(),
            Self::Own(clients, key) => passed_by(clients, key),
            Self::Limit(limit) => return (None, limit.over()),
        };
        (Some(passed), passed.over)
    }
}

/// The nodes of clients, those of classes too: a client has a limit of its own in whichever class it is.
pub(crate) fn all_clients(budgets: &Budgets, of_uploads: bool) -> Vec<Clients> {
    let all = if of_uploads { budgets.uploads() } else { budgets.clients() };
    let of_class =
        |class: &Arc<Class>| if of_uploads { class.uploads().clone() } else { class.clients().clone() };
    std::iter::once(all.clone()).chain(budgets.classes().iter().map(of_class)).collect()
}

/// The limit of the client `key` among `clients`: its own, or that of each.
fn own(clients: &Clients, key: &ClientKey) -> Budget {
    clients.lookup(key).0.unwrap_or_else(|| clients.budget())
}

/// What passed the nodes of a client, wherever it has one.
fn passed_by(clients: &[Clients], key: &ClientKey) -> Passed {
    clients.iter().filter_map(|clients| clients.lookup(key).1).fold(Passed::default(), |sum, passed| Passed {
        bytes: sum.bytes + passed.bytes,
        waits: sum.waits + passed.waits,
        over: sum.over + passed.over,
    })
}
