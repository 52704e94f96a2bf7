//! Settings of a connection's sink: its buffers, its rate, and when a reader is given up.

use std::time::Duration;

use crate::keys::{Fault, Keys};
use crate::limit::{Burst, INTERVAL, Limit, Rate, Size};

/// Upper bound of [`SinkSettings::buffer`].
const MAX_BUFFER: Size = Size::new(64 << 20);

/// Upper bound of the kernel's buffers of one connection: above what kernels allow.
const MAX_IN_KERNEL: Size = Size::new(1 << 30);

/// Bounds of each connection of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// Bytes held for a socket that refuses them. Default 64 KiB; at least 1.
    pub buffer: usize,
    /// Bytes per second of the whole connection, heads and framing included. Default: no limit.
    pub rate: Option<Rate>,
    /// Bytes that may be sent at once under `rate`. Default 64 KiB; at least 1.
    pub burst: u64,
    /// If set, `rate` delays nothing, and counts what it would have delayed. Default false.
    pub report_only: bool,
    /// What happens when the buffer stays full. Default [`OnFull::Wait`].
    pub on_full: OnFull,
    /// A reader that takes nothing for this long while bytes wait for it is given up. Default 60 s.
    pub stall_timeout: Duration,
    /// A reader that takes less than this over each `stall_timeout`, while bytes wait for it all the time, is given
    /// up. Default: none.
    pub min_drain_rate: Option<Rate>,
    /// Unsent bytes that may wait in the kernel while the reader's window is shut (`TCP_NOTSENT_LOWAT`); above this
    /// the socket refuses more, and the sink sees that the reader is behind. Bytes in flight do not count, so a
    /// distant reader is no slower for it. Default 128 KiB; at least 1.
    pub unsent: usize,
    /// Bytes of the kernel's send buffer (`SO_SNDBUF`), which includes bytes in flight: a reader gets about this much
    /// per round trip. Default: the kernel's choice, which grows to megabytes for a fast, distant reader.
    pub send_buffer: Option<usize>,
}

impl SinkSettings {
    /// Reads `[sink]`, and the limit of a `connection`.
    pub(crate) fn read(sink: &Keys<'_>, connection: &Keys<'_>) -> Self {
        let default = Self::default();
        let (rate, burst) = connection.paced("of connections there is nothing to be ahead of");
        if burst == Some(Burst::new(0)) {
            connection.fault("burst", "with none nothing could ever leave; give at least 1B");
        }
        let least = Size::new(1);
        Self {
            buffer: sink.size("buffer", least..=MAX_BUFFER).unwrap_or(default.buffer),
            rate,
            burst: burst.map_or(default.burst, Burst::bytes),
            report_only: connection.switch("report_only").unwrap_or_default(),
            on_full: sink.parse("on_full").unwrap_or_default(),
            stall_timeout: sink.timeout("stall_timeout").unwrap_or(default.stall_timeout),
            min_drain_rate: sink.rate("min_drain_rate").flatten(),
            unsent: sink.size("unsent", least..=MAX_IN_KERNEL).unwrap_or(default.unsent),
            send_buffer: sink.size("send_buffer", least..=MAX_IN_KERNEL),
        }
    }

    /// Checks [`OnFull::Close`] against the paces of what is served, each with its name, that of the connection
    /// aside: each needs one, and the buffer must hold the largest chunk.
    pub fn check(&self, paces: impl IntoIterator<Item = (String, Option<(Rate, Duration)>)>) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.on_full != OnFull::Close {
            return faults;
        }
        let connection = self.rate.map(|rate| (rate, INTERVAL));
        let (mut unpaced, mut largest) = (None, None);
        for (name, pace) in paces {
            match pace.into_iter().chain(connection).min() {
                None => unpaced = unpaced.or(Some(name)),
                Some((rate, time)) => {
                    let bytes = u128::from(rate.bytes_per_second()) * time.as_nanos() / 1_000_000_000;
                    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).max(1);
                    largest = largest.max(Some((bytes, rate, time)));
                }
            }
        }
        if let Some(name) = unpaced {
            let text = format!(
                "\"close\" is for readers that cannot hold the pace, and {name} has none; \
                 set its rate or that of connections, or leave \"wait\""
            );
            faults.push(Fault { key: "on_full", text });
        }
        if let Some((chunk, rate, time)) = largest
            && (self.buffer as u64) < chunk
        {
            let each = if time == INTERVAL { String::new() } else { format!(" each {time:?}") };
            let text = format!(
                "for \"close\" it must hold one chunk of the fastest pace: {chunk} bytes at {rate}{each}, and it holds \
                 {}; raise it, or lower the rate",
                self.buffer
            );
            faults.push(Fault { key: "buffer", text });
        }
        faults
    }

    /// A live limit with the rate and burst of these settings.
    pub fn limit(&self) -> Limit {
        let limit = Limit::new(self.rate).with_burst(self.burst);
        limit.set_report_only(self.report_only);
        limit
    }
}

/// What happens when the reader does not drain a full buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// No more is accepted until the reader drains it. Paced content waits, and nothing is lost.
    #[default]
    Wait,
    /// The connection is reset if the buffer is still full 200 ms later and there is more to give: the
    /// reader cannot hold the pace. Unwritten bytes are lost, and counted.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Interval;

    fn faults(settings: SinkSettings, rates: &[u64]) -> Vec<&'static str> {
        let paces =
            rates.iter().map(|rate| ("r".to_owned(), Rate::or_unlimited(*rate).map(|rate| (rate, INTERVAL))));
        settings.check(paces).into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn closing_needs_a_pace_everywhere() {
        let close = || SinkSettings { on_full: OnFull::Close, ..SinkSettings::default() };
        assert_eq!(faults(close(), &[0]), ["on_full"]);
        assert_eq!(faults(close(), &[1000, 0]), ["on_full"]);
        assert_eq!(faults(close(), &[1000, 2000]), [""; 0]);
        assert_eq!(faults(SinkSettings { rate: Rate::or_unlimited(1000), ..close() }, &[1000, 0]), [""; 0]);
    }

    #[test]
    fn closing_needs_a_buffer_of_one_chunk_and_not_a_byte_more() {
        let close = |buffer, rate| SinkSettings {
            on_full: OnFull::Close,
            buffer,
            rate: Rate::or_unlimited(rate),
            ..SinkSettings::default()
        };
        for (settings, rates, expected) in [
            (close(12_287, 0), &[1000, 61_440][..], &["buffer"][..]),
            (close(12_288, 0), &[1000, 61_440], &[]),
            // The slower of the two is the pace.
            (close(12_287, 61_440), &[0], &["buffer"]),
            (close(12_288, 61_440), &[1_000_000, 0], &[]),
            (close(1, 0), &[4], &[]),
            (SinkSettings { on_full: OnFull::Wait, ..close(1, 0) }, &[61_440], &[]),
        ] {
            assert_eq!(faults(settings, rates), expected, "{rates:?}");
        }
        // 61 440 in a second, 49 152 in 49 152 µs: the slower of the two has the larger chunk.
        let rate = |rate| Rate::new(rate).unwrap();
        let paces = [(rate(61_440), Interval::MAX.duration()), (rate(983_040), Interval::MIN.duration())];
        for (buffer, faults) in [(61_439, 1), (61_440, 0)] {
            let paces = paces.map(|pace| ("r".to_owned(), Some(pace)));
            assert_eq!(close(buffer, 0).check(paces).len(), faults, "{buffer}");
        }
    }
}
