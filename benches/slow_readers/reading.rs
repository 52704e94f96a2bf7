//! One reading of one server: its fast clients alone, beside slow readers, and alone again.

use std::time::{Duration, Instant};

use crate::process::{Process, procfs};
use crate::server::{BUFFER, Memory, Server};
use crate::{LARGE, Outcome, SMALL, Site, roles};

/// What the kernel may hold unsent for each connection: little, so that the server has to see to slow
/// readers every few seconds and not only once a minute.
const UNSENT: &str = "16k";

/// All slow readers must be connected and their buffers full within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What fast clients saw in one window.
#[derive(Clone, Copy, Debug)]
pub struct Fast {
    /// Microseconds from a request to the last byte of its answer.
    pub p50: f64,
    pub p99: f64,
    pub per_second: f64,
}

/// One reading: fast clients alone, beside a crowd of slow readers, and alone again.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub readers: usize,
    /// Beside the slow readers.
    pub with: Fast,
    /// On average before they came and after they had gone.
    pub without: Fast,
    pub before: Memory,
    pub during: Memory,
    pub after: Memory,
    /// How much of one processor the slow readers' own process took.
    pub cpu: f64,
    /// Bytes the server's buffers held for them at the end.
    pub buffered: f64,
}

/// Starts a server and measures its fast clients three times for `window`, the second time beside so many
/// `readers`.
pub fn measure(site: &Site, readers: usize, window: Duration) -> Outcome<Reading> {
    let server = Server::start(site, readers, &["--unsent", UNSENT])?;
    let first = fast(&server, window)?;
    server.wait_for("connections", 0)?;
    let before = server.memory()?;
    let orders = [server.port.to_string(), format!("/{}", LARGE.0), readers.to_string()];
    let slow = Process::role(roles::SLOW, &orders)?;
    slow.line_with("reading", PATIENCE)?;
    server.wait_for("egress_buffered_bytes", readers as u64 * BUFFER)?;
    let (cpu_before, began) = (procfs::cpu_seconds(slow.id())?, Instant::now());
    let with = fast(&server, window)?;
    let cpu = (procfs::cpu_seconds(slow.id())? - cpu_before) / began.elapsed().as_secs_f64();
    // The last fast client leaves about now.
    server.wait_for("connections", readers as u64)?;
    let (during, buffered) = (server.memory()?, server.metric("egress_buffered_bytes")? as f64);
    drop(slow);
    server.wait_for("connections", 0)?;
    let after = server.memory()?;
    let last = fast(&server, window)?;
    let without = Fast {
        p50: f64::midpoint(first.p50, last.p50),
        p99: f64::midpoint(first.p99, last.p99),
        per_second: f64::midpoint(first.per_second, last.per_second),
    };
    Ok(Reading { readers, with, without, before, during, after, cpu, buffered })
}

/// Lets fast clients come, ask for `window` and leave.
fn fast(server: &Server, window: Duration) -> Outcome<Fast> {
    let client = Process::role(
        roles::FAST,
        &[server.port.to_string(), format!("/{}", SMALL.0), window.as_millis().to_string()],
    )?;
    let end = client.line_with("end ", window + PATIENCE)?;
    let figures: Vec<f64> = end.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [p50, p99, per_second] = figures[..] else { return Err("the fast clients' last line".into()) };
    Ok(Fast { p50, p99, per_second })
}
