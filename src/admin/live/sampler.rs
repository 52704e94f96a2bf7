//! Samples what flows: the largest transfers and clients as they are, the rest as a sum.
//!
//! Blocks for a time that grows with the transfers under way; not for a thread that serves.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, UNIX_EPOCH};

use super::alerts::Alerts;
use super::quota::QuotaRow;
use super::rows;
use super::state::{ClientRow, HeldBy, Rest, Row, ServerRow, State};
use crate::admin::api::{LimitReport, limit_reports};
use crate::budget::ClientKey;
use crate::clock::{Clock, Instant};
use crate::http::server::{Glance, Handle};
use crate::live_limits::Name;
use crate::rt;

/// Transfers that are listed one by one.
pub(super) const MAX_TRANSFERS: usize = 500;

/// Clients that are listed one by one.
pub(super) const MAX_CLIENTS: usize = 200;

/// Limits that are listed.
const MAX_LIMITS: usize = 500;

/// Routes, classes and the like that are listed.
const MAX_ROWS: usize = 200;

/// Connections that are asked at a time.
const BATCH: usize = 256;

/// The order of transfers and clients: what passed lately, the last sample counting a quarter.
#[derive(Clone, Copy, Default)]
struct Seen {
    bytes: u64,
    bytes_up: u64,
    score: u64,
    is_listed: bool,
    sample: u64,
}

impl Seen {
    /// How far ahead of others it is. One that is listed stays until another is clearly larger, so that the list is calm.
    fn rank(&self) -> u64 {
        self.score + u64::from(self.is_listed) * (self.score / 4 + 1)
    }

    fn moved(&mut self, bytes: u64) {
        self.score = self.score - self.score / 4 + bytes / 4;
    }
}

/// What one transfer adds to its client.
#[derive(Default)]
struct ClientSum<'a> {
    class: Option<&'a str>,
    transfers: u64,
    held_by: HeldBy,
}

/// A transfer, or a stream of raw TCP, and what it moved since the last sample.
pub(super) struct Flow {
    pub(super) seen: Glance,
    moved: (u64, u64),
    rank: u64,
}

pub(super) struct Sampler {
    server: Handle,
    flows: HashMap<(u64, u64), Seen>,
    clients: HashMap<ClientKey, Seen>,
    rest: Rest,
    alerts: Alerts,
    /// Samples so far.
    samples: u64,
    /// When the last one was taken.
    last: Option<Instant>,
}

impl Sampler {
    pub(super) fn new(server: Handle) -> Self {
        Self {
            alerts: Alerts::new(server.clone()),
            server,
            flows: HashMap::new(),
            clients: HashMap::new(),
            rest: Rest::default(),
            samples: 0,
            last: None,
        }
    }

    /// Takes a sample, and adds what is known of a quota.
    pub(super) fn sample(&mut self, quota: Option<QuotaRow>) -> State {
        self.samples += 1;
        let now = rt::clock().now();
        let elapsed = self.last.replace(now).map_or(0, |last| millis(now - last));
        let mut flows = self.collect();
        let count = flows.len() as u64;
        let mut clients: HashMap<Cow<'_, ClientKey>, ClientSum<'_>> = HashMap::new();
        let (mut held_by, mut classes) = (HeldBy::new(), BTreeMap::new());
        let (mut by_number, mut routes): (HashMap<usize, Row>, BTreeMap<String, Row>) = Default::default();
        for flow in &flows {
            let word = rows::held_word(&flow.seen);
            *of(&mut held_by, word) += 1;
            let (key, class) = (rows::client(&flow.seen), flow.seen.class());
            let add = |row: &mut Row| {
                row.transfers += 1;
                *of(&mut row.held_by, word) += 1;
            };
            match (flow.seen.route(), flow.seen.connection()) {
                (Some(route), _) => add(by_number.entry(route).or_default()),
                (None, Some(report)) => {
                    rows::port_of(&self.server, report).iter().for_each(|port| add(of(&mut routes, port)));
                }
                (None, None) => {}
            }
            class.iter().for_each(|class| add(of(&mut classes, class)));
            self.add_to_client(&key, flow.moved);
            let sum = clients.entry(key).or_default();
            sum.class = class;
            sum.transfers += 1;
            *of(&mut sum.held_by, word) += 1;
        }
        routes.extend(by_number.into_iter().map(|(route, row)| (self.server.route_path(route), row)));
        rows::add_totals(&self.server, &mut routes, &mut classes, MAX_ROWS);
        let clients = self.listed_clients(clients);
        let listed = self.listed(&mut flows);
        let (limits, limits_left_out) = self.limits();
        let egress = self.server.egress();
        let at = self.server.calendar().duration_since(UNIX_EPOCH).unwrap_or_default();
        State {
            at: millis(at),
            elapsed,
            server: ServerRow {
                version: env!("CARGO_PKG_VERSION"),
                client_key: self.server.budgets().key().to_string(),
                draining: self.server.is_draining(),
                shedding: self.server.is_shedding(),
                connections: self.server.connections() as u64,
                transfers: count,
                bytes: egress.bytes_written(),
                bytes_up: egress.bytes_read(),
                held_bytes: egress.held().total(),
                held_by,
            },
            limits,
            limits_left_out,
            classes,
            routes,
            clients,
            transfers: listed.iter().filter_map(|flow| rows::transfer(&self.server, &flow.seen)).collect(),
            rest: self.rest,
            streams: rows::streams(&self.server, MAX_ROWS),
            alerts: self.alerts.check(),
            quota,
        }
    }

    /// All that is under way, with what moved since the last sample. What was there before the first has moved nothing.
    fn collect(&mut self) -> Vec<Flow> {
        let (mut glances, mut after) = (Vec::new(), 0);
        while let Some(last) = self.server.glance_after(after, BATCH, &mut glances) {
            after = last;
        }
        let flows = glances.into_iter().map(|glance| self.flow(glance)).collect();
        let samples = self.samples;
        self.flows.retain(|_, seen| seen.sample == samples);
        flows
    }

    fn flow(&mut self, glance: Glance) -> Flow {
        let Glance { id, bytes, bytes_up, .. } = glance;
        let first = Seen { bytes, bytes_up, ..Seen::default() };
        let new = if self.samples == 1 { first } else { Seen::default() };
        let seen = self.flows.entry(id).or_insert(new);
        let moved = (bytes.saturating_sub(seen.bytes), bytes_up.saturating_sub(seen.bytes_up));
        (seen.bytes, seen.bytes_up, seen.sample) = (bytes, bytes_up, self.samples);
        seen.moved(moved.0 + moved.1);
        Flow { rank: seen.rank(), seen: glance, moved }
    }

    fn add_to_client(&mut self, key: &ClientKey, moved: (u64, u64)) {
        let seen = match self.clients.get_mut(key) {
            Some(seen) => seen,
            None => self.clients.entry(key.clone()).or_default(),
        };
        seen.bytes += moved.0;
        seen.bytes_up += moved.1;
        seen.moved(moved.0 + moved.1);
        seen.sample = self.samples;
    }

    /// Leaves the largest flows, and adds the others to the rest.
    fn listed(&mut self, flows: &mut Vec<Flow>) -> Vec<Flow> {
        let order = |flow: &Flow| (Reverse(flow.rank), flow.seen.id);
        if flows.len() > MAX_TRANSFERS {
            flows.select_nth_unstable_by_key(MAX_TRANSFERS, order);
        }
        let left_out = flows.split_off(flows.len().min(MAX_TRANSFERS));
        for flow in &left_out {
            self.rest.bytes += flow.moved.0;
            self.rest.bytes_up += flow.moved.1;
        }
        self.rest.transfers = left_out.len() as u64;
        for (flows, is_listed) in [(&*flows, true), (&left_out, false)] {
            for flow in flows {
                if let Some(seen) = self.flows.get_mut(&flow.seen.id) {
                    seen.is_listed = is_listed;
                }
            }
        }
        std::mem::take(flows)
    }

    /// The largest clients of `sums`.
    fn listed_clients(
        &mut self,
        mut sums: HashMap<Cow<'_, ClientKey>, ClientSum<'_>>,
    ) -> BTreeMap<String, ClientRow> {
        let samples = self.samples;
        self.clients.retain(|_, seen| seen.sample == samples);
        let mut order: Vec<(u64, ClientKey)> =
            self.clients.iter().map(|(key, seen)| (seen.rank(), key.clone())).collect();
        // Of equals those that are listed stay, by their rank.
        if order.len() > MAX_CLIENTS {
            order.select_nth_unstable_by_key(MAX_CLIENTS, |(rank, _)| Reverse(*rank));
        }
        self.rest.clients = order.len().saturating_sub(MAX_CLIENTS) as u64;
        order.iter().enumerate().for_each(|(at, (_, key))| {
            if let Some(seen) = self.clients.get_mut(key) {
                seen.is_listed = at < MAX_CLIENTS;
            }
        });
        order.truncate(MAX_CLIENTS);
        let row = |(_, key): (u64, ClientKey)| {
            let (seen, sum) = (self.clients.get(&key)?, sums.remove(&key)?);
            let ClientSum { class, transfers, held_by } = sum;
            let row = Row { transfers, held_by, bytes: seen.bytes, bytes_up: seen.bytes_up };
            Some((key.to_string(), ClientRow { class: class.map(str::to_owned), row }))
        };
        order.into_iter().filter_map(row).collect()
    }

    /// All limits, as many as are listed, and those of single clients.
    fn limits(&self) -> (BTreeMap<String, LimitReport>, u64) {
        let mut reports = limit_reports(&self.server);
        let budgets = self.server.budgets();
        let own = budgets.clients().overrides().into_iter().map(|(key, _)| Name::Own(key));
        let own_uploads = budgets.uploads().overrides().into_iter().map(|(key, _)| Name::UploadOwn(key));
        let room = MAX_LIMITS.saturating_sub(reports.len());
        let names: Vec<Name> = own.chain(own_uploads).collect();
        let left_out = (reports.len() + names.len()).saturating_sub(MAX_LIMITS) as u64;
        reports.extend(names.iter().take(room).filter_map(|name| LimitReport::find(&self.server, name)));
        reports.truncate(MAX_LIMITS);
        (reports.into_iter().map(|report| (report.href().to_owned(), report)).collect(), left_out)
    }
}

/// The member `key`, made if there is none: only then does it cost a text.
fn of<'a, T: Default>(members: &'a mut BTreeMap<String, T>, key: &str) -> &'a mut T {
    if !members.contains_key(key) {
        members.insert(key.to_owned(), T::default());
    }
    members.get_mut(key).expect("it was just made")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
