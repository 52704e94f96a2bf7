//! The one table: a row for each figure, a column for each server, and what could not be measured.

use std::fmt::Display;

use testkit::process::Outcome;
use testkit::report::{self, median};

use crate::scale::{LOAD_RATE, PACE_RATE, Scale};
use crate::servers::{COLUMNS, SERVERS, Server};

/// A figure of every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    ErrorFile,
    ErrorProxied,
    SlowestFile,
    FastestFile,
    SlowestProxied,
    FastestProxied,
    GapFile,
    GapProxied,
    ProxiedToDirect,
    DelayFirst,
    DelayLast,
    Sequential,
    CpuFile,
    CpuFileToFloor,
    CpuSecond,
    CpuSecondToNginx,
    CpuSecondToLighttpd,
    CpuProxied,
    CpuProxiedToFloor,
    MemoryFile,
    MemoryProxied,
    AchievedFile,
    AchievedProxied,
    Handshakes,
    HandshakesToCpu,
    Resumed,
    ResumedToCpu,
    SecureCpu,
    SecureMemory,
    SecureAchieved,
    Throughput,
    ThroughputCpu,
    Requests,
    RequestsToCpu,
    ProxiedRequests,
    ProxiedRequestsToCpu,
    Beside,
    Start,
}

use Row::*;

/// What stands above a part of the table.
type Heading = fn(&Scale) -> String;

/// The table's order.
const PARTS: [(Heading, &[Row]); 6] = [
    (
        |scale| format!("**A response of {} KiB/s, {} s**", PACE_RATE, scale.seconds),
        &[
            ErrorFile,
            ErrorProxied,
            SlowestFile,
            FastestFile,
            SlowestProxied,
            FastestProxied,
            GapFile,
            GapProxied,
            ProxiedToDirect,
            Sequential,
        ],
    ),
    (|_| "**Backend at half the limit, added**".to_owned(), &[DelayFirst, DelayLast]),
    (
        |scale| format!("**{} × {} KiB/s**", thousands(scale.streams), LOAD_RATE),
        &[
            CpuFile,
            CpuFileToFloor,
            CpuSecond,
            CpuSecondToNginx,
            CpuSecondToLighttpd,
            CpuProxied,
            CpuProxiedToFloor,
            MemoryFile,
            MemoryProxied,
            AchievedFile,
            AchievedProxied,
        ],
    ),
    (
        |scale| format!("**TLS 1.3; {} × {} KiB/s**", thousands(scale.streams), LOAD_RATE),
        &[Handshakes, HandshakesToCpu, Resumed, ResumedToCpu, SecureCpu, SecureMemory, SecureAchieved],
    ),
    (
        |_| "**Without a pace**".to_owned(),
        &[Throughput, ThroughputCpu, Requests, RequestsToCpu, ProxiedRequests, ProxiedRequestsToCpu],
    ),
    (|_| "**Others and oneself**".to_owned(), &[Beside, Start]),
];

/// What the README has of it: evenness, what escapes the limit, processor time and memory.
const SUMMARY: [Row; 4] = [GapFile, Sequential, CpuFile, MemoryProxied];

/// What has been measured so far.
pub struct Table {
    readings: Vec<(Row, Server, Vec<f64>)>,
    failures: Vec<(Row, Server, String)>,
    missing: Vec<Server>,
}

impl Row {
    fn label(self, scale: &Scale) -> String {
        match self {
            ErrorFile => "rate error, file, %".into(),
            ErrorProxied => "rate error, proxied, %".into(),
            SlowestFile => "slowest 1 s ÷ rate, file".into(),
            FastestFile => "fastest 1 s ÷ rate, file".into(),
            SlowestProxied => "slowest 1 s ÷ rate, proxied".into(),
            FastestProxied => "fastest 1 s ÷ rate, proxied".into(),
            GapFile => "longest gap, file, ms".into(),
            GapProxied => "longest gap, proxied, ms".into(),
            ProxiedToDirect => "bytes, proxied ÷ file".into(),
            DelayFirst => "to a brigade's first byte, ms".into(),
            DelayLast => "to a brigade's last byte, ms".into(),
            Sequential => "10 KiB bodies in a row ÷ limit".into(),
            CpuFile => "CPU s/GB, file".into(),
            CpuFileToFloor => "÷ floor, file".into(),
            CpuSecond => "CPU s/GB, file, interval 1 s".into(),
            CpuSecondToNginx => "÷ nginx, file, interval 1 s".into(),
            CpuSecondToLighttpd => "÷ lighttpd, file, interval 1 s".into(),
            CpuProxied => "CPU s/GB, proxied".into(),
            CpuProxiedToFloor => "÷ floor, proxied".into(),
            MemoryFile => "KiB a stream, file".into(),
            MemoryProxied => "KiB a stream, proxied".into(),
            AchievedFile => "achieved ÷ set, file".into(),
            AchievedProxied => "achieved ÷ set, proxied".into(),
            Handshakes => "full handshakes/s".into(),
            HandshakesToCpu => "full handshakes per CPU second".into(),
            Resumed => "resumed handshakes/s".into(),
            ResumedToCpu => "resumed handshakes per CPU second".into(),
            SecureCpu => "CPU s/GB, file over TLS".into(),
            SecureMemory => "KiB a stream, file over TLS".into(),
            SecureAchieved => "achieved ÷ set, file over TLS".into(),
            Throughput => "1 GiB file, GB/s".into(),
            ThroughputCpu => "1 GiB file, CPU s/GB".into(),
            Requests => "1 KiB file, 1 000 requests/s".into(),
            RequestsToCpu => "1 000 requests per CPU second".into(),
            ProxiedRequests => "1 KiB proxied, 1 000 requests/s".into(),
            ProxiedRequestsToCpu => "1 000 proxied per CPU second".into(),
            Beside => format!("p50 beside {} slow ÷ without", scale.slow_readers),
            Start => "exec to first byte, ms".into(),
        }
    }

    /// A figure of this row.
    fn figure(self, value: f64) -> String {
        // No minus before what is zero when rounded.
        let fixed = |decimals: i32| {
            let unit = 10f64.powi(decimals);
            let value = (value * unit).round() / unit + 0.0;
            format!("{value:.*}", decimals as usize)
        };
        match self {
            ErrorFile | ErrorProxied => format!("{}{}", if value >= 0.005 { "+" } else { "" }, fixed(2)),
            GapFile | GapProxied | DelayFirst | DelayLast => fixed(if value < 10.0 { 1 } else { 0 }),
            AchievedFile | AchievedProxied | SecureAchieved | ProxiedToDirect => fixed(3),
            _ if value < 9.995 => fixed(2),
            _ if value < 99.95 => fixed(1),
            _ => fixed(0),
        }
    }
}

impl Table {
    /// Nothing yet; so many servers are not on this machine.
    pub fn new(missing: Vec<Server>) -> Self {
        Self { readings: Vec::new(), failures: Vec::new(), missing }
    }

    pub fn add(&mut self, row: Row, server: Server, reading: f64) {
        match self.readings.iter_mut().find(|of| (of.0, of.1) == (row, server)) {
            Some((_, _, readings)) => readings.push(reading),
            None => self.readings.push((row, server, vec![reading])),
        }
    }

    /// Says why a figure is not there; further figures of the same measurement have a dash.
    pub fn fail(&mut self, row: Row, server: Server, why: impl Display) {
        eprintln!("  {}, {row:?}: {why}", server.name());
        self.failures.push((row, server, why.to_string()));
    }

    pub fn take(&mut self, row: Row, server: Server, reading: Outcome<f64>) {
        match reading {
            Ok(reading) => self.add(row, server, reading),
            Err(error) => self.fail(row, server, error),
        }
    }

    /// Whether something of a server could not be measured.
    pub fn has_failed(&self, server: Server) -> bool {
        self.failures.iter().any(|of| of.1 == server)
    }

    /// The table as aligned text, which is Markdown too.
    pub fn text(&self, scale: &Scale) -> String {
        let mut headings = vec![""];
        headings.extend(COLUMNS.map(Server::name));
        let mut table = report::Table::new(&headings.join(" | "));
        for (heading, rows) in PARTS {
            // A part nobody asked for is left out.
            let measured = |row: &&Row| {
                self.readings.iter().any(|of| of.0 == **row) || self.failures.iter().any(|of| of.0 == **row)
            };
            let rows: Vec<&Row> = rows.iter().filter(measured).collect();
            if !rows.is_empty() {
                table.row([heading(scale)]);
            }
            for row in rows {
                let cells = COLUMNS.map(|server| self.cell(*row, server));
                table.row([row.label(scale)].into_iter().chain(cells));
            }
        }
        table.text()
    }

    /// Four rows of the table, for the servers that differ in more than how they copy.
    pub fn summary(&self, scale: &Scale) -> String {
        let mut headings = vec![""];
        headings.extend(SERVERS.map(Server::name));
        let mut table = report::Table::new(&headings.join(" | "));
        for row in SUMMARY {
            let cells = SERVERS.map(|server| self.cell(row, server));
            table.row([row.label(scale)].into_iter().chain(cells));
        }
        table.text()
    }

    /// The median of the readings, and by how much half of them differ: ± half the span, in per cent.
    fn cell(&self, row: Row, server: Server) -> String {
        let readings = self.readings.iter().find(|of| (of.0, of.1) == (row, server)).map(|of| &of.2[..]);
        let Some((readings, median)) = readings.and_then(|all| Some((all, median(all)?))) else {
            let failed = self.failures.iter().any(|of| (of.0, of.1) == (row, server));
            let missing = self.missing.contains(&server);
            return if missing {
                "missing"
            } else if failed {
                "failed"
            } else {
                "–"
            }
            .to_owned();
        };
        let figure = row.figure(median);
        if readings.len() == 1 {
            return figure;
        }
        let lowest = readings.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = readings.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{figure} ±{:.0}%", (highest - lowest) / 2.0 / median.abs() * 100.0)
    }

    /// What could not be measured, a line each.
    pub fn notes(&self, scale: &Scale) -> Vec<String> {
        let note = |(row, server, why): &(Row, Server, String)| {
            format!("{}, {}: {why}", server.name(), row.label(scale))
        };
        let mut notes: Vec<String> = self.failures.iter().map(note).collect();
        notes.dedup();
        notes
    }
}

/// "1 000" for 1000.
pub fn thousands(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{thousands} {:03}", number % 1000),
    }
}

/// "5 readings".
pub fn readings(number: usize) -> String {
    if number == 1 { "1 reading".to_owned() } else { format!("{number} readings") }
}
