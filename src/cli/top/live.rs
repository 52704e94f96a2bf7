//! What `top` shows of the live state. docs/live.md describes all of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Transfers by what holds them.
pub(super) type HeldBy = BTreeMap<String, u64>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Live {
    /// When it was sampled, in milliseconds since 1970.
    pub(super) at: u64,
    /// Milliseconds since the sample before.
    pub(super) elapsed: u64,
    /// What moved since the state before this one did so after this instant, which is on the clock of `at`: samples in
    /// which nothing has changed are not sent. 0 where that is not known.
    #[serde(skip)]
    pub(super) quiet_until: u64,
    pub(super) server: Server,
    /// By the address of the limit.
    pub(super) limits: BTreeMap<String, Limit>,
    pub(super) classes: BTreeMap<String, Group>,
    pub(super) routes: BTreeMap<String, Group>,
    pub(super) clients: BTreeMap<String, Group>,
    /// By `CONNECTION.NUMBER`.
    pub(super) transfers: BTreeMap<String, Transfer>,
    pub(super) rest: Rest,
    /// By the route's path.
    pub(super) streams: BTreeMap<String, Streams>,
    /// By name, and what each is of.
    pub(super) alerts: BTreeMap<String, Alert>,
}

impl Live {
    /// This state in place of an older one that nobody has looked at: what moved may have done so before that.
    pub(super) fn in_place_of(mut self, unseen: Option<&Self>) -> Self {
        if let Some(unseen) = unseen {
            self.quiet_until = self.quiet_until.min(unseen.quiet_until);
        }
        self
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) draining: bool,
    pub(super) shedding: bool,
    pub(super) connections: u64,
    pub(super) transfers: u64,
    pub(super) bytes: u64,
    pub(super) bytes_up: u64,
    pub(super) held_bytes: u64,
    pub(super) held_by: HeldBy,
}

/// The transfers of a client, a class or a route.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    /// Of a client.
    pub(super) class: Option<String>,
    pub(super) transfers: u64,
    pub(super) bytes: u64,
    pub(super) held_by: HeldBy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Transfer {
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
    pub(super) upload: Option<Upload>,
}

impl Transfer {
    /// Bytes both ways.
    pub(super) fn moved(&self) -> u64 {
        self.bytes + self.upload.as_ref().map_or(0, |upload| upload.bytes)
    }

    /// What holds it: of a response that waits for its request's content, what holds that.
    pub(super) fn held(&self) -> &str {
        match &self.upload {
            Some(upload) if self.held_by == "source" => &upload.held_by,
            _ => &self.held_by,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Upload {
    pub(super) length: Option<u64>,
    pub(super) bytes: u64,
    pub(super) rate_set: Option<u64>,
    pub(super) held_by: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limit {
    pub(super) kind: String,
    pub(super) rate: Option<u64>,
    pub(super) rates: Option<Vec<String>>,
    pub(super) burst: u64,
    pub(super) weight: Option<u16>,
    pub(super) report_only: bool,
    pub(super) quota: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) waits: Option<u64>,
    pub(super) own: Option<bool>,
    pub(super) source: BTreeMap<String, Source>,
}

impl Limit {
    /// The rate in force.
    pub(super) fn in_force(&self) -> Option<u64> {
        self.quota.or(self.rate)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    pub(super) from: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rest {
    pub(super) transfers: u64,
    pub(super) clients: u64,
    pub(super) bytes: u64,
    pub(super) bytes_up: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Streams {
    pub(super) subscribers: u64,
    pub(super) suspended: u64,
    pub(super) away: u64,
    pub(super) queued: u64,
    /// The fullest queue, in thousandths.
    pub(super) saturation: u64,
    pub(super) published: u64,
    pub(super) dropped: u64,
    pub(super) expired: u64,
    pub(super) p99_us: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alert {
    pub(super) severity: String,
    pub(super) text: String,
}
