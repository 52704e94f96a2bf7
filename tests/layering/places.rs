//! Places that rules are about: pure rooms, and exceptions.

/// Rooms that are told the time and never wait: no runtime, no socket, no clock.
pub const PURE: &[&str] = &[
    "brigade/",
    "limit/",
    "filter/",
    "http1/",
    "events/shared_rate.rs",
    "events/encoding.rs",
    "events/event.rs",
    "events/log.rs",
    "events/queue.rs",
    "events/stream/",
    "events/subscriber.rs",
    "events/trace.rs",
    "events/delivery_trace.rs",
    "quota/book/",
    "quota/endpoint.rs",
    "quota/id.rs",
    "quota/limit.rs",
    "quota/client/backoff.rs",
    "quota/client/local_bucket.rs",
    "quota/client/share.rs",
    "tracing/record.rs",
];

/// Places a rule does not hold for, with the reason. An entry that is not needed any more fails.
pub const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "the system's clock is read in clock/wheel.rs only",
        "http/files/mod.rs",
        "a file's Last-Modified is compared with the calendar's time, which no monotonic clock tells",
    ),
    (
        "the system's clock is read in clock/wheel.rs only",
        "http/server/date.rs",
        "the Date of an answer is the calendar's time",
    ),
];
