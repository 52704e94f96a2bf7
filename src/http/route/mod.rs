//! Routes: a path prefix with a source, a pace and filters.

mod builder;
mod rules;
mod stages;
mod uploads;
mod when;

use std::any::Any;
use std::borrow::Cow;

use super::budgets;
use super::content::Content;
use super::error_pages::{ErrorPages, OwnAnswer};
use super::field_changes::FieldChanges;
use super::files::Files;
use super::host_pattern::HostPattern;
use super::path;
use super::proxy::Proxy;
use super::redirect::{Redirect, RedirectSource};
use super::refusal::{Refusal, RefusalSource};
use super::source::{Paths, Source};
use crate::budget::{ClientKey, Clients, Gate, IdleBound, Node};
use crate::filter::EndOfStream;
use crate::limit::{Budget, Interval, Limit, Weight};
use crate::rt;

pub use super::source::{Answer, Client, Handler};
pub use rules::PaceRule;
use rules::PaceRules;
pub(in crate::http) use rules::{Met, RulesMet};
pub(crate) use stages::place_pace;
pub(super) use stages::{Pacing, Stage};
use uploads::Uploads;
pub(crate) use when::MethodName;
pub(in crate::http) use when::glob;
pub use when::{ConditionError, ContentType, Extension, PathPattern, QueryKey, SizeBound, StatusClass, When};

/// A part of the URL space: the paths below one prefix, with a source, a pace and filters.
///
/// ```
/// use sluicegate::filter::{Count, Counts, factory_fn};
/// use sluicegate::http::route::Route;
/// use sluicegate::limit::Rate;
///
/// let counts = Counts::default();
/// let route = Route::files("/", "fixtures/site")?
///     .rate(Rate::new(60 * 1024)?)
///     .burst(256 * 1024)
///     .filter(factory_fn(move || Count::new(counts.clone())));
/// assert_eq!(route.limit().rate(), Rate::or_unlimited(61_440));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Route {
    path: String,
    /// Its first host and `path`, by which limits, metrics and reloads know it.
    name: String,
    /// The hosts it answers for; without any, those that no route names.
    hosts: Vec<HostPattern>,
    /// `path` in its normal form.
    prefix: String,
    /// Its number in telemetry; set by the server.
    pub(super) number: usize,
    /// Nodes of its clients, below the node that all its responses share.
    clients: Clients,
    weight: Weight,
    pub(super) source: RouteSource,
    pub(super) pacing: Pacing,
    rules: PaceRules,
    uploads: Uploads,
    /// The kernel is to spread chunks over their intervals.
    pub(super) is_smooth: bool,
    pub(super) stages: Vec<Stage>,
    /// Pages for errors of its own.
    pub(super) error_pages: Option<ErrorPages>,
    /// Changes of the fields of its responses.
    pub(super) fields: FieldChanges,
}

opaque!(Route);

/// Where a route's content comes from. Files are apart: their future is small and needs no box.
pub(super) enum RouteSource {
    Files(Files),
    Other(Box<dyn Source>),
}

impl Route {
    fn new(path: &str, source: RouteSource) -> Self {
        Self {
            path: path.to_owned(),
            name: path.to_owned(),
            hosts: Vec::new(),
            prefix: path::normal(path).map_or_else(|| path.to_owned(), Cow::into_owned),
            number: usize::MAX,
            clients: Clients::new(
                Node::root(budgets::ROUTE, Budget::default(), rt::clock()),
                budgets::ROUTE_CLIENT,
                Budget::default(),
            ),
            weight: Weight::default(),
            source,
            pacing: Pacing::new("", Limit::unlimited(), Interval::DEFAULT, EndOfStream::default()),
            rules: PaceRules::default(),
            uploads: Uploads::new(rt::clock()),
            is_smooth: false,
            stages: Vec::new(),
            error_pages: None,
            fields: FieldChanges::default(),
        }
    }

    /// Serves files of the folder `root` below `path`, with the defaults of [`Files`].
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn files(path: &str, root: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        Ok(Self::new(path, RouteSource::Files(Files::new(root.as_ref())?)))
    }

    /// Serves `files` below `path`.
    pub fn folder(path: &str, files: Files) -> Self {
        Self::new(path, RouteSource::Files(files))
    }

    /// Passes requests below `path` to an upstream.
    pub fn proxy(path: &str, proxy: Proxy) -> Self {
        Self::of(path, proxy.at(path))
    }

    /// Redirects requests below `path`.
    pub fn redirect(path: &str, source: RedirectSource) -> Self {
        Self::of(path, Redirect(source))
    }

    /// Refuses requests below `path`.
    pub fn refuse(path: &str, source: RefusalSource) -> Self {
        Self::of(path, Refusal(source))
    }

    /// Passes requests below `path` to `handler`.
    pub fn handler(path: &str, handler: impl Handler + 'static) -> Self {
        Self::of(path, handler)
    }

    /// Passes requests below `path` to `source`.
    pub fn of(path: &str, source: impl Source) -> Self {
        Self::new(path, RouteSource::Other(Box::new(source)))
    }

    /// Returns its source if that is a `T`; never one of files.
    pub fn source<T: Source>(&self) -> Option<&T> {
        let source: &dyn Any = self.source.other()?;
        source.downcast_ref()
    }

    /// Names and limits of the named rate filters beside the route's.
    pub(crate) fn named_paces(&self) -> impl Iterator<Item = (&str, &Limit)> {
        self.named().map(|pacing| (pacing.name.as_str(), &pacing.limit))
    }

    fn named(&self) -> impl Iterator<Item = &Pacing> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Pace(pacing) if !pacing.name.is_empty() => Some(pacing),
            _ => None,
        })
    }

    /// Adopts the live limits of `old`, the route at this path before a reload, set to its own: transfers under way
    /// there see them at once. Returns whether its source adopted that of `old`.
    pub(super) fn adopt(&mut self, old: &Self) -> bool {
        let is_source_adopted = match (&mut self.source, old.source.other()) {
            (RouteSource::Other(source), Some(old)) => source.adopt(old),
            _ => false,
        };
        self.pacing.adopt(&old.pacing);
        self.rules.adopt(&old.rules);
        self.uploads.adopt(&old.uploads);
        old.clients.parent().set(self.clients.parent().budget());
        old.clients.reset(self.clients.budget());
        self.clients = old.clients.clone();
        for stage in &mut self.stages {
            if let Stage::Pace(pacing) = stage
                && let Some(old) = old.named().find(|old| old.name == pacing.name)
            {
                pacing.adopt(old);
            }
        }
        is_source_adopted
    }

    /// Ends responses of its source that would not end by themselves.
    pub(super) fn close(&self) {
        if let Some(source) = self.source.other() {
            source.close();
        }
    }

    /// Whether its source refuses requests once it is closed.
    pub(super) fn refuses_when_closed(&self) -> bool {
        self.source.other().is_some_and(Source::refuses_when_closed)
    }

    /// How its source reads paths.
    pub(super) fn paths(&self) -> Paths {
        self.source.other().map_or(Paths::Normal, Source::paths)
    }

    /// Whether its source sends interim responses.
    pub(super) fn takes_interim(&self) -> bool {
        self.source.other().is_some_and(Source::takes_interim)
    }

    /// The prefix of the paths this route answers.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The hosts it answers for; if there are none, those that no other route answers for.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// Its path, behind its first host if it has some: its name in limits, metrics and reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both have the same path on one host.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.path == other.path && self.hosts.iter().any(|host| other.hosts.contains(host))
    }

    /// The live limit of each response on this route.
    pub fn limit(&self) -> &Limit {
        &self.pacing.limit
    }

    /// Has its clients share a bound with those of others.
    pub(super) fn share(&self, bound: &IdleBound) {
        self.clients.share(bound);
        self.uploads.clients.share(bound);
    }

    /// The live nodes of its clients, below the node that all its responses share.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Its pages, if `response` is an error of the server's own: of files, or of the proxy where the backend has not answered.
    pub(super) fn pages_for(&self, response: &http::Response<Content>) -> Option<&ErrorPages> {
        let is_own = || {
            matches!(self.source, RouteSource::Files(_)) || response.extensions().get::<OwnAnswer>().is_some()
        };
        self.error_pages.as_ref().filter(|_| is_own())
    }

    /// The budgets of a response to one client: in the route's tree and in the server's.
    pub(super) fn gate(&self, server: &Clients, key: &ClientKey) -> Gate {
        Gate::of_client(Some(&self.clients), server, key, self.weight)
    }

    /// Whether it has rate filters beside its own.
    pub(super) fn has_other_paces(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage, Stage::Pace(_)))
    }

    /// Whether a filter reads the request's head, which must be kept then.
    pub(super) fn has_named_filters(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage, Stage::Named(..)))
    }

    /// Its path in normal form.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns `path` without this route's prefix and the slash after it; `None` if it is not below the route.
    pub(super) fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.prefix.as_str())?;
        if self.prefix.ends_with('/') || rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

impl RouteSource {
    fn other(&self) -> Option<&dyn Source> {
        match self {
            Self::Files(_) => None,
            Self::Other(source) => Some(&**source),
        }
    }
}
