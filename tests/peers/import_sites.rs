//! What `sluicegate import` takes over, against the servers that it is from: the same requests to both.
//!
//! Each file of `fixtures/import/sites` is a configuration, whose first lines say what to do with it. `# ask HOST PATH`: both
//! servers, on the same folders and backend, must give the same answer; with `-- TEXT` behind it, ours must refuse, and
//! import must have said TEXT. `# toml TEXT` and `# note TEXT` must be in what import prints. Files without `ask` are read
//! by both servers and not started.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::backend::Backend;
use testkit::program::{Program, text};
use testkit::served;
use testkit::wait::soon;
use testkit::wire::{self, Answer, Client};

use crate::program::{Running, ended, program};

/// Folders that both servers serve, and a backend that says what it is asked for.
struct Ground {
    folder: TempDir,
    backend: Backend,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in [
            "site/index.html",
            "site/a.txt",
            "site/pic.jpg",
            "site/page.php",
            "site/secret.html",
            "site/.git/config",
            "site/.htaccess-not",
            "site/.well-known/acme-challenge/t",
            "site/docs/index.html",
            "site/docs/a.txt",
            "site/docs/free/x.txt",
            "site/nolist/x.txt",
            "site/private/secret.txt",
            "site/private2.txt",
            "site/Private/secret.txt",
            "site/admin/index.html",
            "site/admin/pub/x.txt",
            "site/downloads/f.iso",
            "site/free/a.txt",
            "other/index.html",
            "other/a.txt",
            "inner/sub/x.txt",
            "site/a/sub/x.txt",
            "ruled/x.txt",
            "ruled/.htaccess",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content = if name.ends_with(".htaccess") {
                "Require all denied\n".to_owned()
            } else {
                format!("this is {name}\n")
            };
            fs::write(path, content).unwrap();
        }
        let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        fs::write(folder.path().join("cert.pem"), certificate.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        let backend = Backend::new(|stream, head| {
            let first = head.lines().next().unwrap_or_default();
            let said = format!(
                "{} for {}\n",
                first.trim_end_matches(" HTTP/1.1").trim_end_matches(" HTTP/1.0"),
                wire::field(head, "host").unwrap_or_default()
            );
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
                said.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        });
        Self { folder, backend }
    }

    /// A configuration with what is here in the place of its names.
    fn filled(&self, text: &str, addr: SocketAddr) -> String {
        let base = self.folder.path().display();
        let names = [
            ("@ADDR@", addr.to_string()),
            ("@PORT@", addr.port().to_string()),
            ("@BACKEND@", self.backend.addr.to_string()),
            ("@ROOT@", format!("{base}/site")),
            ("@OTHER@", format!("{base}/other")),
            ("@BASE@", base.to_string()),
            ("@CERT@", format!("{base}/cert.pem")),
            ("@KEY@", format!("{base}/key.pem")),
            ("@SOCKET@", format!("{base}/socket")),
        ];
        names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// A request, and what import must have said if ours refuses it.
struct Ask {
    method: String,
    host: String,
    path: String,
    told: Option<String>,
}

/// What the first lines of a fixture say.
#[derive(Default)]
struct Said {
    asks: Vec<Ask>,
    toml: Vec<String>,
    notes: Vec<String>,
    /// Whether the other server reads it too.
    is_real: bool,
}

impl Said {
    fn of(text: &str) -> Self {
        let mut said = Self { is_real: true, ..Self::default() };
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "ask" => {
                    let (ask, told) =
                        rest.split_once(" -- ").map_or((rest, None), |(ask, told)| (ask, Some(told)));
                    let words: Vec<&str> = ask.split(' ').collect();
                    let (method, host, path) = match words[..] {
                        [host, path] => ("GET", host, path),
                        [method, host, path] => (method, host, path),
                        _ => panic!("{line}"),
                    };
                    let host = if host == "any" { "127.0.0.1" } else { host };
                    let [method, host, path] = [method, host, path].map(str::to_owned);
                    said.asks.push(Ask { method, host, path, told: told.map(str::to_owned) });
                }
                "toml" => said.toml.push(rest.to_owned()),
                "note" => said.notes.push(rest.to_owned()),
                "check" => said.is_real = false,
                _ => {}
            }
        }
        said
    }
}

/// What import prints of a file: the configuration, which `check` accepts, and what is said.
fn imported(server: &str, file: &Path) -> (String, String) {
    let output = ended(Command::new(env!("CARGO_BIN_EXE_sluicegate")).args(["import", server]).arg(file));
    let (toml, notes) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{}: {notes}\n{toml}", file.display());
    (toml, notes)
}

/// The answer; `None` if the connection is closed without one.
fn ask(addr: SocketAddr, ask: &Ask) -> Option<Answer> {
    let mut stream = served::connect(addr);
    let content = if ask.method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let Ask { method, host, path, .. } = ask;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{content}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    Client::new(stream).try_answer_to(method).ok()
}

/// What must be the same of two answers: the class of the status, where it leads, and the content.
fn sense(answer: Option<Answer>, host: &str) -> (u16, Option<String>, Option<String>) {
    // nginx's 444 answers nothing.
    let Some(answer) = answer else { return (4, None, None) };
    let class = answer.status() / 100;
    // The port is each server's own, and one writes the whole address where the other writes the path.
    let own = format!("http://{host}");
    let place = answer.field("location").map(|to| {
        to.strip_prefix(&own).map_or(to, |rest| rest.find('/').map_or("", |begin| &rest[begin..])).to_owned()
    });
    let content = (class == 2).then(|| answer.text().to_owned());
    (class, place.filter(|_| class == 3), content)
}

/// The faults of one fixture, which the other server serves at `at`.
fn compare(name: &str, said: &Said, at: SocketAddr, toml: &Path, notes: &str) -> String {
    let ours = Program::start(&["run", text(toml)]);
    let mut faults = String::new();
    for asked in &said.asks {
        let Ask { method, host, path, told } = asked;
        let (theirs, ours) = (sense(ask(at, asked), host), sense(ask(ours.addr(), asked), host));
        let fault = match told {
            None => theirs != ours,
            Some(told) => {
                ours.0 != 4
                    || !notes.contains(told.as_str())
                        && !fs::read_to_string(toml).unwrap().contains(told.as_str())
            }
        };
        if fault {
            faults += &format!(
                "{name}: {method} {host} {path} ({told:?}):\n  theirs {theirs:?}\n  ours {ours:?}\n"
            );
        }
    }
    ours.end();
    faults
}

/// All fixtures of a server: what each says, its text and its name.
fn fixtures(server: &str) -> Vec<(String, String)> {
    let folder = crate::program::fixture("import/sites").join(server);
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    let named = |path: PathBuf| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
    };
    all.into_iter().map(named).collect()
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Another server with a file and a folder of its own.
struct Theirs {
    server: &'static str,
    state: TempDir,
}

impl Theirs {
    fn new(server: &'static str) -> Self {
        let state = tempfile::tempdir().unwrap();
        // Files that distributions have beside it.
        fs::write(state.path().join("fastcgi_params"), "fastcgi_param QUERY_STRING $query_string;\n")
            .unwrap();
        fs::write(state.path().join("mime.types"), "text/html html\n").unwrap();
        Self { server, state }
    }

    fn file(&self) -> PathBuf {
        self.state.path().join("import.conf")
    }

    /// Its whole configuration.
    fn configuration(&self, text: &str) -> String {
        let state = self.state.path().display();
        if self.server == "nginx" {
            return format!(
                "events {{ }}\nhttp {{\n    access_log off;\n    default_type text/plain;\n    \
                 client_body_temp_path {state}/1; proxy_temp_path {state}/2; fastcgi_temp_path {state}/3;\n    \
                 uwsgi_temp_path {state}/4; scgi_temp_path {state}/5;\n{text}\n}}\n"
            );
        }
        const MODULES: &str = "mpm_event authn_core authn_file authz_core authz_host authz_user auth_basic access_compat alias dir \
            autoindex env setenvif rewrite ratelimit proxy proxy_http proxy_ajp proxy_balancer lbmethod_byrequests slotmem_shm mime \
            filter status info ssl socache_shmcb version unixd";
        let load = MODULES.split(' ').filter(|name| !name.is_empty()).map(|name| {
            let file = format!("/usr/lib/apache2/modules/mod_{name}.so");
            // Some are compiled in elsewhere.
            if Path::new(&file).exists() {
                format!("LoadModule {name}_module {file}\n")
            } else {
                String::new()
            }
        });
        let user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
        format!(
            "{}ServerRoot {state}\nDefaultRuntimeDir {state}\nPidFile {state}/pid\nErrorLog {state}/log\nServerName main.example\n{user}{text}",
            load.collect::<String>()
        )
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program(if self.server == "nginx" { "nginx" } else { "apache2" }));
        match self.server {
            "nginx" => {
                let state = self.state.path().display();
                let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
                let globals = format!("daemon off; master_process off; {user} pid {state}/pid;");
                command
                    .arg("-p")
                    .arg(self.state.path())
                    .args(["-e", "stderr", "-g", &globals, "-c"])
                    .arg(self.file());
            }
            _ => _ = command.args(["-X", "-f"]).arg(self.file()),
        }
        command
    }

    /// What `-t` finds wrong with the file.
    fn fault(&self) -> Option<String> {
        let output = ended(self.command().arg("-t"));
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts it, and waits until it listens. `None` if it does not.
    fn start(&self) -> Option<Running> {
        // That of one that ended.
        let _ = fs::remove_file(self.state.path().join("pid"));
        let mut process = Running(
            self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        );
        let is_there = soon("the other server", || {
            // It writes its number when its sockets are bound.
            let listens =
                fs::read_to_string(self.state.path().join("pid")).is_ok_and(|pid| pid.ends_with('\n'));
            (listens || process.0.try_wait().unwrap().is_some()).then_some(listens)
        });
        is_there.then_some(process)
    }
}

/// The faults of one fixture.
fn tried(server: &'static str, name: &str, text: &str, ground: &Ground) -> String {
    let said = Said::of(text);
    let theirs = Theirs::new(server);
    // Another program may take the port before the server does: a few times, not each time.
    let (mut addr, mut process) = (free(), None);
    for _ in 0..20 {
        fs::write(theirs.file(), theirs.configuration(&ground.filled(text, addr))).unwrap();
        if !said.is_real || said.asks.is_empty() {
            break;
        }
        process = theirs.start();
        if process.is_some() || theirs.fault().is_some() {
            break;
        }
        addr = free();
    }
    if process.is_none() && said.is_real && !said.asks.is_empty() {
        let log = fs::read_to_string(theirs.state.path().join("log")).unwrap_or_default();
        return format!("{server}/{name} does not start: {log}{}\n", theirs.fault().unwrap_or_default());
    }
    let mut faults = match said.is_real.then(|| theirs.fault()).flatten() {
        Some(fault) => format!("{server}/{name}: {fault}"),
        None => String::new(),
    };
    let (toml, notes) = imported(server, &theirs.file());
    for (expected, printed) in
        said.toml.iter().map(|text| (text, &toml)).chain(said.notes.iter().map(|text| (text, &notes)))
    {
        if !printed.contains(expected.as_str()) {
            faults += &format!("{server}/{name}: {expected:?} is not in\n{printed}\n");
        }
    }
    if process.is_some() {
        let file = theirs.state.path().join("gate.toml");
        fs::write(&file, &toml).unwrap();
        let found = compare(&format!("{server}/{name}"), &said, addr, &file, &notes);
        if !found.is_empty() {
            faults += &format!("{found}{toml}{notes}\n");
        }
    }
    faults
}

fn all(server: &'static str) {
    let ground = Ground::new();
    let only = std::env::var("IMPORT_ONLY").unwrap_or_default();
    let faults: String = fixtures(server)
        .iter()
        .filter(|(name, _)| name.contains(&only))
        .map(|(name, text)| {
            println!("{server}/{name}");
            tried(server, name, text, &ground)
        })
        .collect();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn what_nginx_serves_is_served_alike_or_refused_and_said() {
    all("nginx");
}

#[test]
fn what_apache_serves_is_served_alike_or_refused_and_said() {
    all("apache");
}
