//! The server's share of a quota, and those of the other servers of its fleet, asked for while somebody looks.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// The time between two questions.
pub(super) const ASKED: Duration = Duration::from_secs(2);

/// Clients that are listed.
#[cfg(feature = "quota")]
const MOST: usize = 200;

/// What a question to the quota server gives.
pub(in crate::admin) type Look =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = QuotaRow> + Send>> + Send + Sync>;

/// The quota of the server's limit. Rates are in bytes a second.
#[derive(Clone, Default, Serialize)]
pub(in crate::admin) struct QuotaRow {
    resource: String,
    /// The server's own name among the clients.
    client: String,
    /// Its own share as it spends it, also while the quota server does not answer.
    share: u64,
    connected: bool,
    /// Why the shares of the others are not known.
    trouble: Option<String>,
    /// The largest shares, by client, as the quota server lists them.
    clients: BTreeMap<String, ClientShare>,
    /// Clients that are not listed.
    clients_left_out: u64,
}

/// The share of one client.
#[derive(Clone, Serialize)]
struct ClientShare {
    share: u64,
    /// What is fair, and is reached when others have released.
    fair: u64,
    /// What it asks for; absent if that is as much as there is.
    wants: Option<u64>,
    weight: u32,
}

/// What asks the quota server of `fleet`.
#[cfg(feature = "quota")]
pub(in crate::admin) fn look_at(fleet: crate::quota::egress::Fleet) -> Look {
    Arc::new(move || {
        let fleet = fleet.clone();
        Box::pin(async move { of(&fleet).await })
    })
}

#[cfg(feature = "quota")]
async fn of(fleet: &crate::quota::egress::Fleet) -> QuotaRow {
    use crate::quota::MICRO;
    let (mut shares, trouble) = match fleet.shares().await {
        Ok(shares) => (shares, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    shares.sort_by(|one, other| {
        other.rate_micros.cmp(&one.rate_micros).then_with(|| one.client.cmp(&other.client))
    });
    let left_out = shares.len().saturating_sub(MOST);
    shares.truncate(MOST);
    let row = |share: crate::quota::client::FleetShare| {
        let row = ClientShare {
            share: share.rate_micros / MICRO,
            fair: share.target_micros / MICRO,
            wants: share.wants_micros.map(|wants| wants / MICRO),
            weight: share.weight,
        };
        (share.client, row)
    };
    QuotaRow {
        resource: fleet.resource().to_owned(),
        client: fleet.client().to_owned(),
        share: fleet.share(),
        connected: fleet.is_connected(),
        trouble,
        clients: shares.into_iter().map(row).collect(),
        clients_left_out: left_out as u64,
    }
}
