//! The documentation has every key, flag and metric, and no other.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use sluicegate::config::Loader;
use testkit::program::{Program, command, get, text};

const PAGE: &str = include_str!("../../docs/configuration.md");

/// No key is near to it, so that the parser lists all it knows.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

/// The keys that the parser knows where `text` has `KEY`.
fn known(text: &str) -> BTreeSet<String> {
    let text = text.replace("KEY", &format!("{UNKNOWN} = 1"));
    let error = Loader::new().parse(&text, "test.toml", ".").unwrap_err().to_string();
    let line = error.lines().find(|line| line.contains(UNKNOWN)).unwrap_or_else(|| panic!("{error}"));
    let (_, keys) = line.split_once("known here: ").unwrap_or_else(|| panic!("{line}"));
    keys.split(", ").map(str::to_owned).collect()
}

/// The rows of the table number `table` below the heading `section` of the page about keys, each as its cells.
fn rows(section: &str, table: usize) -> Vec<Vec<&'static str>> {
    rows_of(PAGE, section, table)
}

/// The same of any page.
fn rows_of(page: &'static str, section: &str, table: usize) -> Vec<Vec<&'static str>> {
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("{section}"));
    let section = rest.split("\n## ").next().unwrap_or_default();
    let tables = section.split("\n\n").map(str::trim_start).filter(|part| part.starts_with("| "));
    let table = tables.into_iter().nth(table).unwrap();
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    table.lines().skip(2).map(cells).collect()
}

/// What is in back-ticks.
fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The keys of a table of the page: the first cell of each row.
fn documented(section: &str, table: usize) -> BTreeSet<String> {
    rows(section, table).into_iter().flat_map(|row| names(row[0])).collect()
}

#[test]
fn every_key_is_documented_and_nothing_else() {
    let route = "[[route]]\npath = '/'\nfiles = '.'\n";
    let events = "[[route]]\npath = '/'\n[route.events]\nKEY";
    for (section, table, text) in [
        ("Top level", 0, "KEY".to_owned()),
        ("[limits]", 0, "[limits]\nKEY".to_owned()),
        ("[limits]", 2, "[[class]]\nname = 'a'\n[[class.limits.total.schedule]]\nKEY".to_owned()),
        ("[sink]", 0, "[sink]\nKEY".to_owned()),
        ("[quota]", 0, "[quota]\nserver = 'http://127.0.0.1:1'\nclient_id = 'a'\nKEY".to_owned()),
        ("[tracing]", 0, "[tracing]\nKEY".to_owned()),
        ("[[route]]", 0, format!("{route}KEY")),
        ("[[route]]", 1, format!("{route}[route.limits]\nKEY")),
        ("[route.events]", 0, events.to_owned()),
        ("[[class]]", 0, "[[class]]\nname = 'a'\nKEY".to_owned()),
        ("[[class]]", 1, "[[class]]\nname = 'a'\n[class.match]\nKEY".to_owned()),
        ("[[class]]", 2, "[[class]]\nname = 'a'\n[class.limits]\nKEY".to_owned()),
        ("[tls.NAME]", 0, "[tls.a]\nKEY".to_owned()),
        ("[[tcp]]", 0, "[[tcp]]\nlisten = '127.0.0.1:1'\nto = 'a:1'\nKEY".to_owned()),
    ] {
        assert_eq!(documented(section, table), known(&text), "{section}");
    }
}

#[test]
fn every_key_of_a_limit_is_documented() {
    let limits = documented("[limits]", 1);
    assert_eq!(limits, known("[limits.client]\nKEY"));
    let shared: BTreeSet<String> = limits.into_iter().filter(|key| key != "key").collect();
    assert_eq!(shared, known("[limits.server]\nKEY"));
    // A connection shares nothing with others.
    let mut alone = known("[limits.connection]\nKEY");
    alone.insert("schedule".to_owned());
    assert_eq!(shared, alone);
    let route = "[[route]]\npath = '/'\nfiles = '.'\n";
    for place in ["total", "client"] {
        assert_eq!(shared, known(&format!("{route}[route.limits.{place}]\nKEY")), "{place}");
    }
    let response = &rows("[[route]]", 1)[2];
    let (_, typed) = response[1].split_once("{ ").unwrap();
    let keys: BTreeSet<String> = typed.trim_end_matches(" }`").split(", ").map(str::to_owned).collect();
    assert_eq!(keys, known(&format!("{route}[route.limits.response]\nKEY")));
}

#[test]
fn every_key_of_a_filter_is_documented() {
    for row in rows("[filter.NAME]", 0) {
        let kind = names(row[0]).next().unwrap();
        // Examples of values are in back-ticks too.
        let is_key = |name: &String| name.starts_with(|c: char| c.is_ascii_lowercase());
        let keys: BTreeSet<String> = names(row[1]).filter(is_key).collect();
        if !keys.is_empty() {
            assert_eq!(keys, known(&format!("[filter.a]\nkind = '{kind}'\nKEY")), "{kind}");
        }
    }
}

/// The flags and the subcommands that `--help` of a command lists.
fn help(command_line: &str) -> (BTreeSet<String>, Vec<String>) {
    let args: Vec<&str> = command_line.split_whitespace().chain(["--help"]).collect();
    let output = command(&args).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let names = |list: &str| {
        let names = list.lines().filter_map(|line| line.strip_prefix("  "));
        names.filter(|line| !line.starts_with(' ')).map(str::to_owned).collect::<Vec<_>>()
    };
    // Flags are in several lists, each below its title.
    let flags: String =
        help.split("\n\n").filter(|part| part.contains(":\n  -")).collect::<Vec<_>>().join("\n");
    let commands = help.split("\n\n").find_map(|part| part.strip_prefix("Commands:\n")).unwrap_or_default();
    let first = |line: String| line.split_whitespace().next().unwrap().to_owned();
    let flags = names(&flags).into_iter().filter(|line| line.starts_with("--")).map(first).collect();
    (flags, names(commands).into_iter().map(first).collect())
}

/// The flags of a command and of all its subcommands.
fn flags(command_line: &str) -> BTreeSet<String> {
    let (mut flags, subcommands) = help(command_line);
    for subcommand in subcommands {
        flags.extend(self::flags(&format!("{command_line} {subcommand}")));
    }
    flags
}

#[test]
fn every_flag_of_a_serving_command_sets_the_key_of_its_name_or_of_the_table() {
    let mut keys = BTreeSet::new();
    for (section, table) in [
        ("Top level", 0),
        ("[limits]", 0),
        ("[sink]", 0),
        ("[quota]", 0),
        ("[tracing]", 0),
        ("[[route]]", 0),
        ("[route.events]", 0),
        ("[tls.NAME]", 0),
        ("[[tcp]]", 0),
    ] {
        let single = rows(section, table).into_iter().filter(|row| !row[1].contains("table"));
        keys.extend(single.flat_map(|row| names(row[0])));
    }
    // Keys of [quota] that no flag sets; these flags are of listeners.
    keys.retain(|key| !["tls_cert", "tls_key"].contains(&key.as_str()));
    let mut others = BTreeSet::new();
    for command_line in ["serve", "proxy", "events", "tcp"] {
        let flags = flags(command_line);
        assert!(flags.contains("--listen"), "{flags:?}");
        others.extend(flags.into_iter().filter(|flag| !keys.contains(&flag[2..].replace('-', "_"))));
    }
    assert_eq!(documented("Flags", 0), others);
    for row in rows("Flags", 0) {
        let key = names(row[1]).next().unwrap();
        let last = key.split(" = ").next().unwrap().rsplit('.').next().unwrap();
        assert!(keys.contains(last) || documented("[limits]", 1).contains(last), "{key}");
    }
}

#[test]
fn every_flag_of_the_other_commands_is_documented() {
    const COMMANDS: [&str; 17] = [
        "serve",
        "proxy",
        "tcp",
        "events",
        "run",
        "check",
        "config",
        "import",
        "simulate",
        "probe",
        "quota",
        "health",
        "limits",
        "connections",
        "top",
        "completions",
        "man",
    ];
    assert_eq!(help("").1, COMMANDS, "a command is documented by one of these tests");
    for (page, table, commands) in [
        (PAGE, 1, &["run", "check", "config"][..]),
        (include_str!("../../docs/limits.md"), 0, &["limits", "connections"]),
        (include_str!("../../docs/live.md"), 0, &["top"]),
        // All but the first have none.
        (include_str!("../../docs/operations.md"), 0, &["health", "completions", "man", "import"]),
        (include_str!("../../docs/quota.md"), 0, &["quota"]),
        (include_str!("../../docs/probe.md"), 0, &["probe"]),
        (include_str!("../../docs/simulate.md"), 0, &["simulate"]),
    ] {
        let listed: BTreeSet<String> =
            rows_of(page, "Flags", table).into_iter().flat_map(|row| names(row[0])).collect();
        let flags: BTreeSet<String> = commands.iter().flat_map(|name| flags(name)).collect();
        assert_eq!(listed, flags, "{commands:?}");
    }
}

// Families without samples are left out of an answer, so the server has some of everything.
#[test]
fn every_metric_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("all.toml");
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-of-some-length").unwrap();
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let everything = "admin = '127.0.0.1:0'
        admin_token_file = 'token'
        [tls.default]
        self_signed = true
        [quota]
        server = 'http://127.0.0.1:1'
        client_id = 'a'
        [tracing]
        [limits.server]
        rate = '1g'
        [[class]]
        name = 'vip'
        match = { network = '10.0.0.0/8' }
        limits.total = { rate = '1g' }
        [[route]]
        path = '/'
        files = '.'
        [[route]]
        path = '/events/'
        events = {}
        [[route]]
        path = '/api/'
        proxy = 'http://127.0.0.1:1'
        ";
    std::fs::write(&config, everything).unwrap();
    let program = Program::start(&["run", text(&config)]);
    let (_, page) = get(
        testkit::served::connect(program.admin()),
        "/metrics",
        "Authorization: Bearer a-token-of-some-length\r\n",
    );
    let page = String::from_utf8(page).unwrap();
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let shown: BTreeSet<String> =
        families.map(|name| name.strip_prefix("sluicegate_").unwrap_or(name).to_owned()).collect();
    let listed: BTreeSet<String> = rows_of(include_str!("../../docs/operations.md"), "Metrics and health", 0)
        .into_iter()
        .flat_map(|row| names(row[0]))
        .collect();
    assert_eq!(listed, shown);
    program.end();
}
