//! Programs: found, started, waited for, and ended with their test.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use testkit::process::listener;

/// How long anything may take that must come. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Held by tests that look at the clock (many at a time) and by those that take the whole machine
/// (one at a time), so that neither spoils the other on two cores.
static MACHINE: RwLock<()> = RwLock::new(());

/// How often a test that looks at the clock may fail before it has failed.
const TRIES: usize = 4;

/// Runs a test that looks at the clock.
///
/// Client, server and nginx are three programs on two cores, and others may be at work beside the tests:
/// now and then one of them is kept waiting for longer than any sharp tolerance. A pace that is wrong is
/// wrong each time; so the tolerances stay sharp, and the test may be tried again.
pub fn timed(test: impl Fn()) {
    let _machine = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    for _ in 1..TRIES {
        if catch_unwind(AssertUnwindSafe(&test)).is_ok() {
            return;
        }
        println!("tried again");
    }
    test();
}

/// For a test that takes all the machine has.
pub fn loud() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// The program of this name. Debian keeps servers outside users' search paths.
pub fn program(name: &str) -> PathBuf {
    listener::program(name)
        .unwrap_or_else(|| panic!("{name} is not installed; .ci/run names its Debian package"))
}

/// The Python that has grpcio and uvicorn: that of the folder `.ci/run` made, unless PEERS_PYTHON names another one.
pub fn python() -> PathBuf {
    let named = std::env::var_os("PEERS_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/python"));
    assert!(path.is_file(), "{} is not there; .ci/run makes it, with grpcio and uvicorn", path.display());
    path
}

/// A child process, killed when dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The descriptors that a process has open.
pub fn descriptors(process: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.0.id())).unwrap().count()
}

/// Runs a program to its end, and gives what it said. After [`PATIENCE`] it is killed with its
/// children, and the test fails.
pub fn ended(command: &mut Command) -> Output {
    ended_within(PATIENCE, command)
}

/// The same with another patience.
pub fn ended_within(patience: Duration, command: &mut Command) -> Output {
    use std::os::unix::process::CommandExt;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let (stdout, stderr) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            let group = Pid::from_child(&child);
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
            panic!("{command:?} does not end: {:?}", String::from_utf8_lossy(&stderr.join().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// The same for a program that must end well; gives its standard output.
pub fn succeeded(command: &mut Command) -> Vec<u8> {
    let output = ended(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks ends what can be told.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// A file of the project.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// The site that comes with the project.
pub fn site() -> PathBuf {
    fixture("site")
}

/// A file of `len` bytes in `folder`: no two chunks alike, and text that shrinks when coded.
pub fn make_file(folder: &Path, name: &str, len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0u64..)
        .flat_map(|n| format!("{:016x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes())
        .take(len)
        .collect();
    std::fs::write(folder.join(name), &bytes).unwrap();
    bytes
}
