//! Messages and service generated from `proto/sluicegate/quota/v1/quota.proto`: `tests/quota/generated.rs` says how, and fails
//! when they are not.

#![allow(missing_docs, clippy::all)]

include!("../../proto/generated/sluicegate.quota.v1.rs");

/// The compiled .proto and its imports, with comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../../proto/generated/quota.binpb");

/// The domain of the reasons of errors.
pub const DOMAIN: &str = "quota.sluicegate";

/// The reason of a server that does not lead, and the field of its details that says where the leader is.
pub const NOT_LEADER: &str = "NOT_LEADER";
pub const LEADER: &str = "leader";

impl From<super::Unit> for Unit {
    fn from(unit: super::Unit) -> Self {
        match unit {
            super::Unit::Requests => Self::Requests,
            super::Unit::Bytes => Self::Bytes,
        }
    }
}

/// The unit of a message; `Err` if it is unspecified.
impl TryFrom<Unit> for super::Unit {
    type Error = ();

    fn try_from(unit: Unit) -> Result<Self, ()> {
        match unit {
            Unit::Requests => Ok(Self::Requests),
            Unit::Bytes => Ok(Self::Bytes),
            Unit::Unspecified => Err(()),
        }
    }
}

impl From<super::ResourceLimit> for RateLimit {
    fn from(limit: super::ResourceLimit) -> Self {
        Self { per_second: limit.per_second(), unit: Unit::from(limit.unit()).into() }
    }
}

/// A duration as a message. None that is sent is too long for it.
pub(super) fn duration(duration: std::time::Duration) -> prost_types::Duration {
    duration.try_into().unwrap_or_default()
}

/// The duration of a message; zero if absent or negative.
pub(super) fn read_duration(duration: Option<&prost_types::Duration>) -> std::time::Duration {
    duration.and_then(|duration| (*duration).try_into().ok()).unwrap_or_default()
}
