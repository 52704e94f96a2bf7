//! Parts of settings are written as they are read: what a program keeps in a format of its own is the same when it comes back.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use sluicegate::address::{HostPort, ListenAddr, Network};
use sluicegate::http::proxy::{HostPolicy, UpstreamUrl};
use sluicegate::http::route::{ContentType, Extension, PathPattern, QueryKey, SizeBound, StatusClass};
use sluicegate::http::{ClassName, HostPattern, KeySource, MaxBody, RedirectTarget, TextPattern};
use sluicegate::quota::{Endpoint, Endpoints, Id, NamedLimit, ResourceLimit};
use sluicegate::schedule::Zone;

/// What of `texts` is not read as the same when it was written.
fn differ<T>(texts: &[&str]) -> Vec<String>
where
    T: FromStr<Err: Debug> + Display + PartialEq + Debug,
{
    let differs = |text: &&str| {
        let value: T = text.parse().map_err(|error| format!("{text} is not read: {error:?}"))?;
        let written = value.to_string();
        let again: T = written.parse().map_err(|error| format!("{text}, written {written}: {error:?}"))?;
        if again == value {
            Ok(())
        } else {
            Err(format!("{text}, written {written}: {again:?} is not {value:?}"))
        }
    };
    let name = std::any::type_name::<T>();
    texts.iter().filter_map(|text| differs(text).err()).map(|why: String| format!("{name}: {why}")).collect()
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let wrong = [
        differ::<ListenAddr>(&["127.0.0.1:8080", "[::1]:0", "unix:/run/a b.sock"]),
        differ::<HostPort>(&["localhost:80", "[::1]:9000", "10.0.0.1:1"]),
        differ::<Network>(&["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]),
        differ::<UpstreamUrl>(&["http://127.0.0.1:9000", "https://example.org/base/", "unix:/run/app.sock"]),
        differ::<HostPolicy>(&["client", "upstream", "example.org"]),
        differ::<ContentType>(&["video/*", "text/html"]),
        differ::<Extension>(&["mp4"]),
        differ::<PathPattern>(&["/a/*", "*.iso", "/a/**/b"]),
        differ::<QueryKey>(&["preview", "speed=low"]),
        differ::<SizeBound>(&[">10m", "<=1500000B"]),
        differ::<StatusClass>(&["2xx", "404"]),
        differ::<ClassName>(&["vip", "a-b_c"]),
        differ::<HostPattern>(&["example.org", "*.example.org"]),
        differ::<KeySource>(&["address", "header:x-api-key", "certificate"]),
        differ::<MaxBody>(&["off", "1m", "1500000B"]),
        differ::<RedirectTarget>(&["https://example.org/", "/elsewhere"]),
        differ::<TextPattern>(&["abc", "abc*"]),
        differ::<Endpoint>(&["http://127.0.0.1:9190", "https://quota.example.org:9190"]),
        differ::<Endpoints>(&["http://127.0.0.1:9190, http://127.0.0.2:9190"]),
        differ::<Id>(&["egress", "a.b-c"]),
        differ::<NamedLimit>(&["egress=1m", "b=1500000B"]),
        differ::<ResourceLimit>(&["1m", "100/s"]),
        differ::<Zone>(&["UTC", "Europe/Berlin"]),
    ]
    .concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
