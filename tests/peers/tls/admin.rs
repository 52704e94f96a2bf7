//! The admin listener inside TLS, with curl by each version of HTTP.

use sluicegate::admin::Admin;
use sluicegate::http::server::Settings;
use sluicegate::tls::{Identity, ServerTls, TlsSettings};
use sluicegate::token::Token;
use testkit::certificates::Certificates;
use testkit::watched::{TOKEN, Watched};

use super::curl;
use crate::program::succeeded;

#[test]
fn curl_scrapes_and_changes_limits_at_the_admin_listener_by_each_version() {
    let made = Certificates::make();
    let identity = Identity { certificate: made.at("server.pem"), key: made.at("server.key") };
    let tls = ServerTls::from_settings("main", &TlsSettings::of(vec![identity])).unwrap();
    let watched = Watched::made(Settings::default(), Vec::new(), |listener, handle| {
        let admin = Admin::new(vec![listener], Some(Token::new(TOKEN).unwrap()), handle).unwrap();
        admin.with_tls(Some(tls))
    });
    let url = |path: &str| format!("https://{}{path}", watched.admin);
    let token = format!("Authorization: Bearer {TOKEN}");
    for (way, version, rate) in [("--http1.1", "1.1", "5000"), ("--http2", "2", "6000")] {
        let asked = |args: &[&str]| {
            let format = "\n%{http_code} %{http_version}";
            let printed = succeeded(curl(&made).args([way, "-w", format]).args(args));
            let printed = String::from_utf8(printed).unwrap();
            let (body, end) = printed.rsplit_once('\n').unwrap();
            (body.to_owned(), end.to_owned())
        };
        let fine = format!("200 {version}");
        assert_eq!(asked(&[&url("/healthz")]), ("ok\n".to_owned(), fine.clone()));
        assert_eq!(asked(&[&url("/metrics")]).1, format!("401 {version}"));
        let (metrics, end) = asked(&["-H", &token, "--compressed", &url("/metrics")]);
        assert!(metrics.starts_with("# HELP ") && end == fine, "{end}: {metrics}");
        let (changed, end) = asked(&[
            "-X",
            "PATCH",
            "-H",
            &token,
            "-H",
            "Content-Type: application/json",
            "-d",
            &format!("{{\"rate\": {rate}}}"),
            &url("/v1/limits/server"),
        ]);
        assert!(changed.contains(rate) && end == fine, "{end}: {changed}");
        let (_, end) = asked(&["-H", &token, "-I", &url("/v1/limits")]);
        assert_eq!(end, fine);
    }
}
