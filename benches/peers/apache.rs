//! Apache with mod_ratelimit: `SetOutputFilter RATE_LIMIT` and `SetEnv rate-limit`, on mpm_event as Debian has it.
//!
//! A paced response holds a thread for as long as it lasts, so the stock 150 workers serve 150 downloads and let all
//! others wait. Where more connections come, there are as many workers, from the start, so that no download waits
//! for a process to be made: 64 threads in each process. Below that all limits are the stock ones.
//! `EnableSendfile` is off, `EnableMMAP` on, as by default.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use testkit::process::Outcome;

use crate::setup::{Place, Setup, Source};

/// Workers of a stock mpm_event.
const STOCK: usize = 150;

/// Threads of each process where the stock limits are too low.
const THREADS: usize = 64;

/// Where Debian and others keep its modules.
const MODULES: [&str; 4] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",
];

pub fn args(setup: &Setup<'_>, place: &Place<'_>) -> Outcome<Vec<String>> {
    let modules = MODULES.iter().map(Path::new).find(|folder| folder.join("mod_ratelimit.so").is_file());
    let modules = modules.ok_or("no mod_ratelimit.so where distributions keep it")?;
    let config = place.state.join("httpd.conf");
    fs::write(&config, configuration(setup, place, modules))?;
    Ok(["-f", &config.to_string_lossy(), "-D", "FOREGROUND"].map(str::to_owned).to_vec())
}

fn configuration(setup: &Setup<'_>, place: &Place<'_>, modules: &Path) -> String {
    let (state, port) = (place.state.display(), place.port);
    let mut text = format!(
        "ServerRoot {state}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
ListenBacklog 4096
PidFile {state}/pid
DefaultRuntimeDir {state}
ErrorLog {state}/log
LogLevel error
MaxKeepAliveRequests 0
"
    );
    let mut line = |line: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    };
    for module in ["unixd", "mpm_event", "authz_core", "env", "ratelimit", "proxy", "proxy_http"] {
        let file = modules.join(format!("mod_{module}.so"));
        // Debian has the first one built in; what else is missing Apache says itself.
        if module != "unixd" || file.is_file() {
            line(format!("LoadModule {module}_module {}", file.display()));
        }
    }
    if rustix::process::geteuid().is_root() {
        // It does not serve as root. These are nobody and its group.
        line("User #65534\nGroup #65534".into());
    }
    if setup.connections > STOCK {
        let processes = (setup.connections + 16).div_ceil(THREADS);
        let workers = processes * THREADS;
        line(format!("ServerLimit {processes}\nStartServers {processes}\nThreadsPerChild {THREADS}"));
        line(format!("MaxRequestWorkers {workers}\nMaxSpareThreads {workers}"));
    }
    match setup.source {
        Source::File => {
            let folder = setup.site.folder().display();
            line(format!("DocumentRoot {folder}\n<Directory {folder}>\nRequire all granted\n</Directory>"));
        }
        Source::Proxied(port) => line(format!("ProxyPass / http://127.0.0.1:{port}/")),
    }
    if let Some(rate) = setup.kib_per_second {
        line(format!("<Location />\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit {rate}\n</Location>"));
    }
    text
}
