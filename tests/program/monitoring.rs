//! The dashboard and the alerts in contrib/ ask only for metrics, and labels of them, that there are.

use std::collections::BTreeSet;
use std::fs;

use testkit::certificates::Certificates;
use testkit::contrib::{contrib, dashboard_queries};
use testkit::program::{Program, command, get};
use testkit::watched::page;

/// Something of each kind that has metrics of its own.
const ALL: &str = "
listen = ['127.0.0.1:0', { address = '127.0.0.1:0', tls = 'main' }]
admin = '127.0.0.1:0'
limits = { server = { rate = '100m' }, upload = { server = { rate = '100m' } } }

[tls.main]
cert = 'server.pem'
key = 'server.key'

[quota]
server = 'http://127.0.0.1:9'
resource = 'egress'
client_id = 'web-1'
safe_share = '1m'

[[class]]
name = 'vip'
match = { network = '192.0.2.0/24' }
limits = { total = { rate = '64m' }, client = { rate = '1m' } }

[[route]]
path = '/'
files = '.'
limits.total = { rate = '10m' }

[[route]]
path = '/app/'
proxy = 'http://127.0.0.1:9'

[[route]]
path = '/events/'
events = { names = ['s'] }
";

/// Labels that the scraper adds.
const OF_THE_SCRAPER: [&str; 2] = ["instance", "job"];

/// Each metric that is asked for, with the labels that its selector names.
fn asked(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expression
        .match_indices("sluicegate_")
        .chain(expression.match_indices("process_"))
        .filter(|(at, _)| !expression[..*at].ends_with(is_of_name))
    {
        let name: String = expression[at..].chars().take_while(|c| is_of_name(*c)).collect();
        let selector =
            expression[at + name.len()..].strip_prefix('{').map(|rest| rest.split_once('}').unwrap().0);
        let labels = selector.into_iter().flat_map(|selector| selector.split(','));
        let labels = labels.map(|label| label.trim().chars().take_while(|c| is_of_name(*c)).collect());
        found.push((name, labels.collect()));
    }
    found
}

/// The labels by which `expression` groups and joins.
fn grouped(expression: &str) -> BTreeSet<String> {
    let lists = ["by (", "on ("].iter().flat_map(|word| expression.split(word).skip(1));
    lists.flat_map(|rest| rest.split_once(')').unwrap().0.split(", ")).map(str::to_owned).collect()
}

/// The labels that the samples of `name` have on a page; `None` if there are none.
fn labels(page: &str, name: &str) -> Option<BTreeSet<String>> {
    let mut samples =
        page.lines().filter_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' '])));
    let first = samples.next()?;
    let all = std::iter::once(first).chain(samples);
    Some(
        all.flat_map(|rest| rest.split("=\""))
            .filter_map(|part| part.rsplit(['{', ',']).next())
            .map(str::to_owned)
            .collect(),
    )
}

/// The expressions of alerts, each up to its `for`.
fn of_alerts(file: &str) -> Vec<String> {
    let text = fs::read_to_string(contrib("prometheus").join(file)).unwrap();
    let alerts = text.split("        expr: ").skip(1);
    alerts.map(|alert| alert.split_once("\n        for: ").unwrap().0.to_owned()).collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let made = Certificates::make();
    made.write("all.toml", ALL);
    let program = Program::start_where_told(command(&["run", &made.path("all.toml")]));
    let (head, _) = get(program.connect(), "/server.pem", "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let page = page(program.admin(), "/metrics");
    let sources = [dashboard_queries(), of_alerts("server.rules.yml"), of_alerts("events.rules.yml")];
    assert_eq!(sources.each_ref().map(Vec::len), [47, 11, 4]);
    for expression in sources.iter().flatten() {
        let mut known: BTreeSet<String> = OF_THE_SCRAPER.map(str::to_owned).into();
        let asked = asked(expression);
        assert!(!asked.is_empty(), "{expression}");
        for (name, selected) in asked {
            let there = labels(&page, &name).unwrap_or_else(|| panic!("no {name}, for {expression}\n{page}"));
            known.extend(there.iter().cloned());
            let missing: Vec<_> = selected
                .iter()
                .filter(|label| !there.contains(*label) && !OF_THE_SCRAPER.contains(&label.as_str()))
                .collect();
            assert!(missing.is_empty(), "{name} has no {missing:?}, for {expression}");
        }
        let unknown: Vec<_> = grouped(expression).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "nothing has {unknown:?}, for {expression}");
    }
    program.end();
}
