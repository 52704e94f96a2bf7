//! SIGHUP: the file is read again, or the log says why not.

use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use testkit::program::{Program, get, log_until, site, text};
use testkit::served::connect;
use testkit::wait::{soon, until};

fn write(file: &Path, text: &str) {
    // Renamed into place, as editors do: a hang-up never sees half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn route(path: &str, rate: &str) -> String {
    format!("[[route]]\npath = '{path}'\nfiles = '.'\nrate = '{rate}'\n")
}

#[test]
fn a_hang_up_sets_limits_of_live_transfers_and_says_so() {
    let site = site(2 << 20);
    let file = site.path().join("site.toml");
    write(&file, &format!("listen = '127.0.0.1:1'\n{}", route("/", "1k")));
    let mut program = Program::start(&["run", text(&file), "--log-level", "info"]);
    let mut stream = program.begin("/a.bin");
    stream.read_exact(&mut [0]).unwrap();
    // Another address and level in the file mean nothing: flags go before it.
    let routes = route("/", "off") + &route("/new/", "1m");
    write(&file, &format!("listen = '127.0.0.1:2'\nlog_level = 'error'\n{routes}"));
    program.signal(Signal::HUP);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() >= 2 << 20, "at 1 KiB/s it would have taken half an hour");
    let log = log_until(&mut program, "route /new/ added");
    assert!(log.contains("reloaded") && log.contains("limit of each response of /: 1k → off"), "{log}");
    assert!(!log.contains("restart"), "{log}");
    assert_eq!(get(program.connect(), "/new/a.bin", "").1.len(), 2 << 20);
    program.end();
}

#[test]
fn a_wrong_file_is_reported_with_its_line_and_changes_nothing() {
    let site = site(100);
    let file = site.path().join("site.toml");
    write(&file, &route("/", "1m"));
    let mut program = Program::start(&["run", text(&file)]);
    write(&file, &format!("{}\nrats = 5\n", route("/", "2m")));
    program.signal(Signal::HUP);
    let log = log_until(&mut program, "rats");
    assert!(log.contains("not reloaded") && log.contains("site.toml:6:1: "), "{log}");
    std::fs::remove_file(&file).unwrap();
    program.signal(Signal::HUP);
    log_until(&mut program, "site.toml: cannot be read");
    assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 100);
    write(&file, &route("/", "2m"));
    program.signal(Signal::HUP);
    log_until(&mut program, "limit of each response of /: 1m → 2m");
    program.end();
}

#[test]
fn a_fifo_in_place_of_the_file_is_reported_and_the_next_hang_up_is_heard() {
    let site = site(100);
    let file = site.path().join("site.toml");
    write(&file, &route("/", "1m"));
    let mut program = Program::start(&["run", text(&file)]);
    std::fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    program.signal(Signal::HUP);
    let log = log_until(&mut program, "this is a FIFO");
    assert!(log.contains("not reloaded"), "{log}");
    write(&file, &route("/", "2m"));
    program.signal(Signal::HUP);
    log_until(&mut program, "limit of each response of /: 1m → 2m");
    program.end();
}

#[test]
fn without_a_file_a_hang_up_does_nothing_and_says_so() {
    let site = site(100);
    let mut program = Program::start(&["serve", text(site.path())]);
    program.signal(Signal::HUP);
    log_until(&mut program, "there is no file to read again");
    assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 100);
    program.end();
}

#[test]
fn a_hang_up_while_it_drains_does_not_end_it_sooner() {
    let site = site(28_000);
    let file = site.path().join("site.toml");
    write(&file, &route("/", "20000B"));
    let mut program = Program::start(&["run", text(&file)]);
    let mut stream = program.begin("/a.bin");
    stream.read_exact(&mut [0]).unwrap();
    program.signal(Signal::TERM);
    log_until(&mut program, "draining");
    program.signal(Signal::HUP);
    log_until(&mut program, "the server is about to end");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&[0; 28_000]));
    let (status, ..) = program.wait();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn many_hang_ups_under_load_leave_no_descriptor_behind() {
    let site = site(1000);
    let file = site.path().join("site.toml");
    write(&file, &route("/", "1m"));
    let program = Program::start(&["run", text(&file), "--log-level", "error"]);
    let addr = program.addr();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap().count();
    assert_eq!(get(connect(addr), "/a.bin", "").1.len(), 1000);
    let before = soon("connections have gone", || {
        let count = descriptors();
        (count == descriptors()).then_some(count)
    });
    let loading = std::thread::spawn(move || {
        for _ in 0..100 {
            assert_eq!(get(connect(addr), "/a.bin", "").1.len(), 1000);
        }
    });
    for round in 0..100 {
        write(&file, &route("/", if round % 2 == 0 { "2m" } else { "1m" }));
        program.signal(Signal::HUP);
    }
    loading.join().unwrap();
    write(&file, &format!("{}{}", route("/", "1m"), route("/last/", "1m")));
    program.signal(Signal::HUP);
    until("the last one counts", || get(connect(addr), "/last/a.bin", "").0.starts_with("HTTP/1.1 200 "));
    // One more folder is open now.
    until("descriptors are given back", || descriptors() <= before + 1);
    program.end();
}
