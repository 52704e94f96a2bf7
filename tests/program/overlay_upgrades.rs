//! Limits that are saved while a new program takes over (SIGUSR2): each holds in the new one, or is refused in words.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;
use testkit::program::{Program, log_until, site};
use testkit::wait::until;

use crate::typed::{prints, sluicegate};
use crate::upgrades::{New, free, replaced, run};

/// A server on fixed addresses, so that another may take them over.
struct Gate {
    _folder: tempfile::TempDir,
    file: PathBuf,
    admin: SocketAddr,
    program: Program,
}

impl Gate {
    fn start() -> Self {
        let folder = site(100);
        let file = folder.path().join("gate.toml");
        let [listen, admin] = free();
        let configuration = format!(
            "listen = '{listen}'\nadmin = '{admin}'\n[limits]\nclient = {{ rate = '2m' }}\n[[route]]\npath = '/'\nfiles = '.'\n"
        );
        fs::write(&file, configuration).unwrap();
        let program = run(&file);
        Self { _folder: folder, file, admin, program }
    }

    fn saved(&self) -> String {
        fs::read_to_string(self.file.with_file_name("gate.overlay.toml")).unwrap_or_default()
    }
}

/// Saves the rate of a client. Returns whether it was saved; if not, that was said, and why.
fn save(admin: SocketAddr, client: &str, rate: &str) -> bool {
    let admin = admin.to_string();
    let set = ["limits", "set", "client", client, "--rate", rate, "--save", "--admin", &admin];
    let output = sluicegate(&set);
    let error = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(0) {
        return true;
    }
    // The command asks again for some seconds; on a busy machine a start may take longer.
    let is_told =
        error.contains("is taking over from this one") || error.contains("has taken over the listeners");
    assert!(is_told && error.contains("Nothing was changed"), "{error}");
    false
}

/// The rates of single clients, with their sources.
fn rates(admin: SocketAddr) -> BTreeMap<String, (u64, String)> {
    let list = prints(&["limits", "list", "--json", "--admin", &admin.to_string()]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let own = list["limits"].as_array().unwrap().iter().filter_map(|limit| {
        let client = limit["href"].as_str()?.strip_prefix("/v1/limits/clients/")?.to_owned();
        Some((client, (limit["rate"].as_u64()?, limit["source"]["rate"]["from"].as_str()?.to_owned())))
    });
    own.collect()
}

#[test]
fn what_is_saved_while_new_programs_take_over_holds_in_the_last() {
    let mut gate = Gate::start();
    let admin = gate.admin;
    let (saved, count, is_over) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0), AtomicBool::new(false));
    let mut news: Vec<New> = Vec::new();
    std::thread::scope(|scope| {
        let (saved, count, is_over) = (&saved, &count, &is_over);
        for turn in 0..2 {
            scope.spawn(move || {
                for nth in 1.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let client = format!("192.0.{turn}.{}", nth % 50);
                    if save(admin, &client, &format!("{nth}k")) {
                        saved.lock().unwrap().insert(client, nth * 1024);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _ending = Ending(is_over);
        let two_more = |what: &str| {
            let before = count.load(Ordering::Relaxed);
            until(what, || count.load(Ordering::Relaxed) >= before + 2);
        };
        for _ in 0..3 {
            two_more("two limits are saved");
            match news.last() {
                None => gate.program.signal(Signal::USR2),
                Some(last) => last.signal(Signal::USR2),
            }
            news.push(replaced(&mut gate.program).0);
        }
        two_more("two limits are saved in the last");
    });
    let (expected, rates, text) = (saved.into_inner().unwrap(), rates(admin), gate.saved());
    assert_eq!(rates.len(), expected.len());
    for (client, rate) in expected {
        assert_eq!(rates[&client], (rate, "overlay".to_owned()), "{client}");
        let entry = format!("[clients.\"{client}\"]\nrate = \"{}k\"\n", rate / 1024);
        assert!(text.contains(&entry), "{entry} in {text}");
    }
}

/// Sets it when the scene is over, also if it failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn limits_are_saved_again_when_no_new_program_came() {
    let mut gate = Gate::start();
    let good = fs::read_to_string(&gate.file).unwrap();
    fs::write(&gate.file, "wrong = 1\n").unwrap();
    gate.program.signal(Signal::USR2);
    log_until(&mut gate.program, "no new program: this one continues as before");
    fs::write(&gate.file, good).unwrap();
    until("a limit is saved", || save(gate.admin, "192.0.2.1", "5k"));
    assert_eq!(rates(gate.admin)["192.0.2.1"], (5 << 10, "overlay".to_owned()));
    assert!(gate.saved().contains("192.0.2.1"), "{}", gate.saved());
}
