//! The alerts of contrib/prometheus that would fire if what they look at lasted: checked once a second, over the last minute.
//!
//! Those that need what the server does not know of itself (the quota server's connection, acknowledgements of clients) are
//! Prometheus' alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use super::state::Alert;
use crate::clock::{Clock, Instant};
use crate::http::proxy::Proxy;
use crate::http::server::Handle;
use crate::limit::Rate;
use crate::rt;

const CHECKED: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(60);

/// How often descriptors are counted: each is an entry of a folder.
const COUNTED: Duration = Duration::from_secs(10);

const DAY: u64 = 86_400;

/// Counters at one instant.
#[derive(Clone, Default)]
struct Counters {
    refused: u64,
    given_up: u64,
    lines_lost: u64,
    passed: [u64; 2],
    /// Responses and those with 5xx, by route.
    responses: BTreeMap<String, (u64, u64)>,
    /// Events that subscribers lost, by route.
    lost: BTreeMap<String, u64>,
}

pub(super) struct Alerts {
    server: Handle,
    /// Of the last minute, the oldest first.
    past: VecDeque<(Instant, Counters)>,
    /// The share of descriptors in use, and when they were counted.
    files: Option<(Instant, f64)>,
    found: BTreeMap<String, Alert>,
}

impl Alerts {
    pub(super) fn new(server: Handle) -> Self {
        Self { server, past: VecDeque::new(), files: None, found: BTreeMap::new() }
    }

    /// Returns those that would fire, by name, and by what they are of where there are several. Blocks briefly.
    pub(super) fn check(&mut self) -> BTreeMap<String, Alert> {
        let now = rt::clock().now();
        if self.past.back().is_none_or(|(last, _)| now - *last >= CHECKED) {
            self.past.push_back((now, self.counters()));
            while self.past.front().is_some_and(|(first, _)| now - *first > WINDOW) {
                self.past.pop_front();
            }
            self.found = self.look(now);
        }
        self.found.clone()
    }

    fn counters(&self) -> Counters {
        let (telemetry, egress, budgets) =
            (self.server.telemetry(), self.server.egress(), self.server.budgets());
        let mut counters = Counters {
            refused: telemetry.connections_refused(),
            given_up: egress.stall_closes() + egress.overflow_closes(),
            lines_lost: telemetry.access_lines_dropped(),
            passed: [budgets.server().passed().bytes, budgets.uploads().parent().passed().bytes],
            ..Counters::default()
        };
        for route in telemetry.routes() {
            let (mut all, mut errors) = (0, 0);
            for (class, count) in route.by_class() {
                all += count;
                errors += if class == "5xx" { count } else { 0 };
            }
            counters.responses.insert(route.path().unwrap_or("none").to_owned(), (all, errors));
        }
        for route in self.server.routes() {
            if let Some(hub) = route.hub() {
                let counts = hub.counts();
                counters.lost.insert(route.name().to_owned(), counts.dropped() + counts.expired());
            }
        }
        counters
    }

    fn look(&mut self, now: Instant) -> BTreeMap<String, Alert> {
        let mut found = Found::default();
        self.look_at_counters(&mut found);
        self.look_at_state(&mut found);
        self.look_at_files(&mut found, now);
        found.0
    }

    fn look_at_counters(&self, found: &mut Found) {
        let (Some((begin, old)), Some((end, new))) = (self.past.front(), self.past.back()) else { return };
        let lasted = (*end - *begin).as_secs_f64().max(1.0);
        let refused = new.refused.saturating_sub(old.refused);
        if refused > 0 {
            let text = format!(
                "{refused} connections were refused in the last minute: max_connections or client_connections is reached."
            );
            found.add("SluicegateConnectionsRefused", "", "warning", text);
        }
        let given_up = new.given_up.saturating_sub(old.given_up) as f64 / lasted;
        if given_up > 1.0 {
            let text = format!("{given_up:.1} connections a second are closed, whose clients do not read.");
            found.add("SluicegateReadersGivenUp", "", "warning", text);
        }
        if new.lines_lost > old.lines_lost {
            let text = "The access log loses lines: its file or pipe takes them too slowly.";
            found.add("SluicegateAccessLogLosesLines", "", "warning", text);
        }
        for (route, (all, errors)) in &new.responses {
            let (all_before, errors_before) = old.responses.get(route).copied().unwrap_or_default();
            // A route that a reload took away and another brought back counts from 0.
            let (all, errors) = (all.saturating_sub(all_before), errors.saturating_sub(errors_before));
            if all > 0 && errors.saturating_mul(20) > all {
                let text = format!("{errors} of {all} responses in the last minute were server errors.");
                found.add("SluicegateServerErrors", route, "critical", text);
            }
        }
        for (route, lost) in &new.lost {
            let lost = lost.saturating_sub(old.lost.get(route).copied().unwrap_or(*lost));
            if lost > 0 {
                let text = format!("Subscribers lost {lost} events in the last minute.");
                found.add("SluicegateEventsLost", route, "warning", text);
            }
        }
        let budgets = self.server.budgets();
        let limits = [("server", budgets.server()), ("upload_server", budgets.uploads().parent())];
        for ((limit, node), (new, old)) in limits.into_iter().zip(new.passed.into_iter().zip(old.passed)) {
            let passed = new.saturating_sub(old) as f64 / lasted;
            let share = |rate: Rate| passed / rate.bytes_per_second() as f64;
            if lasted > 5.0 && node.in_force().rate.map(share).is_some_and(|share| share > 0.95) {
                let text = "The limit is full: transfers get their shares of it.";
                found.add("SluicegateServerLimitFull", limit, "info", text);
            }
        }
    }

    fn look_at_state(&self, found: &mut Found) {
        if self.server.is_shedding() {
            let text = "New requests are turned away, because too much memory is held for clients.";
            found.add("SluicegateSheds", "", "critical", text);
        }
        for route in crate::admin::routes(&self.server) {
            if let Some(proxy) = route.source::<Proxy>() {
                for upstream in proxy.upstreams().filter(|upstream| upstream.is_out) {
                    let of = format!("{} {}", route.name(), upstream.name);
                    let text = "The last connection to this backend failed.";
                    found.add("SluicegateUpstreamDown", &of, "warning", text);
                }
            }
            if let Some(hub) = route.hub() {
                let gauges = hub.own_gauges().0;
                if gauges.saturation > 0.8 {
                    let text = format!("The fullest queue is at {:.0} %.", gauges.saturation * 100.0);
                    found.add("SluicegateEventQueuesFilling", route.name(), "warning", text);
                }
                let all = gauges.suspended + gauges.subscribers;
                if gauges.suspended * 10 > all {
                    let text = format!("{} of {all} subscribers are suspended.", gauges.suspended);
                    found.add("SluicegateSubscribersSuspended", route.name(), "critical", text);
                }
            }
        }
        self.look_at_certificates(found);
    }

    #[cfg(feature = "tls")]
    fn look_at_certificates(&self, found: &mut Found) {
        let tls = self.server.extension::<crate::tls::NamedTls>().unwrap_or_default();
        let today = self.server.calendar().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        for (name, certificate) in
            tls.iter().flat_map(|(name, tls)| tls.certificates().into_iter().map(move |one| (name, one)))
        {
            let left = u64::try_from(certificate.ends).unwrap_or(0).saturating_sub(today);
            let (alert, severity) = match left / DAY {
                0..3 => ("SluicegateCertificateEndsSoon", "critical"),
                3..14 => ("SluicegateCertificateEnds", "warning"),
                _ => continue,
            };
            let (days, hours) = (left / DAY, left % DAY / 3600);
            let text = format!("The certificate ends in {days} days and {hours} hours: renew it.");
            found.add(alert, &format!("{name} {}", certificate.source), severity, text);
        }
    }

    #[cfg(not(feature = "tls"))]
    fn look_at_certificates(&self, _: &mut Found) {}

    fn look_at_files(&mut self, found: &mut Found, now: Instant) {
        if self.files.is_none_or(|(counted, _)| now - counted >= COUNTED) {
            let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            let share = most.map_or(0.0, |most| open as f64 / most.max(1) as f64);
            self.files = Some((now, share));
        }
        if let Some((_, share)) = self.files.filter(|(_, share)| *share > 0.9) {
            let text = format!("{:.0} % of the file descriptors that it may have are open.", share * 100.0);
            found.add("SluicegateFilesRunOut", "", "critical", text);
        }
    }
}

/// Alerts by name, and by what they are of where there are several.
#[derive(Default)]
struct Found(BTreeMap<String, Alert>);

impl Found {
    /// Adds the alert `name`, `of` one of several things or of none.
    fn add(&mut self, name: &str, of: &str, severity: &'static str, text: impl Into<String>) {
        let key = if of.is_empty() { name.to_owned() } else { format!("{name} {of}") };
        self.0.insert(key, Alert { severity, text: text.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::{Server, Settings};

    #[test]
    fn a_counter_that_begins_again_is_no_alert() {
        let server = Server::new(Settings::default(), Vec::new(), Vec::new());
        let mut alerts = Alerts::new(server.handle());
        let counters = |count: u64| Counters {
            refused: count,
            given_up: count,
            lines_lost: count,
            passed: [count; 2],
            responses: [("/".to_owned(), (count, count))].into(),
            lost: [("/".to_owned(), count)].into(),
        };
        let now = rt::clock().now();
        let found = |alerts: &Alerts| {
            let mut found = Found::default();
            alerts.look_at_counters(&mut found);
            found.0.into_keys().collect::<Vec<_>>()
        };
        alerts.past = [(now, counters(1000)), (now + WINDOW, counters(3))].into();
        assert_eq!(found(&alerts), [""; 0]);
        alerts.past = [(now, counters(3)), (now + WINDOW, counters(1000))].into();
        let expected = ["AccessLogLosesLines", "ConnectionsRefused", "EventsLost /", "ReadersGivenUp"];
        let mut expected: Vec<String> = expected.iter().map(|name| format!("Sluicegate{name}")).collect();
        expected.push("SluicegateServerErrors /".to_owned());
        assert_eq!(found(&alerts), expected);
    }

    /// Names stay those that operators know from Prometheus.
    #[test]
    fn each_alert_is_one_of_the_rules() {
        let rules = concat!(
            include_str!("../../../contrib/prometheus/server.rules.yml"),
            include_str!("../../../contrib/prometheus/events.rules.yml"),
        );
        let (code, _) = include_str!("alerts.rs").split_once("#[cfg(test)]").unwrap();
        let mut words = code.split(|c: char| !c.is_alphanumeric());
        let names: Vec<&str> = words.by_ref().filter(|word| word.starts_with("Sluicegate")).collect();
        assert!(names.len() >= 13, "{names:?}");
        for name in names {
            assert!(rules.lines().any(|line| line.trim() == format!("- alert: {name}")), "{name}");
        }
    }
}
