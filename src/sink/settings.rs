//! Settings of a connection's sink: what it may hold, how fast it may write, when it gives a reader up.

use std::time::Duration;

use crate::limit::{Limit, Rate, Size};
use crate::words::spelt;

/// The largest buffer that can be set: 64 MiB. More for one reader is memory for nobody.
pub const MAX_BUFFER: Size = Size::new(64 << 20);

/// The most that can be set for what the kernel holds of one connection: 1 GiB, above what kernels give.
pub const MAX_IN_KERNEL: Size = Size::new(1 << 30);

/// How the connections of a server are bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// The most bytes held for a socket that refuses them. Default 64 KiB; at least 1.
    pub buffer: usize,
    /// Bytes per second for the whole connection, heads and framing included. Default none.
    pub rate: Option<Rate>,
    /// Bytes that may leave at once under `rate`. Default 64 KiB; at least 1.
    pub burst: u64,
    /// `rate` delays nothing; what it would have delayed is counted. Default no.
    pub report_only: bool,
    /// What happens when the buffer is full and stays so. Default [`OnFull::Wait`].
    pub on_full: OnFull,
    /// A reader that takes nothing for so long, while there is something for it, is given up. Default 60 s.
    pub stall_timeout: Duration,
    /// A reader that takes less than this over `stall_timeout`, while there is always something for it,
    /// is given up. Default none.
    pub min_drain_rate: Option<Rate>,
    /// Bytes that may wait in the kernel, unsent, because the reader's window is shut
    /// (`TCP_NOTSENT_LOWAT`). Above it the socket refuses more, and the sink sees that the reader is
    /// behind. Bytes on their way do not count: a distant reader is as fast as without. Default 128 KiB; at
    /// least 1.
    pub unsent: usize,
    /// Bytes of the kernel's send buffer (`SO_SNDBUF`): all that it holds of the connection, on the way
    /// or not. A reader gets about so much in each round trip, and no more. Default: the kernel's own
    /// choice, which grows to megabytes for a distant, fast reader.
    pub send_buffer: Option<usize>,
}

impl SinkSettings {
    /// The limit of a connection, as a handle to change it by.
    pub fn limit(&self) -> Limit {
        let limit = Limit::new(self.rate).with_burst(self.burst);
        limit.set_report_only(self.report_only);
        limit
    }
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

spelt!(OnFull, "a rule for a full buffer", [("wait", OnFull::Wait), ("close", OnFull::Close)]);

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            buffer: 64 * 1024,
            rate: None,
            burst: 64 * 1024,
            report_only: false,
            on_full: OnFull::Wait,
            stall_timeout: Duration::from_secs(60),
            min_drain_rate: None,
            unsent: 128 * 1024,
            send_buffer: None,
        }
    }
}
