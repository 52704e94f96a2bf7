//! Refusals as gRPC status, with google.rpc details that programs can read.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::quota::book::BookError;
use crate::quota::id::IdError;
use crate::quota::limit::LimitError;

/// The domain of our reasons.
const DOMAIN: &str = "quota.sluicegate";

/// What a call that the book refused is answered. A heartbeat of a wrong instance breaks a promise that
/// it made; a registration meets somebody else's.
pub(super) fn of_book(error: &BookError) -> Status {
    let (code, reason) = match error {
        BookError::UnknownClient(_) => (Code::NotFound, "CLIENT_UNKNOWN"),
        BookError::OtherInstance { .. } => (Code::FailedPrecondition, "OTHER_INSTANCE"),
        BookError::StaleHeartbeat(_) => (Code::Aborted, "STALE_HEARTBEAT"),
        BookError::NoInterest { .. } => (Code::FailedPrecondition, "NO_INTEREST"),
        BookError::NoLimit(_) => (Code::NotFound, "NO_LIMIT"),
        BookError::OtherUnit { .. } => (Code::FailedPrecondition, "OTHER_UNIT"),
        BookError::TooManyClients(_) => (Code::ResourceExhausted, "TOO_MANY_CLIENTS"),
        BookError::TooManyResources(_) => (Code::ResourceExhausted, "TOO_MANY_RESOURCES"),
        BookError::TooManyInterests(_) => (Code::InvalidArgument, "TOO_MANY_INTERESTS"),
        BookError::NamedTwice(_) => (Code::InvalidArgument, "NAMED_TWICE"),
        BookError::BadWeight(_) => (Code::InvalidArgument, "BAD_WEIGHT"),
        BookError::LongInstance(_) => (Code::InvalidArgument, "LONG_INSTANCE"),
    };
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    let text = error.to_string();
    match error {
        BookError::OtherInstance { expires_in, .. } => _ = details.set_retry_info(Some(*expires_in)),
        BookError::TooManyInterests(_) | BookError::NamedTwice(_) | BookError::BadWeight(_) => {
            details.add_bad_request_violation("interests", &text);
        }
        BookError::LongInstance(_) => _ = details.add_bad_request_violation("instance", &text),
        _ => {}
    }
    Status::with_error_details(code, text, details)
}

/// The same for a registration.
pub(super) fn of_registration(error: &BookError) -> Status {
    match error {
        BookError::OtherInstance { expires_in, .. } => {
            let mut details = ErrorDetails::with_error_info("OTHER_INSTANCE", DOMAIN, HashMap::new());
            details.set_retry_info(Some(*expires_in));
            Status::with_error_details(Code::AlreadyExists, error.to_string(), details)
        }
        other => of_book(other),
    }
}

/// A field that is no id.
pub(super) fn of_id(field: &str, error: &IdError) -> Status {
    invalid("BAD_ID", field, &error.to_string())
}

/// A limit that is none.
pub(super) fn of_limit(error: &LimitError) -> Status {
    invalid("BAD_LIMIT", "rate_limit", &error.to_string())
}

/// A field with a value that cannot be.
pub(super) fn invalid(reason: &str, field: &str, text: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.add_bad_request_violation(field, text);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {text}"), details)
}

/// The server has no room for more of something.
pub(super) fn exhausted(reason: &str, text: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(Code::ResourceExhausted, text, details)
}
