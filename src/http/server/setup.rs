//! What a reload replaces at once: settings, routes, and the counts of their filters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::classes::{ClassError, ClassSettings};
use super::super::route::Route;
use super::super::routing::Routes;
use super::{Handle, Server, Settings, Shared};
use crate::filter::Counts;
use crate::logging::{AccessLine, AccessLog};
use crate::rt::serve::Stage;
use crate::sink::SinkSettings;

/// The settings and routes at one time. Connections and exchanges keep those that they began with.
pub(super) struct Setup {
    /// For new connections, except limits, which are live.
    pub(super) settings: Arc<Settings>,
    pub(super) sink: Arc<SinkSettings>,
    pub(super) routes: Routes,
    /// Counts of the routes' filters, by name. Those of removed filters stay: transfers under way still add to them,
    /// and they are logged when the server ends.
    pub(super) counts: BTreeMap<String, Counts>,
    pub(super) access: Option<AccessLog>,
}

impl Setup {
    pub(super) fn new(
        settings: Settings,
        routes: Routes,
        counts: BTreeMap<String, Counts>,
        access: Option<AccessLog>,
    ) -> Arc<Self> {
        let sink = Arc::new(settings.sink.clone());
        Arc::new(Self { settings: Arc::new(settings), sink, routes, counts, access })
    }

    /// Whether responses are logged.
    pub(super) fn logs(&self) -> bool {
        self.settings.access_log || self.access.is_some()
    }
}

impl Shared {
    /// The current state.
    pub(super) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.read())
    }

    /// Begins `stage`, and closes the sources of routes.
    pub(super) fn reach(&self, stage: Stage) {
        self.stages.reach(stage);
        for route in self.setup().routes.iter() {
            route.close();
        }
    }

    /// Whether the source of the route with this number refuses all requests once the server drains.
    pub(super) fn is_closed(&self, route: usize) -> bool {
        let path = self.telemetry.path(route);
        self.setup().routes.iter().any(|route| route.path() == path && route.refuses_when_closed())
    }

    /// Whether a limit holds some uploads now.
    pub(super) fn paces_uploads(&self) -> bool {
        self.budgets.uploads().parent().is_limited()
            || self.setup().routes.iter().any(|route| route.paces_uploads())
    }

    /// Writes a line of the access log, wherever it goes now.
    pub(super) fn log_access(&self, line: &AccessLine<'_>) {
        let setup = self.setup();
        if setup.settings.access_log {
            line.log();
        }
        if let Some(access) = &setup.access
            && !access.write(line)
        {
            self.telemetry.access_line_dropped();
        }
    }
}

impl Server {
    /// Puts clients into the first of `classes` that has them; see [`Budgets::classes`](crate::http::Budgets::classes). Reads files of keys; blocks.
    ///
    /// # Errors
    /// A file of keys cannot be used.
    pub fn with_classes(self, classes: &[ClassSettings]) -> Result<Self, ClassError> {
        self.handle().set_classes(classes)?;
        Ok(self)
    }

    /// Keeps `value` with the server; [`Handle::extension`] finds it by its type. Replaces one of the same type.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.shared.extensions.write().insert(value);
        self
    }
}

impl Handle {
    /// Puts `classes` in the place of all classes of clients, for requests that come. What is under way in a class whose name
    /// stays moves to its new limits at once, and limits of single clients in it end; in one that is gone it ends as it began. Reads
    /// files of keys; blocks.
    ///
    /// # Errors
    /// A file of keys cannot be used. Nothing is changed then.
    pub fn set_classes(&self, classes: &[ClassSettings]) -> Result<(), ClassError> {
        let prepared = classes.iter().map(ClassSettings::prepare).collect::<Result<_, _>>()?;
        self.changing(|| self.0.budgets.set_classes(prepared));
        Ok(())
    }

    /// The routes of new requests, those of longer paths first; their limits are live. Find one by its
    /// [`path`](Route::path), or keep a clone of its [`limit`](Route::limit), which is a handle.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.0.setup().routes.iter().map(Arc::clone).collect()
    }

    /// The access log in force.
    pub fn access_log(&self) -> Option<AccessLog> {
        self.0.setup().access.clone()
    }

    /// The value of type `T` that was kept with the server by [`Server::with_extension`].
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.extensions.read().get().cloned()
    }

    /// Runs `reload` while no other reload runs.
    pub(crate) fn reloading<T>(&self, reload: impl FnOnce() -> T) -> T {
        let _reloading = self.0.reloading.lock();
        reload()
    }

    /// Runs `change`, which reads limits and sets others, while neither a reload nor another call does. It must not
    /// wait for anything.
    pub(crate) fn changing<T>(&self, change: impl FnOnce() -> T) -> T {
        let _changing = self.0.changing.lock();
        change()
    }

    /// Sets all limits, also for transfers under way, and everything else for what begins from now on. A route adopts
    /// the live limits of the route that had its name before, or else its path on one of its hosts.
    pub(crate) fn replace(
        &self,
        settings: Settings,
        mut routes: Vec<Route>,
        counts: BTreeMap<String, Counts>,
        access: Option<AccessLog>,
    ) {
        let old = self.routes();
        let mut adopted = vec![false; old.len()];
        let before = predecessors(&old, &routes);
        for (route, before) in routes.iter_mut().zip(before) {
            if let Some(at) = before {
                adopted[at] = route.adopt(&old[at]);
            }
        }
        self.0.budgets.set(&settings.limits);
        self.0.budgets.connection().set(settings.sink.limit().budget());
        let routes = Routes::new(routes, |path| self.0.telemetry.route(path));
        routes.iter().for_each(|route| route.share(self.0.budgets.idle()));
        let setup = Setup::new(settings, routes, counts, access);
        *self.0.setup.write() = Arc::clone(&setup);
        self.apply_rules();
        for (old, _) in old.iter().zip(adopted).filter(|(_, adopted)| !adopted) {
            old.close();
        }
    }
}

/// Finds the route of `old` that each of `new` comes in place of: the one of its name, or else one that had its path on
/// one of its hosts. No route of `old` is found twice.
fn predecessors(old: &[Arc<Route>], new: &[Route]) -> Vec<Option<usize>> {
    let mut free = vec![true; old.len()];
    let mut take = |fits: &dyn Fn(&Route) -> bool| {
        let at = old.iter().zip(&free).position(|(old, free)| *free && fits(old))?;
        free[at] = false;
        Some(at)
    };
    let mut found: Vec<_> = new.iter().map(|new| take(&|old| old.name() == new.name())).collect();
    for (new, found) in new.iter().zip(&mut found) {
        *found = found.or_else(|| take(&|old| old.overlaps(new)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_comes_in_place_of_the_one_of_its_name_or_of_one_of_its_hosts() {
        let route = |text: &str| {
            let (hosts, path) = text.split_at(text.find('/').unwrap());
            let route = Route::files(path, "src").unwrap();
            route.on_hosts(hosts.split_terminator(',').map(|host| host.parse().unwrap()))
        };
        for (old, new, expected) in [
            (&["/", "/a/"][..], &["/a/", "/", "/b/"][..], &[Some(1), Some(0), None][..]),
            (&["a/"], &["/"], &[None]),
            (&["a/", "/"], &["/", "a/"], &[Some(1), Some(0)]),
            // Other hosts beside it, before and behind.
            (&["a/"], &["a,b/"], &[Some(0)]),
            (&["a/"], &["b,a/"], &[Some(0)]),
            (&["a/"], &["b,a/x/"], &[None]),
            // The name goes first, and nothing is inherited twice.
            (&["a,b,c/"], &["b/", "a/", "c/"], &[None, Some(0), None]),
            (&["a,b,c/"], &["b/", "c/"], &[Some(0), None]),
        ] {
            let [old, new] = [old, new].map(|all| all.iter().map(|text| route(text)).collect::<Vec<_>>());
            let old: Vec<_> = old.into_iter().map(Arc::new).collect();
            assert_eq!(predecessors(&old, &new), expected);
        }
    }
}
