//! What is served: routes, and ports of raw TCP.

use std::fmt::Write;

use sluicegate::config::{Config, LimitOf, Route, RouteLimits, Tcp};
use sluicegate::limit::Burst;

use super::{
    LABEL_WIDTH, Moment, budgets, burst, hosts, line, pace_of, rules, scheduled, source, tcp_pace,
    tcp_source, with_kind,
};

/// A route, with its pace and its limits.
pub(super) fn route(text: &mut String, config: &Config, route: &Route, moment: &Moment) {
    let _ = writeln!(text, "\n{}", route.name());
    if let Some(hosts) = hosts(route, LABEL_WIDTH) {
        line(text, "hosts", &hosts);
    }
    line(text, "source", &source(&route.source));
    line(text, "pace", &pace_of(route));
    for (label, rule) in rules::lines(&route.rules, "rule", moment) {
        line(text, &label, &rule);
    }
    budgets(text, [("total", route.limits.total), ("client", route.limits.client)]);
    if route.upload_rates.is_single() {
        budgets(text, [("upload", route.upload)]);
    } else {
        let report = if route.upload.report_only { ", only reported" } else { "" };
        let ahead = burst(Burst::new(route.upload.burst));
        line(text, "upload", &format!("{}{ahead}{report}", route.upload_rates));
    }
    for (label, rule) in rules::lines(&route.upload_rules, "upload rule", moment) {
        line(text, &label, &rule);
    }
    budgets(text, [("uploads", route.limits.upload_total)]);
    budgets(text, [("upload client", route.limits.upload_client)]);
    scheduled(text, config, &LimitOf::Route(route.name()), moment);
    if let Some(max) = route.max_body {
        line(text, "max body", &max.to_string());
    }
    let filters = route.filters.iter().map(|filter| with_kind(&filter.name, &filter.kind));
    let filters: Vec<String> = filters.collect();
    if !filters.is_empty() {
        line(text, "filters", &filters.join(", "));
    }
}

/// A port of raw TCP.
pub(super) fn port(text: &mut String, config: &Config, (nth, port): (usize, &Tcp), moment: &Moment) {
    let tls = port.tls.as_ref().map_or_else(String::new, |tls| format!(", TLS {tls}"));
    let header = if port.proxy_protocol { ", PROXY header required" } else { "" };
    let _ = writeln!(text, "\ntcp:{}{tls}{header}", port.listen);
    line(text, "source", &tcp_source(&port.source));
    line(text, "pace", &tcp_pace(port));
    let RouteLimits { total, client, upload_total, upload_client, .. } = port.limits;
    budgets(text, [("total", total), ("client", client)]);
    budgets(text, [("uploads", upload_total), ("upload client", upload_client)]);
    scheduled(text, config, &LimitOf::Port(nth, format!("tcp:{}", port.listen)), moment);
}
