//! What is shipped for running it: configurations, and that the program needs nothing around it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use testkit::program::{self, Program, command, get, text};

/// The number of `nobody`.
const NOBODY: u32 = 65534;

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

/// A folder with the program, the libraries that it is linked with, and the image's configuration.
fn bare() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(at(to).parent().unwrap()).unwrap();
        std::fs::copy(from, at(to)).unwrap();
    };
    copy(text(&program::path()), "/usr/bin/sluicegate");
    let linked = Command::new("ldd").arg(program::path()).output().unwrap();
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
    std::fs::create_dir_all(at("/run")).unwrap();
    chown(at("/run"), Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    root
}

#[test]
fn it_runs_as_nobody_in_a_folder_with_nothing_else() {
    if !geteuid().is_root() {
        println!("SKIPPED: only root may change the root folder");
        return;
    }
    let root = bare();
    let inside = |args: &[&str]| {
        let mut command = Command::new("/usr/sbin/chroot");
        command.args(["--userspec=65534:65534", text(root.path()), "/usr/bin/sluicegate"]).args(args);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534\n"), "{status}");
    assert_eq!(get(program.connect(), "/page", "").1, b"of a bare folder");
    assert_eq!(health(), (Some(0), "ready\n".to_owned(), String::new()));
    program.end();
    let (code, _, error) = health();
    assert!(code == Some(1) && error.contains("admin.sock"), "{error}");
}
