//! What schemathesis finds when it compares the admin API with the document it serves: nothing. Installs it
//! from PyPI into an environment of its own below the target folder; needs python3 with venv.

use std::path::{Path, PathBuf};
use std::process::Command;

use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use testkit::watched::{TOKEN, Watched};

/// Another version may look for more, and fail on a day when nothing was changed here.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Runs a command, and shows what it said if it failed.
fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install python3-venv"));
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

/// The program, installed if it is not yet.
fn schemathesis() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(SCHEMATHESIS);
    let installed = home.join("installed");
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        run(Command::new(home.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS]));
        std::fs::write(installed, "").unwrap();
    }
    home.join("bin/st")
}

#[test]
fn schemathesis_finds_nothing() {
    let program = schemathesis();
    let folder = testkit::watched::folder();
    let routes = || {
        let files = |path| Route::files(path, folder.path()).unwrap().rate(Rate::or_unlimited(1_000));
        vec![files("/"), files("/a b/é/")]
    };
    for (watched, fields) in [
        (Watched::new(routes()), Vec::new()),
        (Watched::with_token(routes()), vec![format!("Authorization: Bearer {TOKEN}")]),
    ] {
        // So that there is something to look at.
        let _slow = watched.served.begin("/large.bin?secret");
        let mut command = Command::new(&program);
        command.arg("run").arg(format!("http://{}/v1/openapi.json", watched.admin)).args([
            "--no-color",
            "--generation-deterministic",
            "--max-examples=30",
            "--request-timeout=20",
            // A client whose own limit was deleted still has one, at the same address: what all have.
            "--exclude-checks=use_after_free",
            // One answer does not end, and the other may wait for a minute; tests/http/admin_api/described.rs looks at them.
            "--exclude-path=/v1/live",
            "--exclude-path=/v1/live/poll",
        ]);
        for field in fields {
            command.arg("--header").arg(field);
        }
        run(command.current_dir(env!("CARGO_TARGET_TMPDIR")));
    }
}
