//! What is served, where, and by which build of Sluicegate. The folder is removed in the end.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use testkit::process::Outcome;

/// A file of the site: its name as a path, and its length.
pub struct Content {
    pub path: &'static str,
    pub length: u64,
}

/// What nobody reads to its end but the unpaced download.
pub const LARGE: Content = Content { path: "/large.bin", length: 1 << 30 };
/// What fast clients ask for beside slow readers.
pub const PIECE: Content = Content { path: "/piece.bin", length: 64 * 1024 };
/// What is asked for again and again against a limit: less than the 12 288 bytes of a chunk.
pub const BODY: Content = Content { path: "/body.bin", length: 10 * 1024 };
/// The small file of the rate of requests.
pub const SMALL: Content = Content { path: "/small.bin", length: 1024 };

pub struct Site {
    dir: TempDir,
    files: PathBuf,
    pub sluicegate: PathBuf,
    /// Servers so far.
    started: AtomicUsize,
}

impl Site {
    pub fn new(sluicegate: PathBuf) -> Outcome<Self> {
        let dir = tempfile::tempdir_in(ground())?;
        let files = dir.path().join("files");
        fs::create_dir(&files)?;
        // Apache's workers may be another user's.
        for folder in [dir.path(), &files] {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        for content in [LARGE, PIECE, BODY, SMALL] {
            let file = files.join(&content.path[1..]);
            // A hole: it is read as zeroes, from the page cache after this first time.
            File::create(&file)?.set_len(content.length)?;
            std::io::copy(&mut File::open(&file)?, &mut std::io::sink())?;
        }
        certify(dir.path())?;
        Ok(Self { dir, files, sluicegate, started: AtomicUsize::new(0) })
    }

    /// What servers serve.
    pub fn folder(&self) -> &Path {
        &self.files
    }

    /// All of it.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A self-signed certificate of ECDSA P-256.
    pub fn certificate(&self) -> PathBuf {
        self.root().join(CERTIFICATE)
    }

    pub fn key(&self) -> PathBuf {
        self.root().join(KEY)
    }

    pub fn large(&self) -> PathBuf {
        self.folder().join(&LARGE.path[1..])
    }

    /// A folder for the configuration and the log of a server, one of its own each time.
    pub fn state(&self) -> Outcome<PathBuf> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let state = self.dir.path().join(number.to_string());
        fs::create_dir(&state)?;
        Ok(state)
    }
}

const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

fn certify(folder: &Path) -> Outcome<()> {
    let key = rcgen::KeyPair::generate()?;
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
    fs::write(folder.join(CERTIFICATE), params.self_signed(&key)?.pem())?;
    fs::write(folder.join(KEY), key.serialize_pem())?;
    // Servers refuse a key that everyone can read.
    fs::set_permissions(folder.join(KEY), Permissions::from_mode(0o600))?;
    Ok(())
}

/// Beside the build, on its disk; in the system's folder for temporary files if others than this user may not go there.
fn ground() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let open = |folder: &Path| fs::metadata(folder).is_ok_and(|of| of.permissions().mode() & 0o001 != 0);
    match !rustix::process::geteuid().is_root() || beside.ancestors().all(open) {
        true => beside,
        false => std::env::temp_dir(),
    }
}
