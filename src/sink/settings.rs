//! What a sink may hold, how fast it may write, and when it gives a reader up.

use std::time::Duration;

use crate::limit::Rate;

/// How the connections of a server are bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// The most bytes held for a socket that refuses them. Default 64 KiB; at least 1.
    pub buffer: usize,
    /// Bytes per second for the whole connection, heads and framing included. Default none.
    pub rate: Option<Rate>,
    /// Bytes that may leave at once under `rate`. Default 64 KiB.
    pub burst: u64,
    /// What happens when the buffer is full and stays so. Default [`OnFull::Wait`].
    pub on_full: OnFull,
    /// A reader that takes nothing for so long, while there is something for it, is given up. Default 60 s.
    pub stall_timeout: Duration,
    /// A reader that takes less than this over `stall_timeout`, while there is always something for it,
    /// is given up. Default none.
    pub min_drain_rate: Option<Rate>,
    /// Bytes of the kernel's send buffer (`SO_SNDBUF`), which stands between the sink and the reader.
    /// Default: the kernel's own choice, which grows to megabytes.
    pub send_buffer: Option<usize>,
}

/// What happens when the buffer is full and the reader does not drain it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Nothing more is taken until the reader drains. What is paced then waits, and nothing is lost.
    #[default]
    Wait,
    /// If it is still full one interval (200 ms) later, and there is more to give, the reader cannot hold
    /// the pace: the connection is reset. What was not written is lost, and counted.
    Close,
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            buffer: 64 * 1024,
            rate: None,
            burst: 64 * 1024,
            on_full: OnFull::Wait,
            stall_timeout: Duration::from_secs(60),
            min_drain_rate: None,
            send_buffer: None,
        }
    }
}
