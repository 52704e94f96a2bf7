//! The program under test, started as a user starts it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::program::{Running, descriptors};
use testkit::process::procfs;
use testkit::records::{message, record};
use testkit::wait::{soon, until};
use testkit::watched::metric;

/// `sluicegate` on a free port.
pub struct Sluicegate {
    pub addr: SocketAddr,
    /// `http` or `https`.
    scheme: String,
    /// What it has printed so far.
    said: Arc<Mutex<String>>,
    process: Running,
}

impl Sluicegate {
    /// Serves the files of `folder`.
    pub fn serve(folder: &Path, flags: &[&str]) -> Self {
        Self::start("serve", folder.to_str().unwrap(), &[flags, &["--access-log", "stderr"]].concat())
    }

    /// Stands before the backend at `addr`.
    pub fn proxy(addr: SocketAddr, flags: &[&str]) -> Self {
        Self::start("proxy", &format!("http://{addr}"), &[flags, &["--access-log", "stderr"]].concat())
    }

    /// Stands before the backend at `url`, and before further ones that `args` name.
    pub fn before(url: &str, args: &[&str]) -> Self {
        Self::start("proxy", url, args)
    }

    /// Relays to `to`, with these flags of `tcp`.
    pub fn relay(to: SocketAddr, flags: &[&str]) -> Self {
        let to = to.to_string();
        Self::start_with(&[&["tcp", "--to", &to, "--listen", "127.0.0.1:0"], flags].concat())
    }

    /// Does what the configuration file `file` says, and listens where it says.
    pub fn run_as_told(file: &Path) -> Self {
        Self::start_with(&["run", file.to_str().unwrap()])
    }

    /// Does what the configuration file `file` says.
    pub fn run(file: &Path) -> Self {
        Self::start("run", file.to_str().unwrap(), &[])
    }

    fn start(command: &str, subject: &str, flags: &[&str]) -> Self {
        Self::start_with(&[&[command, subject, "--listen", "127.0.0.1:0"], flags].concat())
    }

    fn start_with(args: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        process.args(args);
        let mut child = process.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let first = message(&first) + "\n";
        let said = first.trim().strip_prefix("listening on ");
        let said = said.and_then(|url| url.split_once("://").or_else(|| url.split_once(':')));
        // Words may follow the address of a relay.
        let said = said.and_then(|(scheme, addr)| Some((scheme, addr.split([' ', ',']).next()?)));
        let (scheme, addr) = said.unwrap_or_else(|| panic!("{process:?} says {first:?}"));
        let (scheme, addr) = (scheme.to_owned(), addr.parse().unwrap());
        let said = Arc::new(Mutex::new(first));
        let log = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|len| len > 0) {
                log.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Self { addr, scheme, said, process: Running(child) }
    }

    /// The address of `target` as clients are given it.
    pub fn url(&self, target: &str) -> String {
        format!("{}://{}{target}", self.scheme, self.addr)
    }

    /// The value of a metric, with its labels if it has any, from the admin listener.
    pub fn metric(&self, name: &str) -> u64 {
        let admin = soon("the admin listener's address", || {
            let said = self.said.lock().unwrap();
            said.lines().find_map(|line| message(line).strip_prefix("admin on http://")?.parse().ok())
        });
        metric(admin, name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// How many lines of what it said have `words` in them.
    pub fn said(&self, words: &str) -> usize {
        self.said.lock().unwrap().lines().filter(|line| line.contains(words)).count()
    }

    /// The number that the system has for its process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// The descriptors that its process has open.
    pub fn descriptors(&self) -> usize {
        descriptors(&self.process)
    }

    /// Bytes of its process that are its own and no file's: what it allocated and touched.
    pub fn memory(&self) -> u64 {
        procfs::anonymous(self.process.0.id())
    }

    /// Waits for a record in the log that has all of these fields.
    pub fn logged(&self, fields: &[(&str, &str)]) {
        until(&format!("a record with {fields:?}"), || {
            let said = self.said.lock().unwrap();
            said.lines().filter_map(record).any(|record| fields.iter().all(|field| record.says(*field)))
        });
    }
}

impl Drop for Sluicegate {
    /// A failing test shows what the program had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A poisoned lock holds a log all the same.
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            println!("sluicegate on {} said:\n{said}", self.addr);
        }
    }
}
