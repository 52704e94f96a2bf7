//! What a server is set up with and a reload replaces as one: settings, routes, what their filters count.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::super::route::Route;
use super::super::routing::Routes;
use super::{Handle, Server, Settings, Shared};
use crate::config::Config;
use crate::events::Hub;
use crate::filter::Counts;
use crate::sink::SinkSettings;
use crate::tracing::Tracer;

/// One state of it. Who has begun with it goes on with it.
pub(super) struct Setup {
    /// Of connections that begin now, but for the limits, which are live.
    pub(super) settings: Arc<Settings>,
    pub(super) sink: Arc<SinkSettings>,
    pub(super) routes: Routes,
    /// What filters of the routes count, by the filters' names. Those of filters that are gone stay:
    /// transfers under way still add to them, and they are told when the server ends.
    pub(super) counts: BTreeMap<String, Counts>,
}

impl Setup {
    pub(super) fn new(settings: Settings, routes: Routes, counts: BTreeMap<String, Counts>) -> Arc<Self> {
        let sink = Arc::new(settings.sink.clone());
        Arc::new(Self { settings: Arc::new(settings), sink, routes, counts })
    }
}

impl Shared {
    /// The present state.
    pub(super) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Server {
    /// The same, with what exports the spans of its streams of events.
    pub(in crate::http) fn with_tracer(self, tracer: Option<Arc<Tracer>>) -> Self {
        tracer.into_iter().for_each(|tracer| _ = self.shared.tracer.set(tracer));
        self
    }
}

impl Handle {
    /// Runs `reload` while no other runs. It is given the configuration that the server has, if it was made
    /// from one, and leaves there the one it has then.
    pub(in crate::http) fn alone<T>(&self, reload: impl FnOnce(&mut Option<Config>) -> T) -> T {
        reload(&mut self.0.origin.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `change`, which looks at limits and sets others, while nobody else does: neither a reload nor another
    /// call. It must not wait for anything.
    pub(crate) fn changing<T>(&self, change: impl FnOnce() -> T) -> T {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        change()
    }

    /// What exports the spans of its streams of events, if anything does.
    pub fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.0.tracer.get()
    }

    /// Ends the export of spans: has those told that are open, and waits at most `most` until all are exported.
    /// What is not by then is dropped. Blocks its thread; meant for the end, when the server has stopped.
    pub fn end_tracing(&self, most: Duration) {
        let Some(tracer) = self.tracer() else { return };
        self.routes().iter().filter_map(|route| route.hub()).for_each(|hub| hub.end_traces());
        let dropped = tracer.close(most);
        if dropped > 0 {
            log::warn!(dropped; "spans were not exported in time");
        }
    }

    /// Sets all limits, for transfers under way too, and everything else for what begins from now on. A
    /// route at a path that was there before takes over the limits of the one before.
    pub(in crate::http) fn replace(
        &self,
        settings: Settings,
        mut routes: Vec<Route>,
        counts: BTreeMap<String, Counts>,
    ) {
        let old = self.routes();
        for route in &mut routes {
            if let Some(old) = old.iter().find(|old| old.path() == route.path()) {
                route.take_over(old);
            }
        }
        self.0.budgets.set(&settings.limits);
        self.0.budgets.connection().set(settings.sink.limit().budget());
        let routes = Routes::new(routes, |path| self.0.telemetry.route(path));
        let setup = Setup::new(settings, routes, counts);
        *self.0.setup.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&setup);
        // Streams of events on a route that is gone would never end by themselves.
        let is_kept = |hub: &Arc<Hub>| {
            setup.routes.iter().filter_map(|route| route.hub()).any(|kept| Arc::ptr_eq(kept, hub))
        };
        old.iter().filter_map(|route| route.hub()).filter(|hub| !is_kept(hub)).for_each(|hub| hub.close());
    }
}
