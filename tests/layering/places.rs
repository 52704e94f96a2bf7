//! Places that rules are about.

/// What each module of the core may import of it.
pub const CORE: &[(&str, &[&[&str]])] = &[
    ("brigade/", &[&["brigade"]]),
    ("clock/", &[&["clock"]]),
    ("limit/", &[&["limit"], &["clock", "Instant"], &["excerpt"]]),
    ("filter/", &[&["filter"], &["brigade"], &["limit"], &["clock", "Instant"], &["excerpt"]]),
    ("generator/", &[&["generator"], &["brigade"], &["clock"]]),
    ("budget/", &[&["budget"], &["clock"], &["limit"]]),
    ("throttle/", &[&["throttle"], &["budget"], &["clock"], &["limit"]]),
    (
        "body/",
        &[
            &["body"],
            &["brigade"],
            &["budget"],
            &["clock"],
            &["filter"],
            &["generator"],
            &["limit", "INTERVAL"],
            &["limit", "LimitWatch"],
        ],
    ),
];

/// Modules that are passed the time and never wait: no runtime, no socket, no clock.
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
    "quota/by_hand.rs",
    "quota/lead.rs",
    "quota/endpoint.rs",
    "quota/id.rs",
    "quota/limit.rs",
    "quota/client/backoff.rs",
    "quota/client/local_bucket.rs",
    "quota/client/servers.rs",
    "quota/client/share.rs",
    "tracing/record.rs",
];
