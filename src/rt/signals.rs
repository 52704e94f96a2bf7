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
    /// SIGQUIT: the same, as nginx's "graceful shutdown".
    Quit,
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGUSR1: what other servers open their log files anew for. There are none here.
    User1,
    /// SIGUSR2: what other servers start their successor for. The service manager does that here.
    User2,
}

impl Signal {
    /// Whether it tells the process to end.
    pub fn ends(self) -> bool {
        matches!(self, Self::Terminate | Self::Interrupt | Self::Quit)
    }
}

/// The stream of signals the process gets from now on, in place of being killed by them.
pub struct Signals(async_signal::Signals);

impl Signals {
    /// Takes all signals of [`Signal`] over, for the rest of the process's life: also after this value is
    /// dropped they no longer kill.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        use async_signal::Signal::{Hup, Int, Quit, Term, Usr1, Usr2};
        async_signal::Signals::new([Term, Int, Quit, Hup, Usr1, Usr2]).map(Self)
    }

    /// The next signal. Cancel safe.
    pub async fn next(&mut self) -> Signal {
        use async_signal::Signal::{Hup, Int, Quit, Term, Usr1, Usr2};
        loop {
            match self.0.next().await {
                Some(Ok(Term)) => return Signal::Terminate,
                Some(Ok(Int)) => return Signal::Interrupt,
                Some(Ok(Quit)) => return Signal::Quit,
                Some(Ok(Hup)) => return Signal::Hangup,
                Some(Ok(Usr1)) => return Signal::User1,
                Some(Ok(Usr2)) => return Signal::User2,
                // Others were not asked for, and the stream does not end.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// The next signal that tells the process to end; `other` is called for each that comes before. Cancel
    /// safe.
    pub async fn next_end(&mut self, mut other: impl FnMut(Signal)) -> Signal {
        loop {
            match self.next().await {
                signal if signal.ends() => return signal,
                signal => other(signal),
            }
        }
    }
}
