//! A flow, and the task that waits for its turns.

use std::task::Poll;

use sluicegate::budget::Flow;

/// A flow and its task.
pub struct Task {
    pub flow: Flow,
    task: testkit::task::Task,
    pub sent: u64,
}

impl Task {
    pub fn new(flow: Flow) -> Self {
        Self { flow, task: testkit::task::Task::default(), sent: 0 }
    }

    pub fn woken(&self) -> usize {
        self.task.woken()
    }

    pub fn poll(&mut self, wanted: u64) -> Poll<u64> {
        self.task.poll(|cx| self.flow.poll_turn(cx, wanted))
    }

    /// Sends as much as is granted; returns how much.
    pub fn send(&mut self, wanted: u64) -> u64 {
        let before = self.sent;
        while let Poll::Ready(turn) = self.poll(wanted) {
            self.flow.sent(turn);
            self.sent += turn;
        }
        self.sent - before
    }
}
