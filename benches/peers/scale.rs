//! How much of everything there is to do: for figures, or to see that it runs.

use std::time::Duration;

/// The pace of a single response, in KiB/s: the example in mod_ratelimit's guide.
pub const PACE_RATE: u64 = 60;

/// The pace of each of many streams, in KiB/s.
pub const LOAD_RATE: u64 = 64;

/// How much.
pub struct Scale {
    /// Seconds a paced response is read for.
    pub seconds: u64,
    /// Seconds of a slow backend.
    pub seconds_of_backend: u64,
    /// Seconds of small bodies in a row.
    pub seconds_in_a_row: u64,
    /// Paced streams at a time.
    pub streams: usize,
    /// From the last stream's first byte to the measured time.
    pub warm_up: Duration,
    /// The measured time.
    pub window: Duration,
    /// Downloads of the large file after the one that warms up.
    pub downloads: u32,
    /// How long small files are asked for.
    pub requests: Duration,
    pub slow_readers: usize,
    /// How long fast clients are measured each time, without slow readers and beside them.
    pub fast: Duration,
    /// What the buffers on slow readers' way take fills within this, so that the server waits for them.
    pub fills: Duration,
}

/// For figures.
pub const WHOLE: Scale = Scale {
    seconds: 30,
    seconds_of_backend: 10,
    seconds_in_a_row: 10,
    streams: 1_000,
    warm_up: Duration::from_secs(2),
    window: Duration::from_secs(8),
    downloads: 4,
    requests: Duration::from_secs(2),
    slow_readers: 500,
    fast: Duration::from_millis(500),
    fills: Duration::from_secs(1),
};

/// To see that it runs.
pub const QUICK: Scale = Scale {
    seconds: 3,
    seconds_of_backend: 2,
    seconds_in_a_row: 1,
    streams: 100,
    warm_up: Duration::from_millis(200),
    // lighttpd sends each 2 s.
    window: Duration::from_secs(2),
    downloads: 1,
    requests: Duration::from_millis(300),
    slow_readers: 50,
    fast: Duration::from_millis(200),
    fills: Duration::from_millis(300),
};
