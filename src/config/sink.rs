//! What a connection's sink may hold, how fast it may write, and when it gives a reader up.

use std::time::Duration;

use toml::Spanned;

use super::error::Problem;
use super::filters::FilterKind;
use super::raw::{RawLimit, RawSink};
use super::resolve::Resolver;
use super::route::Route;
use super::tcp::Tcp;
use crate::limit::{Burst, Rate, RateOrOff, Size};
use crate::sink::{MAX_BUFFER, MAX_IN_KERNEL, OnFull, SinkSettings};
use crate::words::shorten;

/// The settings of a sink as they were given, before they are checked against one another and the routes.
/// What is `None` was not given.
#[derive(Clone, Debug, Default)]
pub struct SinkDraft {
    /// See [`SinkSettings::rate`].
    pub rate: Option<Rate>,
    /// See [`SinkSettings::burst`].
    pub burst: Option<Burst>,
    /// See [`SinkSettings::report_only`].
    pub report_only: bool,
    /// See [`SinkSettings::buffer`].
    pub buffer: Option<usize>,
    /// See [`SinkSettings::on_full`].
    pub on_full: Option<OnFull>,
    /// See [`SinkSettings::stall_timeout`].
    pub stall_timeout: Option<Duration>,
    /// See [`SinkSettings::min_drain_rate`].
    pub min_drain_rate: Option<Rate>,
    /// See [`SinkSettings::unsent`].
    pub unsent: Option<usize>,
    /// See [`SinkSettings::send_buffer`].
    pub send_buffer: Option<usize>,
}

/// Why the settings of a sink do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFault {
    /// The setting that is at fault: `burst`, `buffer` or `on_full`.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
}

impl SinkDraft {
    /// The settings for a server of `routes` and `tcp`.
    ///
    /// # Errors
    /// A burst that means nothing; [`OnFull::Close`] where there is no pace to hold, or with a buffer that
    /// does not hold one chunk of it.
    pub fn finish(self, routes: &[Route], tcp: &[Tcp]) -> Result<SinkSettings, Vec<SinkFault>> {
        let mut faults = Vec::new();
        let mut fault = |key, text: String| faults.push(SinkFault { key, text });
        match self.burst.map(Burst::bytes) {
            Some(_) if self.rate.is_none() => {
                fault(
                    "burst",
                    "without a rate of connections there is nothing to be ahead of; set it too".to_owned(),
                );
            }
            Some(0) => {
                fault("burst", "with none nothing could ever leave; give at least 1B".to_owned());
            }
            _ => {}
        }
        let default = SinkSettings::default();
        let settings = SinkSettings {
            buffer: self.buffer.unwrap_or(default.buffer),
            rate: self.rate,
            burst: self.burst.map_or(default.burst, Burst::bytes),
            report_only: self.report_only,
            on_full: self.on_full.unwrap_or(default.on_full),
            stall_timeout: self.stall_timeout.unwrap_or(default.stall_timeout),
            min_drain_rate: self.min_drain_rate,
            unsent: self.unsent.unwrap_or(default.unsent),
            send_buffer: self.send_buffer,
        };
        if settings.on_full == OnFull::Close {
            let routes = routes.iter().map(|route| {
                (format!("route {:?}", shorten(route.path.as_str())), pace(route, settings.rate))
            });
            let ports = tcp.iter().map(|port| {
                let pace = port.pace.rate.into_iter().chain(settings.rate).min();
                (format!("[[tcp]] {}", port.listen), pace)
            });
            let paces = routes.chain(ports);
            let (paced, unpaced): (Vec<_>, Vec<_>) = paces.partition(|(_, pace)| pace.is_some());
            if let Some((name, _)) = unpaced.first() {
                let text = format!(
                    "\"close\" is for readers that cannot hold the pace, and {name} has none; \
                     set its rate or that of connections, or leave \"wait\""
                );
                fault("on_full", text);
            }
            let fastest = paced.into_iter().filter_map(|(_, pace)| pace).max();
            if let Some((rate, chunk)) = fastest.map(|rate| (rate, rate.bytes_per_interval()))
                && (settings.buffer as u64) < chunk
            {
                let text = format!(
                    "for \"close\" it must hold one chunk of the fastest pace: {chunk} bytes at {rate}, \
                     and it holds {}; raise it, or lower the rate",
                    settings.buffer
                );
                fault("buffer", text);
            }
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }
}

impl Resolver<'_> {
    /// The sink of connections, checked against what is served.
    pub(super) fn sink(
        &mut self,
        limit: RawLimit,
        raw: RawSink,
        routes: &[Route],
        tcp: &[Tcp],
    ) -> SinkSettings {
        let burst = limit.burst.as_ref().map(Spanned::span);
        let buffer = raw.buffer.as_ref().map(Spanned::span);
        let on_full = raw.on_full.as_ref().map(Spanned::span);
        let default = SinkSettings::default().stall_timeout;
        let draft = SinkDraft {
            rate: limit.rate.and_then(|RateOrOff(rate)| rate),
            burst: limit.burst.map(Spanned::into_inner),
            report_only: limit.report_only,
            buffer: self.size("buffer in [sink]", &raw.buffer, MAX_BUFFER),
            on_full: raw.on_full.map(|word| word.into_inner().0),
            stall_timeout: Some(self.timeout("stall_timeout in [sink]", raw.stall_timeout, default)),
            min_drain_rate: raw.min_drain_rate.and_then(|RateOrOff(rate)| rate),
            unsent: self.size("unsent in [sink]", &raw.unsent, MAX_IN_KERNEL),
            send_buffer: self.size("send_buffer in [sink]", &raw.send_buffer, MAX_IN_KERNEL),
        };
        draft.finish(routes, tcp).unwrap_or_else(|faults| {
            for fault in faults {
                let (table, at) = match fault.key {
                    "burst" => ("[limits.connection]", &burst),
                    "buffer" => ("[sink]", if buffer.is_some() { &buffer } else { &on_full }),
                    _ => ("[sink]", &on_full),
                };
                let text = format!("{} in {table}: {}", fault.key, fault.text);
                self.faults.push(Problem::new(at.clone(), text));
            }
            SinkSettings::default()
        })
    }
}

/// The fastest that responses of `route` can leave, if there is a limit. What a backend sets is not known
/// here.
fn pace(route: &Route, connection: Option<Rate>) -> Option<Rate> {
    let filters = route.filters.iter().filter_map(|filter| match &filter.kind {
        FilterKind::Rate(own) => own.rate,
        _ => None,
    });
    filters.chain(route.pace.rate).chain(connection).min()
}

/// Checks a size that must be from 1 byte to `most`.
///
/// # Errors
/// It is not; the text says what it may be.
pub fn size_up_to(size: Size, most: Size) -> Result<usize, String> {
    let bytes = usize::try_from(size.bytes()).ok().filter(|_| (1..=most.bytes()).contains(&size.bytes()));
    bytes.ok_or_else(|| format!("{size} is not a size from 1B to {most}"))
}

#[cfg(test)]
mod tests {
    use super::super::{FilesSource, RouteDraft, Source};
    use super::*;

    fn routes(rates: &[u64]) -> Vec<Route> {
        let draft = RouteDraft::new(Source::Files(FilesSource::new(".")));
        let finish = |rate: &u64| {
            RouteDraft { rate: Rate::or_unlimited(*rate), ..draft.clone() }.finish(&Default::default())
        };
        rates.iter().map(|rate| finish(rate).unwrap()).collect()
    }

    fn faults(draft: SinkDraft, rates: &[u64]) -> Vec<&'static str> {
        match draft.finish(&routes(rates), &[]) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| fault.key).collect(),
        }
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(SinkDraft::default().finish(&routes(&[0]), &[]), Ok(SinkSettings::default()));
    }

    #[test]
    fn closing_needs_a_pace_on_every_route() {
        let close = || SinkDraft { on_full: Some(OnFull::Close), ..SinkDraft::default() };
        assert_eq!(faults(close(), &[0]), ["on_full"]);
        assert_eq!(faults(close(), &[1000, 0]), ["on_full"]);
        assert_eq!(faults(close(), &[1000, 2000]), [""; 0]);
        assert_eq!(faults(SinkDraft { rate: Rate::or_unlimited(1000), ..close() }, &[1000, 0]), [""; 0]);
    }

    #[test]
    fn closing_needs_a_buffer_of_one_chunk_and_not_a_byte_more() {
        let close = |buffer, rate| SinkDraft {
            on_full: Some(OnFull::Close),
            buffer: Some(buffer),
            rate: Rate::or_unlimited(rate),
            ..SinkDraft::default()
        };
        for (draft, rates, expected) in [
            (close(12_287, 0), &[1000, 61_440][..], &["buffer"][..]),
            (close(12_288, 0), &[1000, 61_440], &[]),
            // The slower of the two is the pace.
            (close(12_287, 61_440), &[0], &["buffer"]),
            (close(12_288, 61_440), &[1_000_000, 0], &[]),
            (close(1, 0), &[4], &[]),
            (SinkDraft { on_full: None, ..close(1, 0) }, &[61_440], &[]),
        ] {
            assert_eq!(faults(draft, rates), expected, "{rates:?}");
        }
    }

    #[test]
    fn a_burst_goes_with_a_rate_and_is_something() {
        let draft = |rate, burst| SinkDraft {
            rate: Rate::or_unlimited(rate),
            burst: Some(Burst::new(burst)),
            ..SinkDraft::default()
        };
        assert_eq!(faults(draft(0, 5), &[0]), ["burst"]);
        assert_eq!(faults(draft(5, 0), &[0]), ["burst"]);
        assert_eq!(draft(5, 1).finish(&[], &[]).unwrap().burst, 1);
    }

    #[test]
    fn sizes_have_bounds() {
        let size = |bytes| size_up_to(Size::new(bytes), MAX_BUFFER);
        assert_eq!((size(1), size(64 << 20)), (Ok(1), Ok(64 << 20)));
        assert_eq!(size(0), Err("0B is not a size from 1B to 64m".to_owned()));
        assert!(size((64 << 20) + 1).is_err());
    }
}
