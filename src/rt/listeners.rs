//! The listeners of a process: those that were handed to it at its start, and those that it bound.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::Listener;
use super::folder;
use super::listener::Bound;
use super::unix_path::UnixPath;

/// Gives out listeners by address: sockets that a service manager or the program before this one handed on, and new
/// ones for all other addresses.
///
/// ```
/// use sluicegate::rt::Listeners;
///
/// // Handed on: none. `Listeners::from_env` takes those of systemd.
/// let mut listeners = Listeners::default();
/// let listener = listeners.tcp("127.0.0.1:0".parse()?)?;
/// assert_eq!(listeners.close_unused(), [""; 0]);
/// # drop(listener);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) handed: Vec<Handed>,
    bound: Vec<Weak<Bound>>,
    /// Paths of sockets that were closed unused, and that no service manager keeps.
    unused: Vec<UnixPath>,
}

/// The paths of Unix sockets that the program before this one handed on. They are that one's, which may serve on if this
/// one fails, until [`take_over`](Self::take_over).
#[derive(Debug)]
pub struct Inheritance {
    bound: Vec<Weak<Bound>>,
    unused: Vec<UnixPath>,
}

impl Inheritance {
    /// Takes them over: those that are listened on are removed with their listeners, others now. To be called when the
    /// program before this one has passed everything on.
    pub fn take_over(self) {
        self.bound.iter().filter_map(Weak::upgrade).for_each(|bound| bound.take_over());
        self.unused.iter().for_each(UnixPath::take_over);
    }
}

/// A listening socket that was handed on and that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) socket: HandedSocket,
    /// The name under which a service manager keeps it; `None` if it is from the program before this one.
    pub(super) kept_as: Option<String>,
}

#[derive(Debug)]
pub(super) enum HandedSocket {
    Tcp(TcpListener, SocketAddr),
    /// `None`: it has no path.
    Unix(UnixListener, Option<PathBuf>),
}

impl Listeners {
    /// Listens on a TCP address: on the socket handed on for it, else on a new one, as [`Listener::bind_tcp`] does.
    ///
    /// # Errors
    /// Those of `bind_tcp`.
    pub fn tcp(&mut self, addr: SocketAddr) -> io::Result<Listener> {
        let is_asked =
            |handed: &Handed| matches!(&handed.socket, HandedSocket::Tcp(_, own) if is_same(*own, addr));
        let listener = match self.take(is_asked) {
            Some(Handed { socket: HandedSocket::Tcp(socket, _), kept_as }) => {
                Listener::from_tcp(socket, kept_as)?
            }
            _ => Listener::bind_tcp(addr)?,
        };
        Ok(self.note(listener))
    }

    /// Listens at a path: on the socket handed on for it, whose mode stays, else on a new one, as
    /// [`Listener::bind_unix_as`] does.
    ///
    /// # Errors
    /// Those of `bind_unix_as`.
    pub fn unix(&mut self, path: &Path, mode: Option<u32>) -> io::Result<Listener> {
        let is_asked = |handed: &Handed| matches!(&handed.socket, HandedSocket::Unix(_, Some(own)) if is_same_path(own, path));
        let listener = match self.take(is_asked) {
            Some(Handed { socket: HandedSocket::Unix(socket, _), kept_as }) => {
                Listener::from_unix(socket, path, kept_as)?
            }
            _ => Listener::bind_unix_as(path, mode)?,
        };
        Ok(self.note(listener))
    }

    /// Closes the sockets handed on that nobody has asked for, and returns their addresses and names. Call it when all
    /// that is configured listens.
    pub fn close_unused(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for handed in self.handed.drain(..) {
            names.push(handed.to_string());
            if let Handed { socket: HandedSocket::Unix(_, Some(path)), kept_as: None } = &handed {
                self.unused.push(UnixPath::existing(path));
            }
        }
        names
    }

    /// The paths that the program before this one handed on; to be called after [`close_unused`](Self::close_unused).
    pub fn inheritance(&mut self) -> Inheritance {
        Inheritance { bound: self.bound.clone(), unused: std::mem::take(&mut self.unused) }
    }

    /// The listeners given out that are still open.
    pub(super) fn open(&self) -> Vec<Arc<Bound>> {
        self.bound.iter().filter_map(Weak::upgrade).collect()
    }

    /// Notes that another process listens on all of them from now on: this one leaves their queues and paths alone.
    pub fn pass_on(&self) {
        self.open().iter().for_each(|bound| bound.pass_on());
    }

    fn take(&mut self, is_asked: impl Fn(&Handed) -> bool) -> Option<Handed> {
        self.handed.iter().position(is_asked).map(|at| self.handed.remove(at))
    }

    fn note(&mut self, listener: Listener) -> Listener {
        self.bound.push(Arc::downgrade(listener.bound()));
        listener
    }
}

impl std::fmt::Display for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.socket {
            HandedSocket::Tcp(_, addr) => write!(f, "{addr}"),
            HandedSocket::Unix(_, Some(path)) => write!(f, "unix:{}", path.display()),
            HandedSocket::Unix(_, None) => write!(f, "a Unix socket without a path"),
        }?;
        self.kept_as.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// Whether they are the same address and port, whatever their scopes.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

/// Whether they name the same file: as they are written, or with links in their folders followed.
fn is_same_path(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| Some((folder::of(path).canonicalize().ok()?, path.file_name()?.to_owned()));
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(socket: HandedSocket, kept_as: Option<&str>) -> Handed {
        Handed { socket, kept_as: kept_as.map(str::to_owned) }
    }

    #[test]
    fn a_socket_handed_on_serves_its_address_and_others_are_bound() {
        let folder = tempfile::tempdir().unwrap();
        let [path, stale] = ["s", "stale"].map(|name| folder.path().join(name));
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let unused = other.local_addr().unwrap();
        let [unix, left] = [&path, &stale].map(|path| UnixListener::bind(path).unwrap());
        let mut listeners = Listeners {
            handed: vec![
                handed(HandedSocket::Tcp(other, unused), Some("old.socket")),
                handed(HandedSocket::Tcp(tcp, addr), Some("web.socket")),
                handed(HandedSocket::Unix(unix, Some(path.clone())), None),
                handed(HandedSocket::Unix(left, Some(stale.clone())), None),
            ],
            ..Listeners::default()
        };
        let web = listeners.tcp(addr).unwrap();
        assert_eq!(web.local_addr(), Some(addr), "it would be in use");
        assert!(web.is_shared());
        let near = folder.path().join(".").join("s");
        let app = listeners.unix(&near, None).unwrap();
        assert!(!app.is_shared());
        let own = listeners.tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let names: Vec<_> = listeners.open().iter().map(|bound| bound.kept_as().map(str::to_owned)).collect();
        assert_eq!(names, [Some("web.socket".to_owned()), None, None]);
        assert_eq!(
            listeners.close_unused(),
            [format!("{unused} (old.socket)"), format!("unix:{}", stale.display())]
        );
        assert_eq!(
            std::net::TcpStream::connect(unused).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        drop((own, web));
        assert_eq!(listeners.open().len(), 1);
        let inheritance = listeners.inheritance();
        assert!(stale.exists(), "the program before may serve on");
        inheritance.take_over();
        assert!(!stale.exists() && path.exists());
        drop(app);
        assert!(!path.exists(), "what the program before bound is this one's to remove");
    }

    #[test]
    fn the_path_of_a_program_that_serves_on_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let theirs = UnixListener::bind(&path).unwrap();
        let socket = || HandedSocket::Unix(theirs.try_clone().unwrap(), Some(path.clone()));
        for (kept_as, is_taken, is_used, stays) in [
            (None, false, true, true),
            (None, false, false, true),
            (Some("web.socket"), true, true, true),
            (Some("web.socket"), true, false, true),
            (None, true, true, false),
        ] {
            let handed = vec![handed(socket(), kept_as)];
            let mut listeners = Listeners { handed, ..Listeners::default() };
            let used = is_used.then(|| listeners.unix(&path, None).unwrap());
            listeners.close_unused();
            let inheritance = listeners.inheritance();
            if is_taken {
                inheritance.take_over();
            }
            drop((used, listeners));
            assert_eq!(path.exists(), stays, "{kept_as:?} {is_taken} {is_used}");
        }
    }

    #[test]
    fn what_is_passed_on_before_it_was_taken_over_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = HandedSocket::Unix(UnixListener::bind(&path).unwrap(), Some(path.clone()));
        let mut listeners = Listeners { handed: vec![handed(socket, None)], ..Listeners::default() };
        let listener = listeners.unix(&path, None).unwrap();
        let inheritance = listeners.inheritance();
        listeners.pass_on();
        inheritance.take_over();
        drop(listener);
        assert!(path.exists());
    }

    #[test]
    fn what_is_passed_on_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut listeners = Listeners::default();
        let listener = listeners.unix(&path, None).unwrap();
        assert!(!listener.is_shared());
        listeners.pass_on();
        assert!(listener.is_shared());
        drop(listener);
        assert!(path.exists());
    }
}
