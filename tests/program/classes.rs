//! Classes of clients as an operator has them: checked, listed, logged, and their keys read again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use testkit::program::{Program, command, get, log_until, site, text};
use testkit::records::record;
use testkit::wait::soon;

const KEYS: &str = "[[class]]
name = 'vip'
match = { header = { X-Api-Key = { file = 'keys' } } }
limits = { client = { rate = '10m' }, total = { weight = 3 } }

[[route]]
path = '/'
files = '.'
rate = '50m'

[[route.pace]]
name = 'for-vips'
when = { class = 'vip' }
rate = 'off'
";

fn set_keys(folder: &Path, keys: &str, mode: u32) {
    let new = folder.join("keys.new");
    fs::write(&new, keys).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, folder.join("keys")).unwrap();
}

#[test]
fn a_check_shows_classes_and_refuses_keys_that_everybody_can_read() {
    let site = site(100);
    let file = site.path().join("site.toml");
    fs::write(&file, KEYS).unwrap();
    let check = || {
        let output = command(&["check", text(&file)]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    set_keys(site.path(), "secret-one\n", 0o644);
    let (code, _, said) = check();
    assert!(
        code == Some(1) && said.contains("class vip: keys in ") && said.contains("run chmod o-rw"),
        "{said}"
    );
    set_keys(site.path(), "secret-one\nsecret two \n\tsecret\u{e9}\n", 0o600);
    let (code, _, said) = check();
    assert!(code == Some(1) && said.contains("line 3: ") && !said.contains("secret"), "{said}");
    set_keys(site.path(), "secret-one\n", 0o600);
    let (code, shown, said) = check();
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "class vip\n  match        header x-api-key with a key of ",
        "\n  total        unlimited, weight 3\n  client       10m (10485760 bytes/s)\n",
        "\n  rule for-vips off, when class vip\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    fs::write(&file, KEYS.replace("for-vips", "for vips")).unwrap();
    let (code, _, said) = check();
    assert!(code != Some(0) && said.contains("name in [[route.pace]]: \"for vips\" is not a name"), "{said}");
}

#[test]
fn a_hang_up_reads_keys_again_and_the_access_log_names_class_and_rule() {
    let site = site(100);
    let file = site.path().join("site.toml");
    let log = site.path().join("access.log");
    set_keys(site.path(), "secret-one\n", 0o600);
    fs::write(&file, format!("access_log = 'access.log'\n{KEYS}")).unwrap();
    let mut program = Program::start(&["run", text(&file)]);
    let ask =
        |program: &Program, key: &str| get(program.connect(), "/a.bin", &format!("x-api-key: {key}\r\n"));
    let lines = |count: usize| {
        let read = || fs::read_to_string(&log).unwrap_or_default();
        soon("the lines", || Some(read()).filter(|text| text.lines().count() == count))
    };
    ask(&program, "secret-two");
    lines(1);
    set_keys(site.path(), "# of today\nsecret-two\nsecret-three\n", 0o600);
    program.signal(Signal::HUP);
    let said = log_until(&mut program, "keys of class vip: 2 added, 1 removed");
    assert!(!said.contains("secret"), "{said}");
    ask(&program, "secret-two");
    ask(&program, "secret-one");
    let text = lines(3);
    let said: Vec<_> = text
        .lines()
        .map(|line| {
            let record = record(line).unwrap();
            record.says(("class", "vip")) && record.says(("rule", "for-vips"))
        })
        .collect();
    assert_eq!(said, [false, true, false], "{text}");
    assert_eq!(text.matches("\"class\":").count() + text.matches("\"rule\":").count(), 2, "{text}");
    assert!(!text.contains("secret"), "{text}");
    // An unusable file changes nothing.
    set_keys(site.path(), "secret-one\n", 0o666);
    program.signal(Signal::HUP);
    log_until(&mut program, "its mode 666 lets everyone on this machine read or write it");
    // Nor does one without keys, which would have put all of them out of their class.
    set_keys(site.path(), "# written in a moment\n", 0o600);
    program.signal(Signal::HUP);
    log_until(&mut program, "no key is in it; write one on each line, or leave its class out");
    ask(&program, "secret-two");
    assert!(lines(4).lines().last().unwrap().contains("\"class\":\"vip\""));
    program.end();
}
