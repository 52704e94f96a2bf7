//! What slow readers cost others: fast clients alone, beside slow readers, alone again.

use std::time::Duration;

use testkit::process::{Outcome, Process};
use testkit::roles;

use crate::scale::Scale;
use crate::servers::{Running, Server};
use crate::setup::Setup;
use crate::site::{LARGE, PIECE, Site};
use crate::table::{Row, Table};
use crate::unpaced;

/// A server that has not begun to answer all slow readers after so long leaves some without an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// All servers in turn.
pub fn measure(site: &Site, servers: &[Server], scale: &Scale, table: &mut Table) {
    for &server in servers {
        let setup = Setup { connections: scale.slow_readers + 16, ..unpaced::setup(site) };
        let ratio = Running::start(server, &setup).and_then(|running| ratio(&running, scale));
        table.take(Row::Beside, server, ratio);
    }
}

/// The time an answer takes at the median, beside slow readers, against the mean of before and after.
fn ratio(running: &Running, scale: &Scale) -> Outcome<f64> {
    let before = p50(running.port, scale.fast)?;
    let orders = [running.port.to_string(), LARGE.path.to_owned(), scale.slow_readers.to_string()];
    let slow = Process::role(roles::SLOW, &orders)?;
    slow.line_with("reading", PATIENCE)?;
    std::thread::sleep(scale.fills);
    let beside = p50(running.port, scale.fast)?;
    drop(slow);
    let after = p50(running.port, scale.fast)?;
    Ok(beside / f64::midpoint(before, after))
}

/// Microseconds.
fn p50(port: u16, window: Duration) -> Outcome<f64> {
    let orders =
        [port.to_string(), PIECE.path.to_owned(), PIECE.length.to_string(), window.as_millis().to_string()];
    let client = Process::role(roles::FAST, &orders)?;
    let end = client.line_with("end ", window + PATIENCE)?;
    Ok(end.split(' ').next().unwrap_or_default().parse()?)
}
