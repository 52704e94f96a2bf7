//! Makes a server for a simulation from a configuration: its limits, classes, rules and filters, with other sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assembly::{self, AssemblyError, FilterKinds};
use super::document::Config;
use super::route::{self, Source as Given};
use crate::clock::Clock;
use crate::http::route::Route;
use crate::http::server::{Observer, Server};
use crate::http::source::Source;

impl Server {
    /// Makes the server that `config` describes on `clock`, for a simulation. It has no listeners, and opens no folders, backends
    /// or logs: what its routes answer comes from what `source` makes for each, but for redirects. `observer` learns of each
    /// exchange.
    ///
    /// # Errors
    /// A file of keys cannot be used, or a filter of `kinds` refuses its options.
    pub fn simulated_from_config<S: Source>(
        config: &Config,
        kinds: &FilterKinds,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        source: impl Fn(&route::Route) -> S,
    ) -> Result<Self, AssemblyError> {
        let mut counts = BTreeMap::new();
        let mut route = |given: &route::Route| {
            let path = given.path.as_str();
            let route = match &given.source {
                Given::Redirect(to) => Route::redirect(path, to.clone()),
                Given::Refuse(with) => Route::refuse(path, *with),
                Given::Files(_) | Given::Events(_) | Given::Proxy(_) => Route::of(path, source(given)),
            };
            assembly::paced(route, given, kinds, &mut counts)
        };
        let routes = config.routes.iter().map(&mut route).collect::<Result<Vec<_>, _>>()?;
        let server = Self::simulated(config.server.clone(), routes, counts, clock, observer);
        let server = server.with_classes(&config.classes).map_err(AssemblyError::of)?;
        Ok(server.with_schedules(&config.schedules))
    }
}
