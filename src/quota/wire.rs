//! The messages and the service as `proto/sluicegate/quota/v1/quota.proto` has them, generated.

#![allow(missing_docs, clippy::all)]

tonic::include_proto!("sluicegate.quota.v1");

/// The .proto and what it imports, compiled, with its comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/quota.binpb"));

/// What a limit counts, from the wire; `None` if it does not say, or something that is not known here.
pub(super) fn read_unit(unit: i32) -> Option<super::Unit> {
    match Unit::try_from(unit).ok()? {
        Unit::Requests => Some(super::Unit::Requests),
        Unit::Bytes => Some(super::Unit::Bytes),
        Unit::Unspecified => None,
    }
}

/// A duration on the wire. None that is told here is too long for it.
pub(super) fn duration(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    }
}

/// A duration from the wire; one that is absent or negative is zero.
pub(super) fn read_duration(duration: Option<&prost_types::Duration>) -> std::time::Duration {
    let Some(duration) = duration else { return std::time::Duration::ZERO };
    match (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => std::time::Duration::new(seconds, nanos),
        _ => std::time::Duration::ZERO,
    }
}
