//! The access log as a file: what is in it, who opens it anew, and disks that are full.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use rustix::process::Signal;
use sluicegate::config::Loader;
use testkit::certificates::Certificates;
use testkit::program::{Program, command, get, log_until, site, text};
use testkit::records::{Record, record};
use testkit::served::connect;
use testkit::tls::TlsClient;
use testkit::versions::Version;
use testkit::wait::{soon, until};

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn read(path: &Path) -> Vec<Record> {
    lines(path).iter().map(|line| record(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

fn lines_once(path: &Path, count: usize) -> Vec<String> {
    soon("the lines", || Some(lines(path)).filter(|lines| lines.len() == count))
}

#[test]
fn sigusr1_opens_the_file_anew_and_one_that_cannot_be_opened_leaves_the_old_one() {
    let site = site(1000);
    let logs = tempfile::tempdir().unwrap();
    let [folder, gone] = ["logs", "gone"].map(|name| logs.path().join(name));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("access.log");
    let mut program = Program::start(&["serve", text(site.path()), "--access-log", text(&path)]);
    let ask = |program: &Program, target: &str| get(program.connect(), target, "");
    ask(&program, "/a.bin?1");
    lines_once(&path, 1);
    fs::rename(&path, folder.join("access.log.1")).unwrap();
    ask(&program, "/a.bin?2");
    lines_once(&folder.join("access.log.1"), 2);
    program.signal(Signal::USR1);
    log_until(&mut program, "access log opened anew");
    ask(&program, "/a.bin?3");
    lines_once(&path, 1);

    fs::rename(&folder, &gone).unwrap();
    program.signal(Signal::USR1);
    let said = log_until(&mut program, "the file before is written on");
    assert!(said.contains("\"level\":\"error\"") && said.contains("No such file"), "{said}");
    ask(&program, "/a.bin?4");
    program.end();
    let targets = |path: &Path| -> Vec<String> {
        read(path).iter().map(|record| record.value("target").to_owned()).collect()
    };
    assert_eq!(targets(&gone.join("access.log.1")), ["/a.bin?1", "/a.bin?2"]);
    assert_eq!(targets(&gone.join("access.log")), ["/a.bin?3", "/a.bin?4"]);
}

#[test]
fn a_reload_changes_file_and_format_and_says_so() {
    let site = site(1000);
    let file = site.path().join("c.toml");
    let [one, two] = ["one.log", "two.log"].map(|name| site.path().join(name));
    let write = |keys: &str| {
        fs::write(&file, format!("{keys}\n[[route]]\npath = '/'\nfiles = '.'\nrate = '1m'\n")).unwrap();
    };
    write("access_log = 'one.log'");
    let mut program = Program::start(&["run", text(&file)]);
    let mut reload = |keys: &str, expected: &str| {
        write(keys);
        program.signal(Signal::HUP);
        let said = log_until(&mut program, "\"reloaded\"");
        let changes = record(said.lines().next_back().unwrap()).unwrap().value("changes").to_owned();
        assert_eq!(changes, expected);
        get(program.connect(), "/a.bin", "");
    };
    reload("access_log = 'one.log'", "nothing changed");
    lines_once(&one, 1);
    reload("access_log = 'one.log'\naccess_log_format = 'combined'", "access_log_format: json → combined");
    assert!(lines_once(&one, 2)[1].ends_with("\"GET /a.bin HTTP/1.1\" 200 1000 \"-\" \"-\""));
    let there = format!("access_log: {} → {}", one.display(), two.display());
    reload("access_log = 'two.log'\naccess_log_format = 'combined'", &there);
    lines_once(&two, 1);
    reload("access_log_format = 'combined'", &format!("access_log: {} → off", two.display()));

    write("access_log = 'none/access.log'");
    program.signal(Signal::HUP);
    let said = log_until(&mut program, "not reloaded");
    assert!(said.contains("there is no folder"), "{said}");
    program.end();
    assert_eq!((lines(&one).len(), lines(&two).len()), (2, 1));
}

#[test]
fn every_version_and_what_is_no_request_has_its_line() {
    let made = Certificates::make();
    let folder = made.at("");
    let path = folder.join("access.log");
    let keys = "listen = ['127.0.0.1:0', { address = '127.0.0.1:0', tls = 'a' }]\naccess_log = 'access.log'\n\
                header_timeout = '200ms'\ntls.a = { cert = 'server.pem', key = 'server.key' }\n\
                limits.client = { rate = '1g', key = 'header:x-key' }\n\
                [[route]]\npath = '/'\nfiles = '.'\n[[tcp]]\nlisten = '127.0.0.1:0'\nfile = 'server.pem'\n";
    made.write("all.toml", keys);
    let program = Program::start_where_told(command(&["run", &made.path("all.toml")]));
    let after = |words: &str| {
        let line = program.started.iter().find_map(|line| line.split_once(words)).unwrap().1;
        line.split(' ').next().unwrap().parse().unwrap()
    };
    let (secured, tcp) = (after("listening on https://"), after("listening on tcp:"));
    let length = fs::metadata(made.at("server.pem")).unwrap().len().to_string();

    let lines_are = |count| until("the line", || lines(&path).len() == count);
    let fields = "User-Agent: me\"\\\r\nReferer: http://r.example/\r\nX-Key: secret\r\n";
    get(program.connect(), "/server.pem?a=1", fields);
    lines_are(1);
    get(TlsClient::new(&made).connect(secured, "127.0.0.1").unwrap(), "/server.pem", "");
    lines_are(2);
    let mut http2 = program.connect();
    http2.write_all(&Version::Http2.get("/server.pem")).unwrap();
    lines_are(3);
    drop(http2);
    // Not HTTP, a head without an end, one that is too long.
    let long = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(70_000));
    for (number, bad) in ["nonsense\r\n\r\n", "GET / HT", &long].into_iter().enumerate() {
        let mut stream = program.connect();
        // The answer may come before the end of what is too long, and then a reset.
        let _ = stream.write_all(bad.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
        lines_are(4 + number);
    }
    let mut sent = String::new();
    connect(tcp).read_to_string(&mut sent).unwrap();
    program.end();

    let log = fs::read_to_string(&path).unwrap();
    assert!(!log.contains("secret"), "{log}");
    let all = read(&path);
    let [plain, tls, http2, bad, late, long, stream] = &all[..] else { panic!("{log}") };
    plain.assert_says(&[
        ("msg", "response"),
        ("level", "info"),
        ("method", "GET"),
        ("target", "/server.pem?a=1"),
        ("version", "HTTP/1.1"),
        ("host", "t"),
        ("user_agent", "me\"\\"),
        ("referer", "http://r.example/"),
        ("status", "200"),
        ("bytes", &length),
        ("rate_set", "off"),
        ("held_by", "nothing"),
        ("outcome", "complete"),
    ]);
    assert!(plain.value("key").len() > 8 && plain.number("first_byte_ms") <= plain.number("duration_ms"));
    assert_eq!(plain.value("client"), plain.value("peer"));
    tls.assert_says(&[("tls", "TLSv1.3"), ("version", "HTTP/1.1"), ("status", "200"), ("bytes", &length)]);
    http2.assert_says(&[("version", "HTTP/2.0"), ("target", "/server.pem"), ("bytes", &length)]);
    bad.assert_says(&[("method", "-"), ("status", "400")]);
    late.assert_says(&[("status", "408")]);
    long.assert_says(&[("status", "431")]);
    stream.assert_says(&[("msg", "stream"), ("bytes", &length), ("bytes_up", "0"), ("outcome", "complete")]);
    assert!(stream.value("route").starts_with("tcp:127.0.0.1:"));
}

#[test]
fn a_full_disk_is_survived_and_told() {
    let site = site(1000);
    let mut program = Program::start(&[
        "serve",
        text(site.path()),
        "--access-log",
        "/dev/full",
        "--access-log-format",
        "combined",
    ]);
    for _ in 0..20 {
        assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 1000);
    }
    let said = log_until(&mut program, "access log cannot be written");
    assert!(said.contains("\"file\":\"/dev/full\",\"error\":\"No space left on device"), "{said}");
    let said = program.end();
    assert!(said.contains("access log lines dropped") && said.contains("\"lines\":20"), "{said}");
}

#[test]
fn a_file_that_cannot_be_made_ends_the_start_and_is_an_error_with_its_place() {
    let site = site(10);
    let file = site.path().join("c.toml");
    fs::write(&file, "access_log = 'none/a.log'\n[[route]]\npath = '/'\nfiles = '.'\n").unwrap();
    let folder = site.path().join("none");
    let expected = format!(
        "{}:1:14: access_log: there is no folder \"{}\"; create it",
        file.display(),
        folder.display()
    );
    for words in ["run", "check"] {
        let output = command(&[words, text(&file)]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let code = if words == "run" { 1 } else { 0 };
        assert!(output.status.code() == Some(code) && said.contains(&expected), "{words}: {said}");
    }
    let path = folder.join("a.log");
    let flags = ["serve", text(site.path()), "--access-log", text(&path)];
    let output = command(&flags).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!("--access-log: there is no folder {folder:?}; create it");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn what_is_no_place_for_it_is_refused_with_the_way_out() {
    let parse = |given: &str| {
        let text = format!("access_log = {given}\n[[route]]\npath = '/'\nfiles = 'src'");
        Loader::new().parse(&text, "c.toml", env!("CARGO_MANIFEST_DIR"))
    };
    for (given, expected) in [("'off'", "off"), ("'stderr'", "stderr"), ("'src/a.log'", "/src/a.log")] {
        let to = parse(given).unwrap().access_log.to.to_string();
        assert!(to.ends_with(expected), "{to}");
    }
    for (given, expected) in [
        ("true", "expected \"off\", \"stderr\" or a file's path"),
        ("'on'", "a file of that name is written \"./on\""),
        ("''", "\"\" is not off, stderr or a file"),
        ("'none/a.log'", "there is no folder"),
        ("'src'", "is a folder; give a file in it"),
    ] {
        let error = parse(given).unwrap_err().to_string();
        assert!(error.starts_with("c.toml:1:") && error.contains(expected), "{error}");
    }
}
