//! What a simulated server is made of.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ended_exchanges::EndedExchanges;
use super::source::{ExpectedResponses, SimulatedSource};
use crate::clock::{Clock, Instant, ManualClock};
use crate::http::server::Observer;

/// A simulated server's clock, its sources, and the observer that records its exchanges.
pub struct Environment {
    pub(super) began: Instant,
    pub(super) clock: Arc<ManualClock>,
    pub(super) expected: ExpectedResponses,
    pub(super) ended_exchanges: Arc<EndedExchanges>,
}

opaque!(Environment);

text_error! {
    /// Why a simulation cannot begin then. Says what to do.
    EnvironmentError
}

impl Environment {
    /// Starts the clock at `at`.
    ///
    /// # Errors
    /// `at` is before 1970 or after 2499, outside of what the server's clock can show. Choose another time.
    pub fn at(at: SystemTime) -> Result<Self, EnvironmentError> {
        const LAST: Duration = Duration::from_secs(530 * 365 * 24 * 3_600);
        let since = at.duration_since(UNIX_EPOCH).ok().filter(|since| *since < LAST);
        let wrong = || EnvironmentError("it is not between 1970 and 2500; choose another time".to_owned());
        let since = since.ok_or_else(wrong)?;
        let clock = Arc::new(ManualClock::new());
        clock.advance(since);
        Ok(Self {
            began: clock.now(),
            clock,
            expected: ExpectedResponses::default(),
            ended_exchanges: Arc::default(),
        })
    }

    /// Returns the clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Returns the observer that records each exchange.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.ended_exchanges) as Arc<dyn Observer>
    }

    /// Returns a source of a route: of a folder, which reads no content, or of anything else.
    pub fn source(&self, is_folder: bool) -> SimulatedSource {
        SimulatedSource::new(Arc::clone(&self.clock), Arc::clone(&self.expected), is_folder)
    }
}
