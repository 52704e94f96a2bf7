//! A program of one's own: filters added by name, for use in a configuration.

use std::sync::Arc;

use sluicegate::config::FilterKinds;
use sluicegate::filter::{Filter, FilterFactory, factory_fn};
use sluicegate::http::server::Server;
use sluicegate::rt;

use testkit::filters::{by, map};
use testkit::program::{get, site};
use testkit::served::connect;

/// Puts one letter in the place of another.
fn swap(from: u8, to: u8) -> impl Filter {
    by(move |_, input, output| {
        map(input, output, |bytes| bytes.iter().map(|byte| if *byte == from { to } else { *byte }).collect())
    })
}

fn kinds() -> FilterKinds {
    FilterKinds::default().with("swap", |options| {
        let letter = |key: &str| match options.get(key).and_then(|value| value.as_str()).map(str::as_bytes) {
            Some([letter]) => Ok(*letter),
            _ => Err(format!("{key} is to be one letter")),
        };
        let (from, to) = (letter("from")?, letter("to")?);
        Ok(Arc::new(factory_fn(move || swap(from, to))) as Arc<dyn FilterFactory>)
    })
}

fn config(to: &str) -> String {
    format!(
        "listen = '127.0.0.1:0'\n[filter.vowels]\nkind = 'swap'\nfrom = 'e'\nto = '{to}'\n\
         [[route]]\npath = '/'\nfiles = '.'\nrate = '1m'\nfilters = ['vowels']\n"
    )
}

#[test]
fn a_kind_of_ones_own_is_used_by_its_name() {
    let site = site(10);
    let kinds = kinds();
    let config = kinds.loader().parse(&config("3"), "own.toml", site.path()).unwrap();
    let server = Server::from_config(&config, &kinds).unwrap();
    let (addr, handle) = (server.local_addrs()[0], server.handle());
    let thread = std::thread::spawn(move || rt::block_on(server.run()));
    let (head, body) = get(connect(addr), "/a.txt", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(String::from_utf8(body).unwrap(), "th3 s3cr3t t3xt\n".repeat(100));
    handle.stop();
    thread.join().unwrap();
}

#[test]
fn errors_about_its_options_reach_the_user() {
    let site = site(10);
    let kinds = kinds();
    let config = kinds.loader().parse(&config("three"), "own.toml", site.path()).unwrap();
    let error = Server::from_config(&config, &kinds).err().unwrap().to_string();
    assert!(error.contains("vowels") && error.contains("to is to be one letter"), "{error}");
}

#[test]
fn a_kind_that_was_not_added_is_unknown() {
    let site = site(10);
    let error = FilterKinds::default().loader().parse(&config("3"), "own.toml", site.path()).unwrap_err();
    assert!(error.to_string().contains("own.toml:3:") && error.to_string().contains("swap"), "{error}");
}
