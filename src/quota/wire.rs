//! Messages and service generated from `proto/sluicegate/quota/v1/quota.proto`.

#![allow(missing_docs, clippy::all)]

tonic::include_proto!("sluicegate.quota.v1");

/// The compiled .proto and its imports, with comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/quota.binpb"));

/// The unit of a message; `None` if it is unspecified or unknown.
pub(super) fn read_unit(unit: i32) -> Option<super::Unit> {
    match Unit::try_from(unit).ok()? {
        Unit::Requests => Some(super::Unit::Requests),
        Unit::Bytes => Some(super::Unit::Bytes),
        Unit::Unspecified => None,
    }
}

/// A duration as a message. None that is sent is too long for it.
pub(super) fn duration(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    }
}

/// The duration of a message; zero if absent or negative.
pub(super) fn read_duration(duration: Option<&prost_types::Duration>) -> std::time::Duration {
    let Some(duration) = duration else { return std::time::Duration::ZERO };
    match (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => std::time::Duration::new(seconds, nanos),
        _ => std::time::Duration::ZERO,
    }
}
