//! What is shipped for running it: configurations, and that the program needs nothing around it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, geteuid};
use testkit::program::{self, Program, command, get, text};
use testkit::wait::until;

/// The number of `nobody`.
const NOBODY: u32 = 65534;

/// The length of a file that is still under way when the program is told to end.
const LONG: u64 = 1_468_000;

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(path)
}

#[test]
fn the_configurations_of_the_package_and_of_the_image_are_right() {
    for (path, expected) in
        [("debian/sluicegate.toml", "0.0.0.0:8080"), ("docker/sluicegate.toml", "0.0.0.0:8080")]
    {
        let output = command(&["check", "--offline", text(&shipped(path))]).output().unwrap();
        let explained = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
            (Some(0), ""),
            "{path}"
        );
        assert!(explained.contains(expected), "{explained}");
    }
}

/// Keys that are commented out must not be wrong when somebody uncomments them.
#[test]
fn what_is_commented_out_in_the_packages_configuration_is_right_too() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read_to_string(shipped("debian/sluicegate.toml")).unwrap();
    let is_key = |line: &str| {
        line.starts_with("#[") || line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ")
    };
    let uncommented: Vec<&str> =
        whole.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect();
    let file = folder.path().join("all.toml");
    // A table that no address names is a warning.
    let text_of_all = uncommented.join("\n").replace(
        "\"0.0.0.0:8080\"\n",
        "[\"0.0.0.0:8080\", { address = \"0.0.0.0:8443\", tls = \"main\" }]\n",
    );
    std::fs::write(&file, text_of_all).unwrap();
    let output = command(&["check", "--offline", text(&file)]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""));
    assert!(String::from_utf8(output.stdout).unwrap().contains("/app/"));
}

/// systemd hands on what the unit names, and the program takes what its configuration names: they must be written alike.
#[test]
fn every_address_of_the_socket_unit_is_one_of_the_packages_configuration() {
    let unit = std::fs::read_to_string(shipped("systemd/sluicegate.socket")).unwrap();
    let keys = std::fs::read_to_string(shipped("debian/sluicegate.toml")).unwrap();
    // Those to be uncommented too, which are commented out in the configuration.
    for (begin, comment) in [("ListenStream=", ""), ("#ListenStream=", "# ")] {
        let addresses: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix(begin)).collect();
        assert_eq!(addresses.len(), 1, "{unit}");
        let is_listened_on = |address: &str| {
            let begins = format!("{comment}listen = ");
            keys.lines().any(|line| line.starts_with(&begins) && line.contains(&format!("\"{address}\"")))
        };
        assert!(addresses.iter().all(|address| is_listened_on(address)), "{addresses:?}");
    }
}

/// The program of this build, or another one: the static program of the image.
fn program_to_ship() -> PathBuf {
    std::env::var_os("SLUICEGATE_TEST_PROGRAM").map_or_else(program::path, PathBuf::from)
}

/// A folder with the program, the libraries that it is linked with, and the image's configuration.
fn bare() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(at(to).parent().unwrap()).unwrap();
        std::fs::copy(from, at(to)).unwrap();
    };
    copy(text(&program_to_ship()), "/usr/bin/sluicegate");
    let linked = Command::new("ldd").arg(program_to_ship()).output().unwrap();
    // libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…); a static program has none.
    for library in
        String::from_utf8(linked.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/'))
    {
        copy(library, library);
    }
    let keys = std::fs::read_to_string(shipped("docker/sluicegate.toml")).unwrap();
    std::fs::create_dir_all(at("/etc/sluicegate")).unwrap();
    // Fixed ports may be others' here. The folder for the socket is all that nobody may write to.
    let keys = keys.replace("0.0.0.0:8080", "127.0.0.1:0").replace("127.0.0.1:9180", "unix:/run/admin.sock");
    std::fs::write(at("/etc/sluicegate/sluicegate.toml"), keys).unwrap();
    std::fs::create_dir_all(at("/srv")).unwrap();
    std::fs::write(at("/srv/page"), "of a bare folder").unwrap();
    // Seven chunks of the configured 1 MiB/s: 1.4 s.
    File::create(at("/srv/long")).unwrap().set_len(LONG).unwrap();
    std::fs::create_dir_all(at("/run")).unwrap();
    chown(at("/run"), Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    root
}

/// All that is below a folder: its kind, permissions, owner, length and time of the last change.
fn listing(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let of = path.symlink_metadata().unwrap();
            if of.is_dir() {
                folders.push(path.clone());
            }
            // A folder's time changes with the socket that comes and goes.
            let changed = of.is_file().then(|| (of.len(), of.modified().unwrap()));
            all.insert(path, format!("{:o} {} {changed:?}", of.mode(), of.uid()));
        }
    }
    all
}

#[test]
fn it_runs_as_nobody_in_a_folder_with_nothing_else() {
    if !geteuid().is_root() {
        testkit::skip::skipped("only root may change the root folder");
        return;
    }
    let root = bare();
    let before = listing(root.path());
    let inside = |args: &[&str]| {
        let mut command = Command::new("/usr/sbin/chroot");
        command.args(["--userspec=65534:65534", "--groups=", text(root.path()), "/usr/bin/sluicegate"]);
        command.args(args).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let health = || {
        let output = inside(&["health", "--admin", "unix:/run/admin.sock"]).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(health().0, Some(1), "nothing runs");
    let program = Program::start_where_told(inside(&["run", "/etc/sluicegate/sluicegate.toml"]));
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    for kind in ["Uid", "Gid"] {
        assert!(status.contains(&format!("\n{kind}:\t65534\t65534\t65534\t65534\n")), "{status}");
    }
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).map(str::trim);
    assert_eq!(groups, Some(""), "{status}");
    assert_eq!(get(program.connect(), "/page", "").1, b"of a bare folder");
    assert_eq!(health(), (Some(0), "ready\n".to_owned(), String::new()));

    let addr = program.addr();
    let mut under_way = program.begin("/long");
    let mut all = vec![0; 20];
    under_way.read_exact(&mut all).unwrap();
    program.signal(Signal::TERM);
    until("the listener is closed", || TcpStream::connect(addr).is_err());
    under_way.read_to_end(&mut all).unwrap();
    let head = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!((all.len() - head) as u64, LONG);
    // It asserts that standard output has nothing.
    let (status, log, error) = program.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");

    let (code, _, error) = health();
    assert!(code == Some(1) && error.contains("admin.sock"), "{error}");
    assert_eq!(listing(root.path()), before, "nothing is left behind");
}
