//! What `sluicegate import` takes over, against the servers that it is from.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::program::{Program, site, text};
use testkit::wire::Answer;

use crate::nginx::Nginx;
use crate::pace::get;
use crate::program::{program, timed};

/// The configuration that a file of nginx comes to.
fn imported(file: &Path) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sluicegate")).args(["import", "nginx"]).arg(file).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Times at which bytes came after a silence, each with all bytes until the next.
fn steps(answer: &Answer) -> Vec<(Duration, usize)> {
    const SILENCE: Duration = Duration::from_millis(90);
    let mut steps: Vec<(Duration, usize)> = Vec::new();
    let mut last = Duration::ZERO;
    for (at, bytes) in answer.timeline() {
        match steps.last_mut() {
            Some(step) if at - last < SILENCE => step.1 = bytes,
            _ => steps.push((at, bytes)),
        }
        last = at;
    }
    steps
}

/// Bytes a second between the second step and the one before the last.
fn pace(answer: &Answer) -> f64 {
    let steps = steps(answer);
    assert!(steps.len() >= 5, "{steps:?}");
    let ((begin, before), (end, after)) = (steps[1], steps[steps.len() - 2]);
    (after - before) as f64 / (end - begin).as_secs_f64()
}

#[test]
fn an_imported_limit_has_nginxs_pace() {
    const BYTES: usize = 3 << 20;
    let folder = site(BYTES);
    let block = RefCell::new(String::new());
    let nginx = Nginx::start_http(|addr, _| {
        let root = folder.path().display();
        let server = format!(
            "server {{ listen {addr}; root {root}; location / {{ limit_rate_after 512k; limit_rate 500k; }} }}"
        );
        block.replace(server.clone());
        server
    });
    let (conf, toml) = (folder.path().join("nginx.conf"), folder.path().join("gate.toml"));
    fs::write(&conf, format!("http {{ {} }}", block.borrow())).unwrap();
    fs::write(&toml, imported(&conf)).unwrap();
    let ours = Program::start(&["run", text(&toml)]);
    timed(|| {
        let (theirs, mine) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| get(nginx.addr, "/a.bin", ""));
            let mine = scope.spawn(|| get(ours.addr(), "/a.bin", ""));
            (theirs.join().unwrap(), mine.join().unwrap())
        });
        let paces = [pace(&theirs), pace(&mine)];
        println!("nginx {:.0}, Sluicegate {:.0} bytes a second", paces[0], paces[1]);
        for pace in paces {
            let off = pace / 512_000.0 - 1.0;
            assert!(off.abs() < 0.04, "{paces:?}");
        }
        // What is free of the limit comes first, at once.
        let (at, first) = steps(&mine)[0];
        assert!(at.is_zero() && (512 << 10..=(512 << 10) + 2 * 102_400).contains(&first), "{first}");
    });
    ours.end();
}

#[test]
fn nginx_and_apache_take_the_samples() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().display();
    let here = env!("CARGO_MANIFEST_DIR");
    let mut nginx = Command::new(program("nginx"));
    nginx
        .args(["-t", "-q", "-e", "stderr", "-p"])
        .arg(folder.path())
        .arg("-g")
        .arg(format!("pid {state}/pid;"));
    let output = nginx.arg("-c").arg(format!("{here}/fixtures/import/nginx.conf")).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let modules = "mpm_event authz_core alias dir autoindex env rewrite ratelimit proxy proxy_http proxy_balancer \
                   lbmethod_byrequests slotmem_shm mime filter";
    let load = modules.split_whitespace().map(|name| {
        let file = format!("/usr/lib/apache2/modules/mod_{name}.so");
        // Some are compiled in elsewhere.
        if Path::new(&file).exists() { format!("LoadModule {name}_module {file}\n") } else { String::new() }
    });
    let conf = format!(
        "ServerRoot {state}\nPidFile {state}/pid\nErrorLog /dev/stderr\n{}Include {here}/fixtures/import/apache.conf\n",
        load.collect::<String>()
    );
    fs::write(folder.path().join("httpd.conf"), conf).unwrap();
    let output =
        Command::new(program("apache2")).arg("-t").arg("-f").arg(folder.path().join("httpd.conf")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}
