//! Conversions between the book's types and the messages.

use tonic::Status;

use super::limits::Source;
use super::status;
use crate::quota::book::{Allocation, ClientView, Interest, ResourceView, ShareView};
use crate::quota::id::{Id, IdError};
use crate::quota::limit::ResourceLimit;
use crate::quota::wire;

pub(super) fn id(field: &str, text: &str) -> Result<Id, Status> {
    text.parse().map_err(|error: IdError| status::invalid("BAD_ID", field, &error.to_string()))
}

/// The interests that a heartbeat declares, in its two lists.
pub(super) fn interests(beat: &wire::HeartbeatRequest) -> Result<Vec<Interest>, Status> {
    let plain = beat.resource_ids.iter().map(|resource| Ok(Interest::new(id("resource_ids", resource)?)));
    let full = beat.interests.iter().map(|interest| {
        Ok(Interest {
            resource: id("interests.resource_id", &interest.resource_id)?,
            weight: if interest.weight == 0 { 1 } else { interest.weight },
            wants: interest.wants_micros,
            applied: interest.applied_version,
            held: interest.held_micros,
        })
    });
    plain.chain(full).collect()
}

pub(super) fn limit(limit: Option<wire::RateLimit>) -> Result<ResourceLimit, Status> {
    let limit = limit.ok_or_else(|| status::invalid("BAD_LIMIT", "rate_limit", "it is missing"))?;
    let unit = (limit.unit().try_into())
        .map_err(|()| status::invalid("BAD_LIMIT", "rate_limit.unit", "say UNIT_REQUESTS or UNIT_BYTES"))?;
    let limit = ResourceLimit::new(unit, limit.per_second);
    limit.map_err(|error| status::invalid("BAD_LIMIT", "rate_limit", &error.to_string()))
}

pub(super) fn allocation(allocation: &Allocation) -> wire::Allocation {
    wire::Allocation {
        resource_id: allocation.resource.to_string(),
        unit: wire::Unit::from(allocation.limit.unit()).into(),
        rate_micros: allocation.rate,
        version: allocation.version,
        target_micros: allocation.target,
        retry_after: allocation.retry_after.map(wire::duration),
        limit_per_second: allocation.limit.per_second(),
        clients: u32::try_from(allocation.clients).unwrap_or(u32::MAX),
        learning: allocation.learning,
    }
}

pub(super) fn resource(view: &ResourceView, source: Source) -> wire::Resource {
    let source = match source {
        Source::Flag => wire::LimitSource::Flag,
        Source::Schedule => wire::LimitSource::Schedule,
        Source::Api => wire::LimitSource::Api,
        Source::Store => wire::LimitSource::Store,
    };
    wire::Resource {
        source: source.into(),
        resource_id: view.resource.to_string(),
        rate_limit: Some(view.limit.into()),
        clients: u32::try_from(view.clients).unwrap_or(u32::MAX),
        granted_micros: u64::try_from(view.granted).unwrap_or(u64::MAX),
    }
}

pub(super) fn client(view: &ClientView) -> wire::Client {
    wire::Client {
        client_id: view.client.to_string(),
        expires_in: Some(wire::duration(view.expires_in)),
        shares: view.shares.iter().map(share).collect(),
    }
}

pub(super) fn share(view: &ShareView) -> wire::Share {
    wire::Share {
        resource_id: view.resource.to_string(),
        unit: wire::Unit::from(view.unit).into(),
        weight: view.weight,
        wants_micros: view.wants,
        rate_micros: view.rate,
        target_micros: view.target,
    }
}
