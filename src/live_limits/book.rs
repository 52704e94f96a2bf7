//! Where the limits in force come from.

use std::sync::Arc;

use super::name::Name;
use super::source::{LimitSource, LimitSources, Sources};
use crate::http::server::Handle;
use crate::sync::Mutex;

/// The sources of a server's limits. Clones are of the same server; kept with it as an extension.
#[derive(Clone, Default)]
pub(crate) struct LimitBook(Arc<Mutex<LimitSources>>);

impl LimitBook {
    pub(crate) fn new(sources: LimitSources) -> Self {
        Self(Arc::new(Mutex::new(sources)))
    }

    /// The book of `server`; `None` if it was not made from a configuration.
    pub(crate) fn of(server: &Handle) -> Option<Self> {
        server.extension()
    }

    /// Puts what a configuration says in the place of everything.
    pub(crate) fn replace(&self, sources: LimitSources) {
        *self.0.lock() = sources;
    }

    /// Where the values of a limit come from. What a client has not of its own is that of each.
    pub(crate) fn sources(&self, name: &Name) -> Sources {
        let sources = self.0.lock();
        let own = sources.0.get(&name.to_string());
        let known = own.or_else(|| sources.0.get(&name.of_each()?.to_string()));
        known.cloned().unwrap_or_default()
    }

    /// Notes what was set by `change`, which is given the sources so far.
    pub(crate) fn note(&self, name: &Name, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.sources(name);
        change(&mut sources);
        self.0.lock().0.insert(name.to_string(), sources);
    }

    /// Forgets a limit of one client, which is gone.
    pub(crate) fn forget(&self, name: &Name) {
        self.0.lock().0.remove(&name.to_string());
    }
}

/// What the admin API sets.
impl Sources {
    pub(crate) fn set(&mut self, source: &LimitSource, [rate, burst, weight, report_only]: [bool; 4]) {
        let values = [
            (rate, &mut self.rate),
            (burst, &mut self.burst),
            (weight, &mut self.weight),
            (report_only, &mut self.report_only),
        ];
        for (_, value) in values.into_iter().filter(|(is_set, _)| *is_set) {
            value.clone_from(source);
        }
    }
}
