//! gRPC statuses of refused calls, with google.rpc details for programs.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::limits::ChangeError;
use super::shared_book::NotLeader;
use crate::quota::book::BookError;
use crate::quota::wire::{DOMAIN, LEADER, NOT_LEADER};

/// The status of a call that the book refused. For a heartbeat of a wrong instance it is a failed precondition, for a
/// registration a conflict.
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

impl From<NotLeader> for Status {
    fn from(not_leader: NotLeader) -> Self {
        let text = match &not_leader.leader {
            Some(leader) => format!("another quota server leads: {leader}"),
            None => "this quota server does not lead, and knows no other that does; ask again".to_owned(),
        };
        let leader = not_leader.leader.map(|leader| (LEADER.to_owned(), leader));
        let details =
            ErrorDetails::with_error_info(NOT_LEADER, DOMAIN, leader.into_iter().collect::<HashMap<_, _>>());
        Self::with_error_details(Code::Unavailable, text, details)
    }
}

/// The status of a refused change of a limit.
pub(super) fn of_change(error: &ChangeError) -> Status {
    match error {
        ChangeError::Book(error) => of_book(error),
        ChangeError::NotByHand(resource) => {
            let text =
                format!("resource {resource} is as the flags of the server say; there is nothing to reset");
            of_reason(Code::NotFound, "NOT_SET_BY_HAND", &text)
        }
        ChangeError::Store(error) => {
            of_reason(Code::Unavailable, "STORE", &format!("nothing is changed: {error}"))
        }
        #[cfg(feature = "redis")]
        ChangeError::SharedStore(error) => {
            let text = format!(
                "the limit stays as it is: {error}. If the store has the change, it holds after a change of leaders: repeat it"
            );
            of_reason(Code::Unavailable, "STORE", &text)
        }
        ChangeError::NotLeader(not_leader) => not_leader.clone().into(),
    }
}

/// The status of a refused registration.
pub(super) fn of_registration(error: &BookError) -> Status {
    let status = of_book(error);
    match error {
        BookError::OtherInstance { .. } => {
            let details = status.get_error_details();
            Status::with_error_details(Code::AlreadyExists, status.message(), details)
        }
        _ => status,
    }
}

/// The status of an invalid field.
pub(super) fn invalid(reason: &str, field: &str, text: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.add_bad_request_violation(field, text);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {text}"), details)
}

/// A status with this reason.
pub(super) fn of_reason(code: Code, reason: &str, text: &str) -> Status {
    Status::with_error_details(code, text, ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new()))
}
