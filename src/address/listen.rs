//! Where the server listens: a TCP address or a Unix socket.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::SHOWN;
use crate::excerpt::excerpt;

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/sluicegate.sock`.
///
/// ```
/// use sluicegate::address::ListenAddr;
///
/// for text in ["127.0.0.1:8080", "[::1]:0", "unix:/run/sluicegate.sock", "unix:/run/a?mode=660"] {
///     assert_eq!(text.parse::<ListenAddr>()?.to_string(), text);
/// }
/// # Ok::<(), sluicegate::address::ListenError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// A TCP address. Port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// The path of the socket's file; at most 107 bytes.
        path: PathBuf,
        /// Permission bits of that file, which decide who may connect. Default: those that the process's umask leaves.
        mode: Option<u32>,
    },
}

impl ListenAddr {
    /// Joins a relative Unix path to `base`; other addresses stay as they are.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self {
            Self::Unix { path, mode } => Self::Unix { path: base.join(path), mode },
            tcp => tcp,
        }
    }

    /// Whether binding both must fail. Port 0 never clashes: the system chooses another port each time.
    pub fn clashes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one == other && one.port() != 0,
            (Self::Unix { path, .. }, Self::Unix { path: other, .. }) => path == other,
            _ => false,
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "{addr}"),
            Self::Unix { path, mode: None } => write!(f, "unix:{}", path.display()),
            Self::Unix { path, mode: Some(mode) } => write!(f, "unix:{}?mode={mode:o}", path.display()),
        }
    }
}

text_error! {
    /// Why a text is not an address to listen on. Says what was wrong and what to write.
    ListenError
}

/// The size of `sun_path` in the kernel's `sockaddr_un`, without the closing NUL (unix(7)).
pub(crate) const MAX_UNIX_PATH_LEN: usize = 107;

impl FromStr for ListenAddr {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        parse(text).map_err(|why| {
            ListenError(format!("{:?} is not an address to listen on: {why}", excerpt(text, SHOWN)))
        })
    }
}

fn parse(text: &str) -> Result<ListenAddr, Cow<'static, str>> {
    if let Some(path) = text.strip_prefix("unix:") {
        let (path, mode) = match path.split_once('?') {
            Some((path, option)) => (path, Some(parse_mode(option)?)),
            None => (path, None),
        };
        return match path.len() {
            0 => Err("the path is missing; write unix:/run/sluicegate.sock".into()),
            _ if path.contains('\0') => Err("the path has a NUL in it".into()),
            len if len > MAX_UNIX_PATH_LEN => {
                let most = MAX_UNIX_PATH_LEN;
                Err(format!("the path of a Unix socket must not be longer than {most} bytes").into())
            }
            _ => Ok(ListenAddr::Unix { path: PathBuf::from(path), mode }),
        };
    }
    text.parse().map(ListenAddr::Tcp).map_err(|_| {
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()) {
            return format!(
                "the address is missing; write 127.0.0.1:{port}, or for all interfaces 0.0.0.0:{port} (IPv4) \
                 and [::]:{port} (IPv6)"
            )
            .into();
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return format!("the port is missing; write {}", SocketAddr::new(ip, 8080)).into();
        }
        match text.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && is_name(name) => {
                "names are not looked up; write an IP address, such as 127.0.0.1:8080".into()
            }
            Some((host, port)) if is_host(host) && port.parse::<u16>().is_err() => format!(
                "the port {:?} is not a number from 0 to 65535; write {host}:8080",
                excerpt(port, SHOWN)
            )
            .into(),
            _ => "write 127.0.0.1:8080, [::1]:8080 or unix:/run/sluicegate.sock".into(),
        }
    })
}

/// The permission bits in `mode=660`: octal, as chmod(1) takes them.
fn parse_mode(option: &str) -> Result<u32, &'static str> {
    let digits = option
        .strip_prefix("mode=")
        .filter(|text| (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()));
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mode| *mode <= 0o777);
    mode.ok_or("the only option after ? is mode; write unix:/run/sluicegate.sock?mode=660")
}

/// Whether this is an IP address as it stands before a port.
fn is_host(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bracketed.map_or(text.parse::<Ipv4Addr>().is_ok(), |text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_addresses_say_what_to_write() {
        for (text, expected) in [
            ("", "write 127.0.0.1:8080, [::1]:8080 or unix:"),
            ("8080", "write 127.0.0.1:8080, [::1]:8080 or unix:"),
            ("127.0.0.1:99999", "the port \"99999\" is not a number from 0 to 65535; write 127.0.0.1:8080"),
            ("[::1]:65536", "the port \"65536\" is not a number from 0 to 65535; write [::1]:8080"),
            ("127.0.0.1:8080 ", "the port \"8080 \" is not a number"),
            ("127.0.0.1:", "the port \"\" is not a number"),
            ("::1:65536", "write 127.0.0.1:8080, [::1]:8080 or unix:"),
            (":8080", "write 127.0.0.1:8080, or for all interfaces 0.0.0.0:8080 (IPv4) and [::]:8080 (IPv6)"),
            ("10.0.0.1", "the port is missing; write 10.0.0.1:8080"),
            ("::1", "the port is missing; write [::1]:8080"),
            ("[::1]", "the port is missing; write [::1]:8080"),
            ("localhost:8080", "names are not looked up"),
            ("unix:", "the path is missing"),
            ("unix:a\0b", "the path has a NUL"),
            ("unix:a?mode=66", "the only option after ? is mode; write unix:/run/sluicegate.sock?mode=660"),
            ("unix:a?mode=1660", "the only option after ? is mode"),
            ("unix:a?mode=+60", "the only option after ? is mode"),
            ("unix:a?mode=668", "the only option after ? is mode"),
            ("unix:a?mod=660", "the only option after ? is mode"),
            ("unix:?mode=660", "the path is missing"),
        ] {
            let error = text.parse::<ListenAddr>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(format!("unix:{}", "p".repeat(107)).parse::<ListenAddr>().is_ok());
        assert!(format!("unix:{}", "p".repeat(108)).parse::<ListenAddr>().is_err());
    }

    #[test]
    fn only_port_0_may_be_asked_for_twice() {
        let parse = |text: &str| text.parse::<ListenAddr>().unwrap();
        assert!(parse("127.0.0.1:80").clashes_with(&parse("127.0.0.1:80")));
        assert!(!parse("127.0.0.1:80").clashes_with(&parse("[::1]:80")));
        assert!(!parse("127.0.0.1:0").clashes_with(&parse("127.0.0.1:0")));
        assert!(parse("unix:a").clashes_with(&parse("unix:a")));
        assert!(parse("unix:a").clashes_with(&parse("unix:a?mode=600")), "whatever their modes");
        assert!(!parse("unix:a").clashes_with(&parse("unix:b")));
    }
}
