//! The signals a server obeys.

use std::io;

use futures_lite::StreamExt;

/// A request from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop, after the transfers that run.
    Terminate,
    /// SIGINT, Ctrl-C: the same.
    Interrupt,
    /// SIGHUP: read the configuration again.
    Hangup,
}

/// The stream of signals the process gets from now on, in place of being killed by them.
pub struct Signals(async_signal::Signals);

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP over, for the rest of the process's life: also after this value is
    /// dropped they no longer kill.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        use async_signal::Signal::{Hup, Int, Term};
        async_signal::Signals::new([Term, Int, Hup]).map(Self)
    }

    /// The next signal. Cancel safe.
    pub async fn next(&mut self) -> Signal {
        loop {
            match self.0.next().await {
                Some(Ok(async_signal::Signal::Term)) => return Signal::Terminate,
                Some(Ok(async_signal::Signal::Int)) => return Signal::Interrupt,
                Some(Ok(async_signal::Signal::Hup)) => return Signal::Hangup,
                // Others were not asked for, and the stream does not end.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}
