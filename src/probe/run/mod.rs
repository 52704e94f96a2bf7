//! A run: connections to one or two URLs, with all requests sent at the same instant.
//!
//! Each connection is a task. First all connect; when each is connected or has failed, the requests are sent. A run
//! ends when every response has ended, when its time is over, or when it is stopped.

mod connection;
mod plan;
mod run_state;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;

use self::connection::Connection;
use self::run_state::RunState;
use super::report::{Outcome, TargetTraces};
use crate::clock::{Clock, Sleep};
use crate::rt;

pub use self::plan::Plan;

/// How often progress is reported.
pub const TELL_EVERY: Duration = Duration::from_millis(200);

/// Arrivals held by all connections together: 16 MiB.
const MAX_ARRIVALS: usize = 1 << 20;

/// Progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Time since the requests were sent.
    pub elapsed: Duration,
    /// Bytes of content on all connections.
    pub bytes: u64,
}

/// Runs `plan` and returns what arrived. `tell` is passed the progress every [`TELL_EVERY`]; `stop` ends the run
/// early.
///
/// Dropping the future loses what arrived; its tasks end soon after.
pub async fn run(plan: &Plan, mut tell: impl FnMut(Progress), stop: impl Future<Output = ()>) -> Outcome {
    let plan = Arc::new(plan.clone());
    let clock = rt::clock();
    let all = plan.targets.len() * plan.connections;
    let most = (MAX_ARRIVALS / all.max(1)).clamp(256, 1 << 16);
    let run_state = Arc::new(RunState::new(all));
    let _ending = run_state.ends_when_dropped();
    let connections: Vec<Vec<Arc<Connection>>> = (0..plan.targets.len())
        .map(|target| {
            let connections =
                (0..plan.connections).map(|_| Connection::start(&plan, target, most, &run_state));
            connections.collect()
        })
        .collect();

    let stopped = async {
        stop.await;
        true
    };
    let running = async {
        run_state.all_ready().await;
        let begin = run_state.begin(clock.now());
        let deadline = begin + plan.lasting;
        let tell_until_deadline = async {
            let clock: Arc<dyn Clock> = clock.clone();
            let mut next = begin;
            loop {
                tell(Progress { elapsed: clock.now() - begin, bytes: run_state.bytes() });
                if clock.now() >= deadline {
                    break;
                }
                next = (next + TELL_EVERY).max(clock.now()).min(deadline);
                Sleep::until(Arc::clone(&clock), next).await;
            }
        };
        tell_until_deadline.or(run_state.all_done()).await;
        false
    };
    // The stop is polled first: a stream without end must not starve it.
    let interrupted = stopped.or(running).await;
    let lasted = run_state.end(clock.now()).min(plan.lasting);
    let probed = plan.targets.iter().zip(connections).map(|(target, connections)| TargetTraces {
        target: target.clone(),
        connections: connections.iter().map(|connection| connection.seen(lasted)).collect(),
    });
    Outcome { probed: probed.collect(), lasted, interrupted }
}
