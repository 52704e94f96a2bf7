//! One reading of one server: its fast clients alone, beside slow readers, alone again, and so on.

use std::time::{Duration, Instant};

use testkit::process::{Outcome, Process, procfs};
use testkit::report::median;
use testkit::roles;

use crate::server::{BUFFER, Memory, Server};
use crate::{LARGE, SMALL, Site};

/// How often the slow readers come and go in one reading.
const ROUNDS: usize = 5;

/// How long the fast clients are measured each time: short, so that what changes on the machine changes
/// between two readings or rounds and seldom between two windows; some ten thousand requests are enough.
const WINDOW: Duration = Duration::from_millis(500);

/// What the kernel may hold unsent for each connection: little, so that the server has to see to slow
/// readers every few seconds and not only once a minute.
const UNSENT: &str = "16k";

/// All slow readers must be connected and their buffers full within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What fast clients saw.
#[derive(Clone, Copy, Debug)]
pub struct Fast {
    /// Microseconds from a request to the last byte of its answer.
    pub p50: f64,
    pub p99: f64,
    pub per_second: f64,
}

/// One reading.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub readers: usize,
    /// The median of the windows without slow readers.
    pub without: Fast,
    /// The same of those beside them.
    pub with: Fast,
    /// The median of each round's window beside them against the windows before and after it.
    pub ratio: Fast,
    /// Before the first of them came.
    pub before: Memory,
    /// While they were there for the last time.
    pub during: Memory,
    /// After they had gone for the last time.
    pub after: Memory,
    /// How much of one processor the slow readers' own process took.
    pub cpu: f64,
    /// Bytes the server's buffers held for them at the end of the last window.
    pub buffered: f64,
}

/// Starts a server and measures its fast clients alone and beside so many `readers`, in turn.
pub fn measure(site: &Site, readers: usize) -> Outcome<Reading> {
    let server = Server::start(site, readers, &["--unsent", UNSENT])?;
    let orders = [server.port.to_string(), format!("/{}", LARGE.0), readers.to_string()];
    let mut without = vec![fast(&server)?];
    let mut with = Vec::new();
    let (mut cpu, mut seconds) = (0.0, 0.0);
    server.wait_for("connections", 0)?;
    let before = server.memory()?;
    let (mut during, mut buffered) = (before, 0);
    for _ in 0..ROUNDS {
        let slow = Process::role(roles::SLOW, &orders)?;
        slow.line_with("reading", PATIENCE)?;
        server.wait_for("egress_buffered_bytes", readers as u64 * BUFFER)?;
        let (cpu_before, began) = (procfs::cpu_seconds(slow.id())?, Instant::now());
        with.push(fast(&server)?);
        cpu += procfs::cpu_seconds(slow.id())? - cpu_before;
        seconds += began.elapsed().as_secs_f64();
        // The last fast client leaves about now. A slow reader that is missing was given up.
        server.wait_for("connections", readers as u64)?;
        (during, buffered) = (server.memory()?, server.metric("egress_buffered_bytes")?);
        drop(slow);
        server.wait_for("connections", 0)?;
        without.push(fast(&server)?);
    }
    server.wait_for("connections", 0)?;
    let after = server.memory()?;
    let ratios: Vec<Fast> =
        with.iter().zip(without.windows(2)).map(|(with, around)| against(with, around)).collect();
    Ok(Reading {
        readers,
        without: middle(&without),
        with: middle(&with),
        ratio: middle(&ratios),
        before,
        during,
        after,
        cpu: cpu / seconds,
        buffered: buffered as f64,
    })
}

/// `with` against the mean of what was before and after.
fn against(with: &Fast, around: &[Fast]) -> Fast {
    let ratio = |figure: fn(&Fast) -> f64| {
        figure(with) / (around.iter().map(figure).sum::<f64>() / around.len() as f64)
    };
    Fast {
        p50: ratio(|fast| fast.p50),
        p99: ratio(|fast| fast.p99),
        per_second: ratio(|fast| fast.per_second),
    }
}

/// The median of each figure.
fn middle(of: &[Fast]) -> Fast {
    let middle =
        |figure: fn(&Fast) -> f64| median(&of.iter().map(figure).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    Fast {
        p50: middle(|fast| fast.p50),
        p99: middle(|fast| fast.p99),
        per_second: middle(|fast| fast.per_second),
    }
}

/// Lets fast clients come, ask for a while and leave.
fn fast(server: &Server) -> Outcome<Fast> {
    let orders = [
        server.port.to_string(),
        format!("/{}", SMALL.0),
        SMALL.1.to_string(),
        WINDOW.as_millis().to_string(),
    ];
    let client = Process::role(roles::FAST, &orders)?;
    let end = client.line_with("end ", WINDOW + PATIENCE)?;
    let figures: Vec<f64> = end.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [p50, p99, per_second] = figures[..] else { return Err("the fast clients' last line".into()) };
    Ok(Fast { p50, p99, per_second })
}
