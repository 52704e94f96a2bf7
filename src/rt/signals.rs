//! Signals that the server handles.

use std::io;

use futures_lite::StreamExt;

/// A handled signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: drain, then stop.
    Terminate,
    /// SIGINT, Ctrl-C: drain, then stop.
    Interrupt,
    /// SIGQUIT: drain, then stop, like nginx's graceful shutdown.
    Quit,
    /// SIGHUP: reload the configuration.
    Hangup,
    /// SIGUSR1: open the access log anew.
    User1,
    /// SIGUSR2: start a new program that takes over, like nginx.
    User2,
}

impl Signal {
    /// Whether it asks the process to end.
    pub fn ends(self) -> bool {
        matches!(self, Self::Terminate | Self::Interrupt | Self::Quit)
    }
}

/// The signals that the process receives from now on, instead of being killed by them.
pub struct Signals(async_signal::Signals);

opaque!(Signals);

impl Signals {
    /// Has SIGUSR1 do nothing until [`listen`](Self::listen), instead of killing the process: a rotation of logs sends it
    /// to all processes of a service, also to one that starts or checks the configuration. Starts no thread.
    ///
    /// # Errors
    /// The system refuses the handler.
    #[cfg(feature = "service")]
    pub fn survive_user1() -> io::Result<()> {
        // Nobody reads the flag: that there is a handler is all.
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, std::sync::Arc::default()).map(|_| ())
    }

    /// Installs handlers for all signals of [`Signal`]. They stay installed after this value is dropped.
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
                // No other signal is handled, and the stream does not end.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// The next signal that asks the process to end; `other` is called for each signal before it. Cancel safe.
    pub async fn next_end(&mut self, mut other: impl FnMut(Signal)) -> Signal {
        loop {
            match self.next().await {
                signal if signal.ends() => return signal,
                signal => other(signal),
            }
        }
    }
}
