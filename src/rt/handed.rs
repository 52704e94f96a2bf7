//! Sockets that a service manager or the program before this one hands on (sd_listen_fds(3)).

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listeners::{Handed, HandedSocket};
use super::{Listeners, successor};

/// The number of the first descriptor (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;

/// More are a mistake: systemd hands on what the units of a service list.
const MAX_SOCKETS: usize = 1024;

text_error! {
    /// Why a socket that was handed on cannot be used. The text names it, and says what to do.
    HandedError
}

impl Listeners {
    /// Takes over the sockets that `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` announce; none without these.
    ///
    /// To be called once, before the process starts threads. Without `LISTEN_PID` the sockets are taken to be for this
    /// process, as systemfd has it.
    ///
    /// # Errors
    /// One is not a listening stream socket of TCP or Unix, or there are more than 1 024.
    pub fn from_env() -> Result<Self, HandedError> {
        let count: usize = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if count > MAX_SOCKETS {
            return Err(HandedError(format!(
                "LISTEN_FDS announces {count} sockets, and at most {MAX_SOCKETS} are taken"
            )));
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(|name| if name.is_empty() { "unknown" } else { name });
        let mut handed = ListenFd::from_env();
        let is_upgrade = successor::is_started_by_predecessor();
        let mut listeners = Self::default();
        for at in 0..handed.len() {
            let name = names.next().unwrap_or("unknown");
            let socket = take(&mut handed, at).map_err(|what| {
                HandedError(format!(
                    "descriptor {} ({name}), handed on by LISTEN_FDS, is {what}, not a listening stream socket of TCP \
                     or Unix; correct ListenStream= (and Accept=no) in its .socket unit",
                    FIRST + at
                ))
            })?;
            let is_own = is_upgrade && name == successor::OWN_NAME;
            listeners.handed.push(Handed { socket, kept_as: (!is_own).then(|| name.to_owned()) });
        }
        Ok(listeners)
    }
}

/// Takes the socket number `at`, or says what it is instead.
fn take(handed: &mut ListenFd, at: usize) -> Result<HandedSocket, String> {
    if let Ok(Some(socket)) = handed.take_tcp_listener(at) {
        let local = socket.local_addr().map_err(|error| error.to_string())?;
        return listening(socket, |socket: TcpListener| HandedSocket::Tcp(socket, local));
    }
    if let Ok(Some(socket)) = handed.take_unix_listener(at) {
        let local = socket.local_addr().map_err(|error| error.to_string())?;
        let path = local.as_pathname().map(std::path::Path::to_owned);
        return listening(socket, |socket: UnixListener| HandedSocket::Unix(socket, path));
    }
    if let Ok(Some(_)) = handed.take_udp_socket(at) {
        return Err("a UDP socket".to_owned());
    }
    if let Ok(Some(_)) = handed.take_unix_datagram(at) {
        return Err("a Unix datagram socket".to_owned());
    }
    let is = std::fs::read_link(format!("/proc/self/fd/{}", FIRST + at));
    Err(is.map_or_else(|_| "not open".to_owned(), |is| is.display().to_string()))
}

fn listening<S: AsFd>(socket: S, handed: impl FnOnce(S) -> HandedSocket) -> Result<HandedSocket, String> {
    let is_listener: io::Result<bool> = SockRef::from(&socket).is_listener();
    match is_listener {
        Ok(true) => Ok(handed(socket)),
        Ok(false) => Err("a socket that does not listen".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
