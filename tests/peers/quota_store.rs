//! Quota servers and what redis-server keeps for them: leases, through changes of leaders and of the store; TLS, users and
//! passwords; a replica that takes over.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;
use sluicegate::quota::{Endpoints, MICRO};
use sluicegate::rt;
use testkit::certificates::Certificates;
use testkit::wait::{soon, until};

use crate::admin_promtool::check_metrics;
use crate::quota_leaders::{LIMIT, Quota, client, leader, learns, limit};
use crate::redis::Redis;

const LEASES: &str = "{sluicegate:quota}:leases";

/// Waits until whoever leads has learned what clients hold.
fn learned(quotas: &[Quota]) {
    until("an end of learning", || !learns(quotas));
}

fn endpoints(quotas: &[Quota]) -> Endpoints {
    let urls: Vec<&str> = quotas.iter().map(|quota| quota.url.as_str()).collect();
    urls.join(",").parse().unwrap()
}

#[test]
fn a_new_leader_knows_what_is_leased_and_learns_only_where_the_store_may_have_lost_something() {
    let mut redis = Redis::start();
    let quotas = [Quota::start(&redis), Quota::start(&redis), Quota::start(&redis)];
    let servers = endpoints(&quotas);
    let first = leader(&redis, &quotas, None);
    until("learning: nothing is known of an empty store", || learns(&quotas));
    learned(&quotas);
    let clients: Vec<_> = (0..4).map(|nth| client(&format!("c{nth}"), &servers)).collect();
    let all_have = |part: u64| {
        let share = LIMIT * MICRO / part;
        until("equal shares", || clients.iter().all(|(_, held)| held.share().rate_micros == share));
    };
    all_have(4);
    // Each client, and which process of the store has them.
    until("all to be kept", || redis.says(&["HLEN", LEASES]) == "5");
    quotas[first].program.signal(Signal::KILL);
    let second = leader(&redis, &quotas, Some(first));
    // From the first moment on that it leads.
    assert!(!learns(&quotas));
    let (fifth, newcomer) = client("c4", &servers);
    until("a share for the newcomer", || newcomer.share().rate_micros == LIMIT * MICRO / 5);
    all_have(5);
    rt::block_on(fifth.close());
    all_have(4);
    until("one less to be kept", || redis.says(&["HLEN", LEASES]) == "5");
    // One that ends leaves it to the next, too.
    quotas[second].program.signal(Signal::TERM);
    let third = leader(&redis, &quotas, Some(second));
    assert!(!learns(&quotas));
    let samples = [
        "quota_leads 1",
        "quota_limit{resource=\"r\",unit=\"bytes\"} 1048576",
        "quota_limits 1",
        "quota_learning 0",
    ];
    let text = soon("all figures of who leads", || {
        let text = quotas[third].admin("/metrics")?.split_once("\r\n\r\n")?.1.to_owned();
        samples.iter().all(|sample| text.contains(&format!("\nsluicegate_{sample}"))).then_some(text)
    });
    check_metrics(&text);
    // Another process, though it has all that it was told.
    redis.kill();
    until("no leader", || quotas.iter().all(|quota| quota.figure("sluicegate_quota_leads") != Some(1.0)));
    until("a reason", || quotas[third].admin("/readyz").is_some_and(|text| text.contains("no leader")));
    until("errors", || quotas[third].figure("sluicegate_quota_store_errors_total") > Some(0.0));
    redis.begin();
    until("learning, and nothing kept", || learns(&quotas) && redis.says(&["EXISTS", LEASES]) == "0");
    // One that was emptied, whoever leads.
    learned(&quotas);
    until("all to be kept", || redis.says(&["HLEN", LEASES]) == "5");
    redis.says(&["FLUSHALL"]);
    until("learning", || learns(&quotas));
}

/// What names the process of the store, and since when it takes writes, in a record.
fn run(redis: &Redis) -> String {
    let info = ["server", "replication"].map(|section| redis.says(&["INFO", section])).concat();
    let word = |name: &str| {
        let (_, rest) = info.split_once(name).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    format!("1 {} {}", word("run_id:"), word("master_replid:"))
}

#[test]
fn a_record_is_read_whatever_its_clients_are_called_and_one_of_longer_leases_is_taken_out() {
    for (longest, is_used) in [("20000", true), ("60000", false)] {
        // Hashes of this size are answered in the order they were written.
        let redis = Redis::with(&["--hash-max-ziplist-value", "1000"]);
        redis.says(&["HSET", LEASES, "stale", "r=1000000\n", "#", &run(&redis)]);
        redis.says(&["SET", "{sluicegate:quota}:longest", longest]);
        let quotas = [Quota::start(&redis)];
        leader(&redis, &quotas, None);
        assert_eq!((learns(&quotas), redis.says(&["EXISTS", LEASES]) == "1"), (!is_used, is_used));
    }
}

/// Sends connections on to one of two servers, as a virtual address does.
struct Relay {
    addr: SocketAddr,
    to: Arc<Mutex<(u16, Vec<TcpStream>)>>,
}

impl Relay {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, to) = (listener.local_addr().unwrap(), Arc::new(Mutex::new((to, Vec::new()))));
        let target = Arc::clone(&to);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let mut target = target.lock().unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", target.0)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || copied(from, to));
                }
                target.1.extend([client, server]);
            }
        });
        Self { addr, to }
    }

    fn switch(&self, to: u16) {
        let mut target = self.to.lock().unwrap();
        target.0 = to;
        target.1.drain(..).for_each(|open| drop(open.shutdown(std::net::Shutdown::Both)));
    }
}

fn copied(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _: io::Result<()> = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_replica_that_takes_over_has_the_limits_and_what_is_leased_is_learned() {
    let port = |port: u16| vec!["--port".to_owned(), port.to_string()];
    let (main_port, mut main) = Redis::on_port(port);
    let (copy_port, copy) = Redis::on_port(|at| {
        [port(at), vec!["--replicaof".into(), "127.0.0.1".into(), main_port.to_string()]].concat()
    });
    until("the copy", || copy.says(&["INFO", "replication"]).contains("master_link_status:up"));
    let relay = Relay::start(main_port);
    let store = format!("redis://{}/0", relay.addr);
    let quotas = [Quota::with(&["--store", &store]), Quota::with(&["--store", &store])];
    let servers = endpoints(&quotas);
    let first = leader(&main, &quotas, None);
    learned(&quotas);
    let (_held, share) = client("c0", &servers);
    until("the share", || share.share().rate_micros == LIMIT * MICRO);
    until("a change that is kept", || quotas[first].asked(&["set", "r=512k"]).is_ok());
    until("both on the copy", || {
        copy.says(&["HGET", "{sluicegate:quota}:limits", "r"]) == "512k"
            && copy.says(&["HLEN", LEASES]) == "2"
    });
    let of_main = main.says(&["HGET", LEASES, "#"]);
    assert!(of_main.starts_with("1 "), "{of_main}");
    main.kill();
    assert_eq!(copy.says(&["REPLICAOF", "NO", "ONE"]), "OK");
    relay.switch(copy_port);
    // The copy has the lease too; whoever held it goes on, and whoever comes to lead there does not believe the copy's leases.
    let second = leader(&copy, &quotas, None);
    until("the limit", || quotas[second].limit() == limit("512k", "store"));
    until("the share of it", || share.share().rate_micros == LIMIT / 2 * MICRO);
    quotas[second].program.signal(Signal::KILL);
    leader(&copy, &quotas, Some(second));
    // Written anew at this process, or taken out: nobody believes what was written to another one.
    until("another record", || copy.says(&["HGET", LEASES, "#"]) != of_main);
    until("the share of it", || share.share().rate_micros == LIMIT / 2 * MICRO);
}

#[test]
fn a_store_is_reached_through_tls_with_a_user_and_a_password() {
    let certificates = Certificates::make();
    let file = |name: &str| certificates.path(name);
    let (port, redis) = Redis::on_port(|port| {
        let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"].map(str::to_owned);
        let files = [
            ("--tls-cert-file", "server.pem"),
            ("--tls-key-file", "server.key"),
            ("--tls-ca-cert-file", "ca.pem"),
        ];
        let files = files.into_iter().flat_map(|(flag, name)| [flag.to_owned(), file(name)]);
        let user =
            ["--user", "qu@ta", "on", ">sec@ret:of/it", "~{sluicegate:quota}:*", "+@all"].map(str::to_owned);
        tls.into_iter().chain(files).chain(user).collect()
    });
    let folder = tempfile::tempdir().unwrap();
    let password = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (password("right", "sec@ret:of/it\n"), password("wrong", "sec@ret:of/them\n"));
    let store = format!("rediss://qu%40ta@127.0.0.1:{port}/0");
    let with = |password: &str, ca: &str| {
        Quota::with(&["--store", &store, "--store-password-file", password, "--store-ca", ca])
    };
    let quotas = [with(&right, &file("ca.pem")), with(&right, &file("ca.pem"))];
    let first = leader(&redis, &quotas, None);
    assert!(redis.says(&["CLIENT", "LIST"]).contains("user=qu@ta"));
    until("a change that is kept", || quotas[first].asked(&["set", "r=512k"]).is_ok());
    until("the limit at the other one", || quotas[1 - first].limit() == limit("512k", "store"));
    // Neither of these two ever leads, and the log does not have the password.
    let other = Certificates::make();
    for quota in [with(&wrong, &file("ca.pem")), with(&right, &other.path("ca.pem"))] {
        until("errors", || {
            quota.figure("sluicegate_quota_store_errors_total").is_some_and(|errors| errors > 1.0)
        });
        assert_eq!(quota.figure("sluicegate_quota_leads"), Some(0.0));
        assert!(quota.asked(&["list"]).unwrap_err().contains("does not lead"));
    }
}
