//! Settings of the admin listener: its address and its token.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::AdminError;
use crate::address::ListenAddr;
use crate::keys::{Keys, PathKind};
use crate::token::{Token, TokenError};

/// The admin listener: on loopback, on a Unix socket, or with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSource {
    listen: ListenAddr,
    token_file: Option<PathBuf>,
    read_only_token_file: Option<PathBuf>,
    tls: Option<String>,
}

impl AdminSource {
    /// Reads `admin`, `admin_token_file` and `admin_read_only_token_file`. `clients` are the addresses that clients use.
    pub(crate) fn read(keys: &Keys<'_>, clients: &[ListenAddr]) -> Option<Self> {
        let listen = keys.parse("admin");
        let token_file = keys.path("admin_token_file", PathKind::File);
        let read_only = keys.path("admin_read_only_token_file", PathKind::File);
        if read_only.is_some() && !keys.has("admin_token_file") {
            let text = "without admin_token_file everybody who connects may change things; give that too";
            keys.fault("admin_read_only_token_file", text.to_owned());
        }
        if read_only.is_some() && read_only == token_file {
            let text =
                "it is admin_token_file too, so all who may look could change things; name another file";
            keys.fault("admin_read_only_token_file", text.to_owned());
        }
        if !keys.has("admin") && token_file.is_some() {
            let text =
                format!("it protects nothing; give {} too, or leave it out", keys.flag_or("admin", "admin"));
            keys.fault("admin_token_file", text);
        }
        let addr = keys.address(keys.place("admin"), "admin", listen?);
        // The file's name does not matter here.
        let unread = keys.failed(&["admin_token_file"]).then(PathBuf::new);
        let source = Self::new(addr, token_file.or(unread), clients);
        let source = source.map_err(|error| keys.fault("admin", error.to_string())).ok()?;
        Some(Self { read_only_token_file: read_only, ..source })
    }

    /// An admin listener at `listen`. Requests must carry the token in `token_file`, if there is one.
    ///
    /// # Errors
    /// Other machines can reach the address and there is no token, or the address is one of `clients`.
    pub fn new(
        listen: ListenAddr,
        token_file: Option<PathBuf>,
        clients: &[ListenAddr],
    ) -> Result<Self, AdminError> {
        if let Some(taken) = clients.iter().find(|addr| listen.clashes_with(addr)) {
            return Err(AdminError::taken(format!(
                "{taken} is where clients are listened for; choose another port"
            )));
        }
        match &listen {
            ListenAddr::Tcp(addr) if token_file.is_none() && Self::needs_token(*addr) => {
                Err(AdminError::no_token(format!(
                    "other machines can reach {addr}; listen on 127.0.0.1, or set admin_token_file \
                 (--admin-token-file)"
                )))
            }
            _ => Ok(Self { listen, token_file, read_only_token_file: None, tls: None }),
        }
    }

    /// Whether a listener at `addr` needs a token, because other machines can reach it.
    pub fn needs_token(addr: SocketAddr) -> bool {
        !addr.ip().to_canonical().is_loopback()
    }

    /// Has it use the TLS of this name, one of [`Config::tls`](crate::config::Config::tls).
    #[must_use]
    pub fn with_tls(self, tls: Option<String>) -> Self {
        Self { tls, ..self }
    }

    /// The name of its TLS; `None` without TLS.
    pub fn tls(&self) -> Option<&str> {
        self.tls.as_deref()
    }

    /// Its address.
    pub fn listen(&self) -> &ListenAddr {
        &self.listen
    }

    /// Returns the file with the token of those who may look, and change nothing.
    pub fn read_only_token_file(&self) -> Option<&PathBuf> {
        self.read_only_token_file.as_ref()
    }

    /// Returns the file with the token.
    pub fn token_file(&self) -> Option<&PathBuf> {
        self.token_file.as_ref()
    }

    /// Reads both tokens: that of those who may change things, and that of those who may look only. Blocks.
    ///
    /// # Errors
    /// A file cannot be used, or both hold the same token.
    pub(crate) fn tokens(&self) -> Result<[Option<Token>; 2], TokenError> {
        let read = |file: &Option<PathBuf>| file.as_deref().map(Token::from_file).transpose();
        distinct([read(&self.token_file)?, read(&self.read_only_token_file)?])
    }

    /// Checks that the tokens of both files differ. Files that cannot be used are passed over. Blocks.
    ///
    /// # Errors
    /// Both hold the same token: whoever may look could change things.
    pub fn check_tokens(&self) -> Result<(), TokenError> {
        let read = |file: &Option<PathBuf>| file.as_deref().and_then(|file| Token::from_file(file).ok());
        distinct([read(&self.token_file), read(&self.read_only_token_file)]).map(drop)
    }
}

/// Returns the tokens of those who may change things and of those who may look, unless they are one.
fn distinct(tokens: [Option<Token>; 2]) -> Result<[Option<Token>; 2], TokenError> {
    match &tokens {
        [Some(token), Some(read_only)] if token == read_only => Err(TokenError::same()),
        _ => Ok(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_it_is_for_this_machine_alone() {
        for (listen, good) in [
            ("127.0.0.1:9180", true),
            ("127.9.9.9:0", true),
            ("[::1]:0", true),
            ("[::ffff:127.0.0.1]:9180", true),
            ("unix:/run/a.sock", true),
            ("0.0.0.0:9180", false),
            ("192.0.2.1:9180", false),
            ("[::]:9180", false),
            ("[fe80::1]:9180", false),
            ("[::ffff:10.0.0.1]:9180", false),
        ] {
            let listen: ListenAddr = listen.parse().unwrap();
            assert_eq!(AdminSource::new(listen.clone(), None, &[]).is_ok(), good, "{listen}");
            assert!(AdminSource::new(listen, Some("token".into()), &[]).is_ok());
        }
    }

    #[test]
    fn who_may_look_has_another_token_than_who_may_change() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, token: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, token).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let source = |read_only| {
            let listen = "127.0.0.1:0".parse().unwrap();
            let source = AdminSource::new(listen, Some(file("changes", "0123456789abcdef")), &[]).unwrap();
            AdminSource { read_only_token_file: Some(read_only), ..source }
        };
        let good = source(file("looks", "fedcba9876543210"));
        assert!(good.check_tokens().is_ok() && good.tokens().is_ok());
        // White space around it makes no other token.
        let same = source(file("same", "0123456789abcdef\n"));
        for error in [same.check_tokens().unwrap_err(), same.tokens().unwrap_err()] {
            assert!(error.to_string().contains("the same token"), "{error}");
        }
        let none = source(folder.path().join("none"));
        assert!(none.check_tokens().is_ok() && none.tokens().is_err());
    }

    #[test]
    fn it_stands_beside_the_listeners_for_clients() {
        let addr: ListenAddr = "127.0.0.1:8080".parse().unwrap();
        let error = AdminSource::new(addr.clone(), None, &[addr]).unwrap_err();
        assert!(error.is_taken() && error.to_string().contains("choose another port"), "{error}");
    }
}
