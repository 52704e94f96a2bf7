//! Settings of a route: pace, limits and filters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Pacing, Route, Stage};
use crate::budget::{Clients, Node};
use crate::clock::Clock;
use crate::filter::{EndOfStream, FilterFactory};
use crate::http::budgets;
use crate::http::error_pages::{ErrorPages, ErrorPagesSource};
use crate::http::field_changes::FieldChanges;
use crate::http::files::Types;
use crate::http::host_pattern::HostPattern;
use crate::limit::{Budget, CatchUp, Interval, Limit, Rates, Weight};

impl Route {
    /// Answers only requests for these hosts. Default: those for hosts that no route answers for.
    #[must_use]
    pub fn on_hosts(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.hosts = hosts.into_iter().collect();
        let host = self.hosts.first().map_or("", HostPattern::as_str);
        self.name = format!("{host}{}", self.path);
        self
    }

    /// Changes the fields of all its responses, before filters see them. Default: none.
    #[must_use]
    pub fn fields(mut self, changes: FieldChanges) -> Self {
        self.fields = changes;
        self
    }

    /// Sends these files with errors of files and of the proxy, not with those that a backend answers. `types` are media types
    /// by extension, beside those that are known. Default: none, and errors have one line of text.
    ///
    /// # Errors
    /// A file cannot be read, or has more than 1 MiB.
    pub fn error_pages(
        mut self,
        pages: &ErrorPagesSource,
        types: &BTreeMap<String, String>,
    ) -> std::io::Result<Self> {
        let mut known = Types::default();
        for (extension, media_type) in types {
            known.insert(extension, media_type);
        }
        self.error_pages = if pages.is_empty() { None } else { Some(ErrorPages::new(pages, known)?) };
        Ok(self)
    }

    /// Paces each response at `rate`, or at [`Rates`] by the bytes that it has sent; `None` is unlimited, the default.
    #[must_use]
    pub fn rate(self, rate: impl Into<Rates>) -> Self {
        self.pacing.limit.set_rates(rate.into());
        self
    }

    /// Sets how much time that a response did not use, because its source or its reader was slow, it may make up at once.
    /// Default: one interval.
    #[must_use]
    pub fn catch_up(mut self, catch_up: Option<CatchUp>) -> Self {
        self.pacing.catch_up = catch_up;
        self
    }

    /// Lets `bytes` of each response pass ahead of the rate. Default 0.
    #[must_use]
    pub fn burst(self, bytes: u64) -> Self {
        self.pacing.limit.set_burst(bytes);
        self
    }

    /// If set, the rate delays nothing and only counts what it would have delayed. Default false.
    #[must_use]
    pub fn report_only(self, report_only: bool) -> Self {
        self.pacing.limit.set_report_only(report_only);
        self
    }

    /// Limits all responses of the route together. Default: no limit.
    #[must_use]
    pub fn total(self, budget: impl Into<Budget>) -> Self {
        self.clients.parent().set(budget);
        self
    }

    /// Limits all responses of the route to one client together. Default: no limit.
    #[must_use]
    pub fn per_client(self, budget: impl Into<Budget>) -> Self {
        self.clients.set(budget);
        self
    }

    /// The weight of a response among the others of its client. Default 1.
    #[must_use]
    pub fn weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// Has all limits that its responses and its uploads share go by `clock`, as they are set.
    pub(in crate::http) fn on_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        let (total, each) = (self.clients.parent().budget(), self.clients.budget());
        let all = Node::root(budgets::ROUTE, total, Arc::clone(&clock));
        self.clients = Clients::new(all, budgets::ROUTE_CLIENT, each);
        self.uploads_on(clock)
    }

    /// Sets how often a chunk of a response leaves, and one of a request's content is read. Those in progress keep their
    /// interval through a reload. Default 200 ms.
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        (self.pacing.interval, self.uploads.pacing.interval) = (interval, interval);
        self
    }

    /// Has the kernel spread each chunk of a response over its interval. Default false: a chunk leaves at once.
    #[must_use]
    pub fn smooth(mut self, is_smooth: bool) -> Self {
        self.is_smooth = is_smooth;
        self
    }

    /// Sets what happens to the last part of a response, which is less than a chunk.
    #[must_use]
    pub fn end_of_stream(mut self, rule: EndOfStream) -> Self {
        self.pacing.end_of_stream = rule;
        self
    }

    /// Adds a filter after those added before. The rate filter comes last, unless
    /// [`pace_here`](Self::pace_here) puts it elsewhere.
    #[must_use]
    pub fn filter(self, factory: impl FilterFactory + 'static) -> Self {
        self.shared_filter(Arc::new(factory))
    }

    /// Adds a filter that other routes use too.
    #[must_use]
    pub fn shared_filter(self, factory: Arc<dyn FilterFactory>) -> Self {
        self.named_filter("filter", factory)
    }

    /// Adds a filter with a name, by which reports show it.
    pub(crate) fn named_filter(mut self, name: &str, factory: Arc<dyn FilterFactory>) -> Self {
        self.stages.push(Stage::Named(name.into(), factory));
        self
    }

    /// Puts the rate filter at this place in the order. It then limits the input of the filters after it, not
    /// their output.
    #[must_use]
    pub fn pace_here(mut self) -> Self {
        self.stages.retain(|stage| !matches!(stage, Stage::RoutePace));
        self.stages.push(Stage::RoutePace);
        self
    }

    /// Adds a rate filter with its own limit, beside the route's, at this place in the order.
    #[must_use]
    pub fn pace(self, limit: Limit, interval: Interval, end_of_stream: EndOfStream) -> Self {
        self.named_pace("", limit, (interval, end_of_stream, None))
    }

    /// Adds a [`pace`](Self::pace) with a name, by which a reload finds it, and with what it may make up.
    pub(crate) fn named_pace(
        mut self,
        name: &str,
        limit: Limit,
        (interval, end_of_stream, catch_up): (Interval, EndOfStream, Option<CatchUp>),
    ) -> Self {
        let pacing = Pacing { catch_up, ..Pacing::new(name, limit, interval, end_of_stream) };
        self.stages.push(Stage::Pace(pacing));
        self
    }
}
