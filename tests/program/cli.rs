//! The program as it is typed: what it prints where, and how it ends.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::typed::{fails, prints, sluicegate, words};
use testkit::program::{Program, get};
use testkit::records::records;

/// A folder with the example in `config/` and the `site/` it serves beside it.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("site/logs")).unwrap();
    fs::write(folder.path().join("site/logs/app.log"), "one line\n").unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::copy("fixtures/config/sluicegate.toml", folder.path().join("config/sluicegate.toml")).unwrap();
    folder
}

#[test]
fn help_and_version_are_answers() {
    let asked = "--help, -h, help, serve -h, serve --help, proxy --help, run --help, probe --help, limits --help, \
                 simulate --help, limits list -h, help serve, help limits set, limits set help, limits reset -h, connections -h, connections list --help, connections close --help";
    for typed in asked.split(", ") {
        assert!(prints(&words(typed)).starts_with("Usage: sluicegate"), "{typed}");
    }
    let version = format!("sluicegate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(prints(&["--version"]), version);
    for asked in ["-V", "-v", "version"] {
        assert_eq!(prints(&[asked]), version);
    }
    let help = prints(&["--help"]);
    for word in words("serve proxy tcp run check probe limits connections --version 1.5m 8mbit off") {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn the_help_fits_a_terminal_and_says_where_one_can_listen() {
    // What was typed, of all commands.
    let mut asked = vec!["--help".to_owned()];
    while let Some(typed) = asked.pop() {
        let typed = typed.as_str();
        let help = prints(&words(typed));
        let commands =
            help.split("\n\n").find_map(|part| part.strip_prefix("Commands:\n")).unwrap_or_default();
        let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let above = typed.strip_suffix("--help").unwrap();
        asked.extend(names.filter(|name| !name.is_empty()).map(|name| format!("{above}{name} --help")));
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{typed}: {line}");
            assert!(!line.ends_with("(default"), "{typed}: {line}");
        }
        if help.contains("--listen") {
            let forms = match typed {
                "tcp --help" => "127.0.0.1:7070 [::1]:7070",
                "quota serve --help" => "127.0.0.1:9190 [::1]:9190 unix:PATH",
                _ => "127.0.0.1:8080 [::1]:8080 unix:PATH",
            };
            for form in words(forms) {
                assert!(help.contains(form), "{typed}: {form}");
            }
        }
    }
}

#[test]
fn every_default_is_in_the_help() {
    for (command, defaults) in [
        (
            "serve",
            "off; 0; immediate; 127.0.0.1:8080; info; 30s; 10000; 1m; index.html; none; 64k; wait; \
             a quarter of the memory; 128k; the kernel's choice",
        ),
        ("proxy", "off; 0; immediate; 127.0.0.1:8080; info; 30s; 10000; 1m; upstream; 5s; 64"),
        ("probe", "none; no; 30; 1; off; those of the machine"),
        ("simulate", "3600; 1; \"2026-01-05 12:00\", a Monday; no; none"),
        ("run", "what the file says, else 127.0.0.1:8080; what the file says, else info"),
    ] {
        let help = prints(&[command, "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
        for default in defaults.split("; ") {
            assert!(help.contains(&format!("default {default})")), "{default} in {help}");
        }
    }
}

#[test]
fn what_a_flag_names_and_is_not_there_is_an_error_with_the_flag() {
    for (typed, expected) in [
        (
            "serve . --tls-cert /none/c --tls-key /none/k",
            "--tls-cert: there is no file \"/none/c\"; create it or correct the path\n\
             --tls-key: there is no file \"/none/k\"; create it",
        ),
        (
            "serve . --admin 127.0.0.1:0 --admin-token-file /none/t",
            "--admin-token-file: there is no file \"/none/t\"; create it",
        ),
        ("serve . --access-log /none/log", "--access-log: there is no folder \"/none\"; create it"),
        ("serve . --listen unix:/none/s", "--listen: there is no folder \"/none\"; create it"),
        ("check /none/c", "/none/c: cannot be read: No such file or directory (os error 2); create it or"),
        ("run /", "/: cannot be read: Is a directory (os error 21); give a file in it"),
    ] {
        let message = fails(1, &words(typed));
        assert!(message.starts_with("sluicegate: ") && message.contains(expected), "{typed}: {message}");
    }
}

#[test]
fn a_usage_error_exits_with_2() {
    for (typed, expected) in [
        ("", "a command is missing: serve, proxy, tcp, events, run, check, "),
        ("sreve .", "unknown command sreve; did you mean serve?"),
        ("limits lits", "unknown command lits; did you mean list?"),
        (
            "serve . --listen 127.0.0.1:70000",
            "--listen: \"127.0.0.1:70000\" is not an address to listen on: the port",
        ),
        ("serve . --client-burst 1m", "nothing to be ahead of; set --client-rate too"),
        ("completions powershell", "SHELL: \"powershell\" is none of bash, zsh and fish"),
        ("serve", "DIR is missing"),
        ("serve . --rats 60", "unknown flag --rats; did you mean --rate?"),
        ("serve . --port 80", "unknown flag --port; did you mean --listen?"),
        ("serve . --rate", "--rate needs a value"),
        ("limits", "a command is missing after limits: list, set or reset"),
        ("quota", "a command is missing after quota: serve, list, get, set, delete, reset, clients or watch"),
        ("simulate", "FILE and --clients are missing"),
        ("help sreve", "unknown command sreve; did you mean serve?"),
        ("serve . --rate 60 --rate 61", "--rate is given twice, the second time as \"61\": give it once"),
        (
            "serve . --rate 60x",
            "--rate: \"60x\" is not a rate: the unit \"x\" is not known; write 60 (KiB/s)",
        ),
        ("serve . --rate=0", "for unlimited use `off`"),
        ("events a/b", "\"a/b\" is not a stream name"),
        (
            "proxy 127.0.0.1:9000",
            "\"127.0.0.1:9000\" is not a backend: http://, https:// or unix: is missing",
        ),
        ("proxy http://h --trusted-proxy h", "--trusted-proxy: \"h\" is not an address or network"),
        ("serve . --connection-burst 64k", "--connection-burst: without a rate of connections"),
        ("serve . --on-full clsoe", "is not a rule for a full buffer; did you mean \"close\"?"),
        ("proxy http://h --on-full=close", "--on-full: \"close\" is for readers that cannot hold"),
        (
            "serve . --connection-rate=10m --on-full=close",
            "it must hold one chunk of the fastest pace: 2097152 bytes at 10m, and it holds 65536; raise it",
        ),
        ("run none.toml --listen here", "--listen: \"here\" is not an address"),
        ("check a.toml b.toml", "unexpected argument b.toml"),
    ] {
        let message = fails(2, &words(typed));
        assert!(message.starts_with("sluicegate: ") && message.contains(expected), "{typed}: {message}");
        let command = words(typed).first().filter(|command| !["sreve", "help"].contains(*command)).copied();
        let command = command.map_or("sluicegate".to_owned(), |command| format!("sluicegate {command}"));
        assert!(message.ends_with(&format!("\nRun `{command} --help` for usage.\n")), "{message}");
    }
}

#[test]
fn a_connection_is_named_by_its_number() {
    let message = fails(2, &["connections", "close", "x"]);
    let expected = "sluicegate: ID: \"x\" is not a connection's number; `sluicegate connections list` has them\n\
                    Run `sluicegate connections close --help` for usage.\n";
    assert_eq!(message, expected);
}

#[test]
fn a_socket_in_the_place_of_another_file_names_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes");
    fs::write(&file, "mine").unwrap();
    let at = format!("unix:{}", file.display());
    for flag in ["--listen", "--admin"] {
        let message = fails(1, &["serve", ".", flag, &at]);
        let expected = format!(
            "sluicegate: {flag}: {:?} is there and is no socket; move it away, or choose another path\n",
            file.display()
        );
        assert_eq!(message, expected);
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_text_is_typed_wrong() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    let output = Command::new(env!("CARGO_BIN_EXE_sluicegate")).arg("serve").arg(odd).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_folder_that_is_not_there_ends_with_1() {
    let message = fails(1, &["serve", "none-such", "--rate", "60"]);
    assert_eq!(message, "sluicegate: there is no folder \"none-such\"; create it or correct the path\n");
    let message = fails(1, &["serve", "Cargo.toml"]);
    assert!(message.contains("\"Cargo.toml\" is not a folder"), "{message}");
}

#[test]
fn check_explains_a_good_file() {
    let folder = workplace();
    let file = folder.path().join("config/sluicegate.toml");
    let summary = prints(&["check", file.to_str().unwrap()]);
    for line in [
        "sluicegate.toml is valid.",
        "connections  at most 10000, 200 per client address",
        "connection   2m (2097152 bytes/s), burst 512k (524288 bytes)",
        "sink         buffer 64k, total 256m, unsent 128k, send buffer 256k, on full wait, closed if a reader takes nothing for 1m",
        "listen       127.0.0.1:8080",
        "\n/slow/\n",
        "site, index index.html, folders without it listed",
        "pace         60k (61440 bytes/s), burst 256k (262144 bytes), end of stream immediate",
        "filters      redact (replace), rate",
        "source       backend http://127.0.0.1:9000, Host upstream",
        "pace         1.5m (1572864 bytes/s), end of stream immediate; X-Accel-Limit-Rate overrides it",
        "filters      squeeze (gzip level 6), count",
        "pace         unlimited\n",
    ] {
        assert!(summary.contains(line), "{line:?} in\n{summary}");
    }
}

#[test]
fn all_wrong_flags_are_reported_and_no_others_because_of_them() {
    for (typed, told) in [
        (
            "serve none-such --rate 10x --burst 1m --drain soon --listen nowhere --admin 0.0.0.0:1 --egress-buffer 7",
            "--rate --listen --drain --egress-buffer",
        ),
        // Each good in itself: then what does not go together.
        ("serve none-such --burst 1m --client-burst 1m --admin 0.0.0.0:1", "--burst --admin --client-burst"),
    ] {
        let message = fails(2, &words(typed));
        let flags = message.lines().filter_map(|line| line.split(": ").find(|part| part.starts_with("--")));
        assert_eq!(flags.collect::<Vec<_>>(), words(told), "{message}");
    }
}

#[test]
fn check_shows_the_rules_that_hold_now_or_at_a_given_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let text = "time_zone = 'Europe/Berlin'\n[[route]]\npath = '/'\nfiles = '.'\nrate = '1m'\n\
                [[route.pace]]\nwhen = { extension = ['iso', 'img'], size = '>100m' }\nrate = ['2m for 10m', '500k']\n\
                [[route.pace]]\nwhen = { during = '22:00-06:00' }\nrate = 'off'\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let summary = prints(&["check", "--at", "2026-12-24 23:30", file]);
    for line in [
        "  at           Thu 2026-12-24 23:30 CET\n",
        "  rule 1       2m for 10m, 500k, when extension iso or img, size >100m\n",
        "  rule 2       off, when during 22:00-06:00 Europe/Berlin; holds then, until Fri 2026-12-25 06:00 CET\n",
    ] {
        assert!(summary.contains(line), "{line}{summary}");
    }
    let summary = prints(&["check", "--at", "2026-07-01T19:00:00Z", file]);
    let line = "; does not hold then, from Wed 2026-07-01 22:00 CEST\n";
    assert!(summary.contains(line), "{summary}");
    assert!(prints(&["check", file]).contains(" now, "), "without a time it is now");
    let message = fails(2, &["check", "--at", "tomorrow", file]);
    assert!(message.contains("--at: \"tomorrow\" is not a point in time"), "{message}");
}

#[test]
fn check_shows_what_shared_limits_and_rules_of_uploads_are_at_a_given_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schedule.toml");
    let text = "time_zone = 'Europe/Berlin'\n[limits.server]\nrate = '100m'\n\
                schedule = [{ during = 'Mon-Fri 08:00-18:00', rate = '40m', burst = '8m' }, { during = 'Thu', rate = 'off' }]\n\
                [[route]]\npath = '/'\nproxy = 'http://127.0.0.1:9000'\n\
                limits.upload.client.schedule = { during = 'Sat' }\n\
                [[route.upload_pace]]\nwhen = { content_type = 'video/*', during = '22:00-06:00' }\nrate = '1m'\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let message = fails(1, &["check", file]);
    assert!(message.contains("expected tables [[schedule]]"), "{message}");
    std::fs::write(file, text.replace("{ during = 'Sat' }", "[{ during = 'Sat', rate = '1m' }]")).unwrap();
    let summary = prints(&["check", "--at", "2026-12-24 23:30", file]);
    for line in [
        "  at           Thu 2026-12-24 23:30 CET\n",
        "  schedule     40m, burst 8m (8388608 bytes), during Mon-Fri 08:00-18:00 Europe/Berlin; does not hold then, \
         from Fri 2026-12-25 08:00 CET\n",
        "  schedule     off, during Thu 00:00-24:00 Europe/Berlin; holds then, until Fri 2026-12-25 00:00 CET\n",
        "  schedule     upload client: 1m, during Sat 00:00-24:00 Europe/Berlin; does not hold then, from Sat \
         2026-12-26 00:00 CET\n",
        "1m, when content type video/*, during 22:00-06:00 Europe/Berlin; holds then, until Fri 2026-12-25 06:00 CET\n",
    ] {
        assert!(summary.contains(line), "{line}{summary}");
    }
}

#[test]
fn a_missing_file_is_a_warning_of_check_an_error_at_start_and_ignored_offline() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let text = "admin = 'unix:run/admin.sock'\nadmin_token_file = 'token'\n\
                [filter.idle]\nkind = 'count'\n\
                [[route]]\npath = '/'\nfiles = 'site'\n\
                [[tcp]]\nlisten = '127.0.0.1:0'\nfile = 'app.log'\nfollow = true\n";
    fs::write(&file, text).unwrap();
    let (name, base) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
    let absent = [
        format!("{name}:1:9: admin: there is no folder \"{base}/run\"; create it or correct the path"),
        format!(
            "{name}:2:20: admin_token_file: there is no file \"{base}/token\"; create it or correct the path"
        ),
        format!(
            "{name}:7:9: files in [[route]] \"/\": there is no folder \"{base}/site\"; create it or correct the path"
        ),
        format!(
            "{name}:10:8: file in [[tcp]] 127.0.0.1:0: there is no file \"{base}/app.log\"; create it or correct the path"
        ),
    ];
    let unused = format!("{name}:3:9: [filter.idle] is not used; name it in the filters of a [[route]]");
    let warned = |warnings: &[&String]| -> String {
        warnings.iter().map(|warning| format!("sluicegate: warning: {warning}\n")).collect()
    };

    let output = sluicegate(&["check", name]);
    let expected = warned(&[&absent[0], &absent[1], &unused, &absent[2], &absent[3]]);
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), expected));
    assert!(output.stdout.starts_with(format!("{name} is valid.\n").as_bytes()));
    let output = sluicegate(&["check", "--offline", name]);
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap()),
        (Some(0), warned(&[&unused]))
    );
    assert_eq!(fails(1, &["run", name]), format!("sluicegate: {}\n", absent.join("\n")));

    // Flags name files too.
    let missing = folder.path().join("none");
    let message = fails(1, &["tcp", "--file", missing.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let expected = format!("there is no file \"{base}/none\"; create it or correct the path\n");
    assert!(message.ends_with(&expected), "{message}");
    let message = fails(1, &["tcp", "--file", base, "--listen", "127.0.0.1:0"]);
    assert!(message.ends_with("is a folder; give a file in it\n"), "{message}");
}

#[test]
fn the_example_names_only_what_is_there() {
    prints(&["check", "fixtures/config/sluicegate.toml"]);
}

#[test]
fn check_refuses_one_token_for_those_who_look_and_those_who_change() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    write("token", "0123456789abcdef");
    write("other", "0123456789abcdef\n");
    let file = |read_only: &str| {
        let text = format!(
            "admin = '127.0.0.1:0'\nadmin_token_file = 'token'\nadmin_read_only_token_file = '{read_only}'\n\
             [[route]]\npath = '/'\nfiles = '.'\n"
        );
        write("site.toml", &text).to_str().unwrap().to_owned()
    };
    let message = fails(1, &["check", &file("token")]);
    assert!(message.contains(":3:") && message.contains("it is admin_token_file too"), "{message}");
    let other = file("other");
    let message = fails(1, &["check", &other]);
    assert!(message.contains("hold the same token"), "{message}");
    prints(&["check", "--offline", &other]);
    let message = fails(1, &["run", &other]);
    assert!(message.contains("hold the same token"), "{message}");
    write("other", "fedcba9876543210");
    prints(&["check", &other]);
}

#[test]
fn check_reports_the_faults_of_a_bad_file() {
    let message = fails(1, &["check", "fixtures/config/bad/unknown-key.toml"]);
    assert_eq!(
        message,
        "sluicegate: fixtures/config/bad/unknown-key.toml:6:1: unknown key \"rats\" in [[route]]; did you mean \"rate\"?\n"
    );
    let message = fails(1, &["check", "none.toml"]);
    assert!(message.contains("none.toml: cannot be read: No such file"), "{message}");
    assert_eq!(fails(1, &["run", "none.toml"]), message);
}

/// The output of a command that has `input` on its standard input.
fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn check_reads_standard_input_and_names_it() {
    let good = b"[[route]]\npath = '/'\nfiles = 'fixtures/site'\n";
    for args in [&["check", "-"][..], &["check", "-", "--offline"], &["check", "--offline", "--", "-"]] {
        let output = with_input(args, good);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}");
        assert!(
            text.starts_with("standard input is valid.\n") && text.contains("files in fixtures/site"),
            "{text}"
        );
    }
    for (input, expected) in [
        (
            &b"[[route]]\npath = '/'\nfiles = 1\nrats = 2\n"[..],
            "standard input:3:9: files in [[route]] \"/\": ",
        ),
        (b"[[route]]\npath = '/'\nfiles = 1\nrats = 2\n", "\nstandard input:4:1: unknown key \"rats\""),
        (b"a = 1\n\xff", "standard input:2: is not UTF-8 text"),
        (&vec![b'#'; (1 << 20) + 1], "standard input: is longer than 1 MiB"),
    ] {
        let output = with_input(&["check", "-"], input);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(expected), "{text}");
    }
    // Only where a file is read.
    assert!(fails(2, &["health", "-"]).contains("unexpected argument -"));
}

#[test]
fn the_printed_example_is_checked_and_the_schema_is_json() {
    let example = prints(&["config", "--example"]);
    assert!(with_input(&["check", "-"], example.as_bytes()).status.success());
    let schema: serde_json::Value = serde_json::from_str(&prints(&["config", "--schema"])).unwrap();
    assert_eq!(schema["properties"]["route"]["items"]["required"], serde_json::json!(["path"]));
    for typed in ["config", "config --example --schema"] {
        assert!(fails(2, &words(typed)).contains("give one of --example and --schema"), "{typed}");
    }
}

#[test]
fn import_prints_a_configuration_and_tells_what_it_leaves_out() {
    let file = "fixtures/import/nginx.conf";
    let output = sluicegate(&["import", "nginx", file]);
    let (toml, notes) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(
        output.status.success() && with_input(&["check", "--offline", "-"], toml.as_bytes()).status.success()
    );
    assert!(notes.starts_with(&format!("sluicegate: {file}:2: user www-data: left out\n")), "{notes}");
    let output = with_input(&["import", "apache", "-"], b"Listen 80\nDocumentRoot /srv\nLogLevel warn\n");
    assert!(output.status.success() && output.stdout.starts_with(b"# Imported from standard input."));
    assert_eq!(output.stderr, b"sluicegate: standard input:3: loglevel warn: left out\n");
    // Where nothing comes of it, all is refused.
    let output = with_input(&["import", "nginx", "-"], b"user a;");
    let toml = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success()
            && toml.ends_with("# Nothing is taken over.\n[[route]]\npath = \"/\"\nrefuse = 403\n")
    );
    for (code, typed, expected) in [
        (2, "import lighttpd a", "SERVER: \"lighttpd\" is neither nginx nor apache"),
        (1, "import nginx none.conf", "none.conf: cannot be read: No such file"),
        (1, "import nginx src", "src: cannot be read: it is not a regular file"),
    ] {
        assert!(fails(code, &words(typed)).contains(expected), "{typed}");
    }
}

#[test]
fn a_warning_is_reported_and_does_no_harm() {
    let folder = workplace();
    let file = folder.path().join("warn.toml");
    fs::write(&file, "[filter.zip]\nkind = \"gzip\"\n[[route]]\npath = \"/\"\nfiles = \"site\"\n").unwrap();
    let output = sluicegate(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("warn.toml:1:9: [filter.zip] is not used"), "{message}");
    assert!(message.starts_with("sluicegate: warning: "), "{message}");
}

#[test]
fn the_sums_of_a_count_filter_over_all_its_routes_are_logged_at_the_end() {
    let folder = workplace();
    fs::write(folder.path().join("site/a"), "four").unwrap();
    let file = folder.path().join("count.toml");
    let text = "limits.connection.rate = '1m'\n[filter.pages]\nkind = 'count'\n\
                [[route]]\npath = '/one/'\nfiles = 'site'\nfilters = ['pages', 'count']\n\
                [[route]]\npath = '/two/'\nfiles = 'site'\nfilters = ['pages']\n";
    fs::write(&file, text).unwrap();
    let program = Program::start(&["run", file.to_str().unwrap()]);
    assert_eq!(program.started[1], "each connection: 1m (1048576 bytes/s), burst 64k (65536 bytes)");
    for path in ["/one/a", "/two/a"] {
        assert_eq!(get(program.connect(), path, "").1, b"four");
    }
    let log = program.end();

    let counted = records(&log, "counted");
    assert_eq!(counted.len(), 2, "{log}");
    for (filter, count, bytes) in [("count", "1", "4"), ("pages", "2", "8")] {
        let values = [("filter", filter), ("streams", count), ("ended", count), ("bytes", bytes)];
        counted.iter().find(|record| record.says(("filter", filter))).unwrap().assert_says(&values);
    }
}

#[test]
fn an_admin_listener_off_loopback_needs_a_token_and_a_token_needs_a_listener() {
    for (flags, expected) in [
        ("--admin 0.0.0.0:0", "other machines can reach 0.0.0.0:0"),
        ("--admin 127.0.0.1:8080", "choose another port"),
        ("--admin-token-file token", "give --admin too"),
        ("--admin nowhere", "--admin: "),
    ] {
        let message = fails(2, &words(&format!("serve fixtures/site {flags}")));
        assert!(message.contains(expected), "{flags:?}: {message}");
    }
}
