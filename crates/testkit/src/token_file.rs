//! A token in a file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sluicegate::clock::ManualClock;
use sluicegate::token::Token;

/// Writes a file that nobody but its owner reads.
pub fn write(path: &Path, token: &str) {
    fs::write(path, token).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Checks that a token that is replaced in its file is the right one a second later, and the old one no more.
///
/// `serve` starts a server with the token of the file; `status` is of a request to it with another token.
pub fn assert_replaced<S>(serve: impl FnOnce(Token) -> S, status: impl Fn(&S, &str) -> u16) {
    let (first, second) = ("first-0123456789", "second-0123456789");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    write(&path, first);
    let clock = Arc::new(ManualClock::new());
    let server = serve(Token::from_file(&path).unwrap().run_on(Arc::clone(&clock) as _));
    assert_eq!([first, second].map(|token| status(&server, token)), [200, 401]);
    write(&path, second);
    clock.advance(Duration::from_secs(1));
    assert_eq!([first, second].map(|token| status(&server, token)), [401, 200]);
}
