//! Sluicegate as its user starts it: one command, nothing tuned but the number of connections.

use crate::setup::{Place, Setup, Source};

pub fn args(setup: &Setup<'_>, place: &Place<'_>) -> Vec<String> {
    let (command, source) = match setup.source {
        Source::File => ("serve", setup.site.folder().display().to_string()),
        Source::Proxied(port) => ("proxy", format!("http://127.0.0.1:{port}")),
    };
    let listen = format!("127.0.0.1:{}", place.port);
    let rate = setup.kib_per_second.map_or("off".to_owned(), |rate| rate.to_string());
    // All come from one address, which gets 7/8 of the places at most.
    let most = (2 * setup.connections + 16).to_string();
    let mut args = vec![command, &source, "--listen", &listen, "--rate", &rate, "--max-connections", &most];
    let [cert, key] =
        [setup.site.certificate(), setup.site.key()].map(|path| path.to_string_lossy().into_owned());
    if setup.tls {
        args.extend(["--tls-cert", &cert, "--tls-key", &key]);
    }
    if let Some(interval) = setup.interval {
        args.extend(["--interval", interval]);
    }
    args.into_iter().map(str::to_owned).collect()
}
