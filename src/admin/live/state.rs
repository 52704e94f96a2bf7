//! What viewers see: the members of the live state. `docs/live.md` and openapi.json describe them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::quota::QuotaRow;
use crate::admin::api::LimitReport;

/// Transfers by what holds them.
pub(super) type HeldBy = BTreeMap<String, u64>;

/// All that is seen. What grows with traffic is bounded: the rest of it is summed in `rest`.
#[derive(Serialize)]
pub(super) struct State {
    /// When it was sampled, in milliseconds since 1970.
    pub(super) at: u64,
    /// Milliseconds since the sample before, of which there may have been no frame: what moved did so in this time.
    pub(super) elapsed: u64,
    pub(super) server: ServerRow,
    /// By the address of the limit.
    pub(super) limits: BTreeMap<String, LimitReport>,
    /// Limits that are not in `limits`.
    pub(super) limits_left_out: u64,
    /// By the class's name.
    pub(super) classes: BTreeMap<String, Row>,
    /// By the route's path, or a port's `tcp:` address.
    pub(super) routes: BTreeMap<String, Row>,
    /// By the client's key.
    pub(super) clients: BTreeMap<String, ClientRow>,
    /// By `CONNECTION.NUMBER`; a stream of raw TCP has the number 0. Written by [`TransferRow::to_value`] and
    /// [`TransferRow::patch_of`].
    #[serde(skip)]
    pub(super) transfers: BTreeMap<String, TransferRow>,
    /// What is in neither `clients` nor `transfers`.
    pub(super) rest: Rest,
    /// By the route's path.
    pub(super) streams: BTreeMap<String, StreamRow>,
    /// By the alert's name, and what it is of.
    pub(super) alerts: BTreeMap<String, Alert>,
    /// If the server's limit is a share of one, as the quota server says.
    pub(super) quota: Option<QuotaRow>,
}

/// The server. Counters of bytes only grow: a pace is the difference of two, over that of `at`.
#[derive(Serialize)]
pub(super) struct ServerRow {
    pub(super) version: &'static str,
    pub(super) client_key: String,
    pub(super) draining: bool,
    pub(super) shedding: bool,
    pub(super) connections: u64,
    pub(super) transfers: u64,
    /// Bytes that sockets took, heads and framing included.
    pub(super) bytes: u64,
    /// Bytes that sockets gave.
    pub(super) bytes_up: u64,
    /// Bytes held in memory for clients.
    pub(super) held_bytes: u64,
    pub(super) held_by: HeldBy,
}

/// The transfers of a class or of a route.
#[derive(Default, Serialize)]
pub(super) struct Row {
    pub(super) transfers: u64,
    pub(super) bytes: u64,
    pub(super) bytes_up: u64,
    pub(super) held_by: HeldBy,
}

/// A client's. Its bytes are those of transfers that were seen, since it is listed.
#[derive(Serialize)]
pub(super) struct ClientRow {
    pub(super) class: Option<String>,
    #[serde(flatten)]
    pub(super) row: Row,
}

/// A transfer under way.
pub(super) struct TransferRow {
    pub(super) connection: u64,
    pub(super) client: String,
    pub(super) class: Option<String>,
    pub(super) route: Option<String>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) status: Option<u16>,
    pub(super) length: Option<u64>,
    pub(super) bytes: u64,
    pub(super) rate_set: Option<u64>,
    pub(super) held_by: String,
    /// The address of the limit that holds it.
    pub(super) limit: Option<String>,
    pub(super) upload: Option<UploadRow>,
}

/// A request's content under way.
pub(super) struct UploadRow {
    pub(super) length: Option<u64>,
    pub(super) bytes: u64,
    pub(super) rate_set: Option<u64>,
    pub(super) held_by: String,
    pub(super) limit: Option<String>,
}

/// What is not listed. Its bytes are those that passed while it was not.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Rest {
    pub(super) clients: u64,
    pub(super) transfers: u64,
    pub(super) bytes: u64,
    pub(super) bytes_up: u64,
}

/// The event streams of a route.
#[derive(Serialize)]
pub(super) struct StreamRow {
    pub(super) streams: u64,
    pub(super) subscribers: u64,
    pub(super) suspended: u64,
    pub(super) away: u64,
    /// Events that wait, summed over subscribers.
    pub(super) queued: u64,
    /// The fullest queue, in thousandths.
    pub(super) saturation: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) expired: u64,
    /// From publishing to the subscriber's socket: the bound, in microseconds, that 99 of 100 deliveries since the start are
    /// below; absent before the first, or above the last bound.
    pub(super) p99_us: Option<u64>,
}

/// A rule of contrib/prometheus that would fire if this lasted.
#[derive(Clone, Serialize)]
pub(super) struct Alert {
    pub(super) severity: &'static str,
    pub(super) text: String,
}
