//! Three quota servers on one redis-server, of which one leads: stopped past its lease (SIGSTOP) and let go on, killed, and
//! without their store.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use sluicegate::quota::client::{Allocation, QuotaClient, QuotaClientSettings, ResourceUse, ShareState};
use sluicegate::quota::{Endpoints, MICRO};
use sluicegate::rt;
use testkit::program::{Program, command};
use testkit::wait::{joined, soon, until};

use crate::haproxy::blocks;
use crate::program::{Running, python};
use crate::redis::Redis;

const LEADER: &str = "{sluicegate:quota}:leader";
pub const LIMIT: u64 = 1 << 20;

pub struct Quota {
    pub program: Program,
    pub url: String,
}

impl Quota {
    pub fn start(redis: &Redis) -> Self {
        Self::with(&["--store", &redis.store()])
    }

    pub fn with(args: &[&str]) -> Self {
        let own =
            ["quota", "serve", "--heartbeat-timeout", "20s", "--limit", "r=1m", "--admin", "127.0.0.1:0"];
        let program = Program::start(&[&own[..], args].concat());
        let url = program.started[0].strip_prefix("quota server listening on ").unwrap().to_owned();
        Self { program, url }
    }

    /// What it answers at `path` of its admin listener; `None` once it has ended.
    pub fn admin(&self, path: &str) -> Option<String> {
        let at = self.program.started.iter().find_map(|line| line.strip_prefix("admin on http://")).unwrap();
        let mut stream = TcpStream::connect(at).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The value of a metric without labels; `None` without a sample.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let text = self.admin("/metrics")?;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    pub fn asked(&self, args: &[&str]) -> Result<String, String> {
        let output = command(&[&["quota"], args].concat()).args(["--server", &self.url]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Rate and source of the limit.
    pub fn limit(&self) -> Option<[String; 2]> {
        let list = self.asked(&["list"]).ok()?;
        let row: Vec<&str> = list.lines().nth(1)?.split_whitespace().collect();
        Some([row[1].to_owned(), row[4].to_owned()])
    }
}

pub fn limit(rate: &str, source: &str) -> Option<[String; 2]> {
    Some([rate.to_owned(), source.to_owned()])
}

/// Whether whoever leads learns. On a busy machine that may be another one than a moment before.
pub fn learns(quotas: &[Quota]) -> bool {
    soon("a leader", || quotas.iter().find_map(|quota| quota.figure("sluicegate_quota_learning"))) == 1.0
}

/// Waits for a leader that is not `but`.
pub fn leader(redis: &Redis, quotas: &[Quota], but: Option<usize>) -> usize {
    soon("a leader", || {
        let address = redis.says(&["HGET", LEADER, "address"]);
        let leader = quotas.iter().position(|quota| quota.url == address)?;
        (Some(leader) != but && quotas[leader].asked(&["list"]).is_ok()).then_some(leader)
    })
}

pub fn client(name: &str, servers: &Endpoints) -> (QuotaClient, Allocation) {
    let mut using = ResourceUse::new("r".parse().unwrap());
    // Nothing but leases is to be seen.
    using.safe_share_micros = Some(0);
    let mut settings = QuotaClientSettings::new(servers.first.clone(), name.parse().unwrap()).using(using);
    settings.others.clone_from(&servers.others);
    let client = QuotaClient::start(settings).unwrap();
    let share = client.allocation("r").unwrap();
    (client, share)
}

/// What is leased of all, if nothing changed while it was looked at.
fn leased(shares: &[Allocation]) -> Option<u64> {
    let look = || -> Vec<_> { shares.iter().map(Allocation::share).collect() };
    let (first, second) = (look(), look());
    let leases = first.iter().filter(|share| share.state == ShareState::Leased);
    (first == second).then(|| leases.map(|share| share.rate_micros).sum())
}

#[test]
fn a_leader_that_is_stopped_past_its_lease_and_goes_on_leases_nothing_beside_the_new_one() {
    let redis = Redis::start();
    let quotas = [Quota::start(&redis), Quota::start(&redis), Quota::start(&redis)];
    let urls = quotas.each_ref().map(|quota| quota.url.as_str()).join(",");
    let servers: Endpoints = urls.parse().unwrap();
    let first = leader(&redis, &quotas, None);
    let clients: Vec<_> = (0..4).map(|nth| client(&format!("c{nth}"), &servers)).collect();
    let shares: Vec<_> = clients.iter().map(|(_, share)| share.clone()).collect();
    let all_have = |part: u64| {
        let share = LIMIT * MICRO / part;
        until("equal shares", || shares.iter().all(|held| held.share().rate_micros == share));
    };
    all_have(4);

    let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (lapsed, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let look = {
        let (over, looks, lapsed, ends) = (over.clone(), looks.clone(), lapsed.clone(), ends.clone());
        let shares = shares.clone();
        thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                if let Some(leased) = leased(&shares) {
                    over.fetch_or(leased > LIMIT * MICRO, Ordering::SeqCst);
                    looks.fetch_add(1, Ordering::SeqCst);
                }
                lapsed.fetch_or(
                    shares.iter().any(|share| share.share().state == ShareState::SafeShare),
                    Ordering::SeqCst,
                );
                thread::sleep(Duration::from_millis(1));
            }
        })
    };
    quotas[first].program.signal(Signal::STOP);
    let second = leader(&redis, &quotas, Some(first));
    let term: u64 = redis.says(&["HGET", LEADER, "term"]).parse().unwrap();
    assert!(term >= 2);
    // Clients find it before their leases end; a newcomer has its share when it has learned what they hold.
    let (fifth, newcomer) = client("c4", &servers);
    until("a share for the newcomer", || newcomer.share().rate_micros > 0);
    assert!(!lapsed.load(Ordering::SeqCst), "a change of leaders costs nobody a share");
    quotas[first].program.signal(Signal::CONT);
    // It says where the leader is, which is asked.
    assert_eq!(quotas[first].limit(), limit("1m", "flag"));
    assert_eq!(redis.says(&["HGET", LEADER, "address"]), quotas[second].url);
    all_have(5);
    rt::block_on(fifth.close());
    all_have(4);

    // What is set at one holds at the next.
    until("a change that is kept", || quotas[first].asked(&["set", "r=512k"]).is_ok());
    assert_eq!(redis.says(&["HGET", "{sluicegate:quota}:limits", "r"]), "512k");
    quotas[second].program.signal(Signal::KILL);
    let third = leader(&redis, &quotas, Some(second));
    assert_eq!(quotas[third].limit(), limit("512k", "store"));
    all_have(8);
    ends.store(true, Ordering::SeqCst);
    joined("the look", look);
    assert!(looks.load(Ordering::SeqCst) > 100, "{looks:?}");
    assert!(!over.load(Ordering::SeqCst), "more than the limit was leased");
}

#[test]
fn without_its_store_nobody_leads_and_what_was_set_is_there_when_it_is_back() {
    let mut redis = Redis::start();
    let quotas = [Quota::start(&redis), Quota::start(&redis)];
    let first = leader(&redis, &quotas, None);
    until("a change that is kept", || quotas[first].asked(&["set", "r=2m"]).is_ok());
    redis.kill();
    let refused = quotas[first].asked(&["set", "r=3m"]).unwrap_err();
    assert!(
        refused.contains("the limit stays as it is: store unix:") || refused.contains("does not lead"),
        "{refused}"
    );
    let until_none = || quotas[first].asked(&["list"]).unwrap_err();
    until("no leader", || quotas[first].asked(&["list"]).is_err());
    assert!(until_none().contains("the quota server says: "), "{}", until_none());
    redis.begin();
    let next = leader(&redis, &quotas, None);
    assert_eq!(quotas[next].limit(), limit("2m", "store"));
    // One that ends gives the lease back.
    quotas[next].program.signal(Signal::TERM);
    leader(&redis, &quotas, Some(next));
}

#[test]
fn a_store_that_cannot_be_used_is_said_with_what_to_do() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("password");
    for (args, code, expected) in [
        (&["--store", "redis://u:secret@127.0.0.1"][..], 2, "has a password in it"),
        (&["--store", "redis://127.0.0.1/x"], 2, "the number of its database is not"),
        (&["--store-prefix", "a"], 2, "--store-prefix is of a shared --store"),
        (&["--advertise", "http://a:1"], 2, "--advertise is of a shared --store"),
        (&["--store", &redis.store(), "--learning", "0s"], 2, "a new leader on a shared --store learns"),
        (
            &["--store", &redis.store(), "--store-password-file", missing.to_str().unwrap()],
            1,
            "password: No such file",
        ),
        (
            &["--store", &redis.store(), "--listen", &format!("unix:{}", folder.path().join("s").display())],
            1,
            "say so with --advertise",
        ),
    ] {
        let listens = if args.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let output = command(&[&["quota", "serve"], args, listens].concat()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(expected) && !error.contains("secret"), "{args:?}: {error}");
    }
}

#[test]
fn grpcio_is_told_where_the_leader_is_and_finds_its_share_at_the_next_one() {
    let redis = Redis::start();
    let quotas = [Quota::start(&redis), Quota::start(&redis)];
    let first = leader(&redis, &quotas, None);
    until("an end of learning", || !learns(&quotas));
    let address = |nth: usize| quotas[nth].url.strip_prefix("http://").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = tempfile::tempdir().unwrap();
    let mut client = Command::new(python());
    client.arg(root.join("tests/peers/quota_follower.py"));
    client.args([root.join("proto").as_path(), generated.path()]);
    client.args([address(1 - first), address(first)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = Running(client.spawn().unwrap());
    let mut said = BufReader::new(client.0.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "holds 1048576 of 1048576");
    until("it to be kept", || redis.says(&["HLEN", "{sluicegate:quota}:leases"]) == "2");
    quotas[first].program.signal(Signal::KILL);
    leader(&redis, &quotas, Some(first));
    client.0.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    // It is known by its instance, and a newcomer gets a half without anybody learning.
    assert_eq!(said.next().unwrap().unwrap(), "then 524288 of 1048576");
    assert!(client.0.wait().unwrap().success());
}

#[test]
fn the_documented_servers_lead_and_follow() {
    let redis = Redis::start();
    let page = include_str!("../../docs/quota.md");
    let block = blocks(page, "Several quota servers", "text")[0];
    let quotas: Vec<Quota> = block
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (listen, args) = words.split_at(words.len() - 2);
            assert_eq!((words[0], args[0]), ("sluicegate", "--listen"), "{line}");
            let store = redis.store();
            let args = listen[1..].iter().map(|arg| match *arg {
                "redis://127.0.0.1:6379/0" => store.as_str(),
                arg => arg,
            });
            let program = Program::start(&args.collect::<Vec<_>>());
            let url = program.started[0].strip_prefix("quota server listening on ").unwrap().to_owned();
            Quota { program, url }
        })
        .collect();
    assert_eq!(quotas.len(), 3);
    leader(&redis, &quotas, None);
    for quota in &quotas {
        assert_eq!(quota.limit(), limit("100m", "flag"));
    }
}
