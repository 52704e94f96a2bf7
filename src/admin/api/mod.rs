//! The API: JSON over HTTP below `/v1/`, to list and change limits and connections.
//!
//! | path | methods |
//! |---|---|
//! | `/v1/openapi.json` | GET: the description of the API (OpenAPI 3.1) |
//! | `/v1/limits` | GET: all limits but those of single clients; DELETE: resets all |
//! | `/v1/limits/server`, `…/client`, `…/connection` | GET, PUT, PATCH, DELETE: resets it |
//! | `/v1/limits/clients` | GET: the limits of single clients |
//! | `/v1/limits/clients/{key}` | GET, PUT, PATCH, DELETE |
//! | `/v1/limits/routes/{path}/response`, `…/total`, `…/client` | GET, PUT, PATCH, DELETE |
//! | `/v1/limits/uploads/server`, `…/client`, `…/clients`, `…/clients/{key}` | as those of responses |
//! | `/v1/limits/routes/{path}/upload`, `…/upload-total`, `…/upload-client` | GET, PUT, PATCH, DELETE |
//! | `/v1/limits/classes/{name}/total`, `…/client`, `…/upload-total`, `…/upload-client` | GET, PUT, PATCH, DELETE |
//! | `/v1/connections` | GET |
//! | `/v1/connections/{id}` | GET, DELETE: resets it |
//! | `/v1/changes` | GET: what was changed here, by whom, and how to take it back |
//! | `/v1/upstreams` | GET: the backends of routes |
//! | `/v1/live`, `/v1/live/poll` | GET: what flows, as a stream of events (`admin::live`) |
//!
//! A change takes effect at once, also for transfers under way, and lasts until the configuration is reloaded or the
//! process ends. With `?save=true` it is also written to the overlay beside the configuration, and stays: it is made and saved, or
//! neither. DELETE takes back what was set by hand; PATCH with `?only=true` all but what it sets. Errors are problem details (RFC 9457).

mod change;
mod changes;
mod connections;
mod limit_report;
mod limits;
mod request;
mod rules;
mod saving;
mod schedules;
mod upstreams;

#[cfg(feature = "events")]
pub(super) use connections::binding;
#[cfg(feature = "events")]
pub(super) use limit_report::LimitReport;
#[cfg(feature = "events")]
pub(super) use limits::limit_reports;

use std::sync::Arc;

use http::{Method, Response, StatusCode, request::Parts};
use http_body::Body;

use self::changes::{Changes, What};
use super::admission::Refusal;
use crate::http::answer;
use crate::http::api::{Problem, Query, json, written};
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
use crate::http::server::Handle;
use crate::live_limits::{LimitChange, Name, Part};
use crate::rt;

const OPENAPI: &str = include_str!("openapi.json");

/// Entries of a page if the query has no `limit`.
const DEFAULT_PAGE: u64 = 100;

const MAX_PAGE: u64 = 500;

/// The highest connection number: the largest integer that a JSON number holds exactly in every language.
const MAX_ID: u64 = (1 << 53) - 1;

pub(super) struct Api {
    server: Handle,
    changes: Arc<Changes>,
}

/// Who asks, and whether it may change anything.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) peer: PeerAddr,
    pub(super) may_change: bool,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    OpenApi,
    Limits,
    /// Whether of uploads.
    OwnLimits(bool),
    Limit(Name),
    Connections,
    Connection(u64),
    Changes,
    Upstreams,
}

/// Whether `path` is the API's, also where it has no resource.
pub(super) fn has(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// The answer to a request that is not admitted.
pub(super) fn refused(refusal: Refusal) -> Response<Content> {
    let problem = Problem::new(refusal.status(), refusal.text());
    let problem = match refusal {
        Refusal::NoToken => problem.with_challenge(Refusal::CHALLENGE),
        Refusal::NotOneHost | Refusal::ForeignHost => problem,
    };
    problem.into_response()
}

impl Api {
    pub(super) fn new(server: Handle) -> Self {
        Self { server, changes: Arc::default() }
    }

    /// Answers a request that was admitted.
    pub(super) async fn answer<B>(&self, head: &Parts, content: B, asker: &Asker) -> Response<Content>
    where
        B: Body<Data = bytes::Bytes> + Unpin,
    {
        match self.try_answer(head, content, asker).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }

    async fn try_answer<B>(
        &self,
        head: &Parts,
        content: B,
        asker: &Asker,
    ) -> Result<Response<Content>, Problem>
    where
        B: Body<Data = bytes::Bytes> + Unpin,
    {
        let resource = self.resource(head.uri.path())?;
        resource.check(&head.method)?;
        if !matches!(head.method, Method::GET | Method::HEAD) {
            request::check_origin(head)?;
            if !asker.may_change {
                let detail =
                    "This token is for looking only (admin_read_only_token_file). Nothing was changed.";
                return Err(Problem::new(StatusCode::FORBIDDEN, detail));
            }
        }
        let peer = &asker.peer;
        let is_paged = matches!(resource, Resource::Connections | Resource::OwnLimits(_));
        let is_reading = matches!(head.method, Method::GET | Method::HEAD);
        let can_be_saved = matches!(resource, Resource::Limit(_) | Resource::Limits) && !is_reading;
        let is_patched = matches!(resource, Resource::Limit(_)) && head.method == Method::PATCH;
        let query = Query::parse(&head.uri)?.only(match (is_paged, can_be_saved) {
            (true, _) => &["limit", "after"],
            (_, true) if is_patched => &["save", "only"],
            (_, true) => &["save"],
            _ => &[],
        })?;
        let (is_saved, only) = (query.switch("save")?, query.switch("only")?);
        let limit = query.number("limit", 1..=MAX_PAGE)?.unwrap_or(DEFAULT_PAGE) as usize;
        match (resource, &head.method) {
            (Resource::OpenApi, _) => Ok(written(StatusCode::OK, OPENAPI)),
            (Resource::Connections, _) => {
                let after = query.number("after", 0..=MAX_ID)?.unwrap_or(0);
                Ok(connections::page(&self.server, after, limit))
            }
            (Resource::OwnLimits(of_uploads), _) => {
                Ok(limits::page(&self.server, of_uploads, query.text("after").unwrap_or_default(), limit))
            }
            (Resource::Limits, &Method::DELETE) => self.reset_all(is_saved, peer).await,
            (Resource::Limits, _) => Ok(limits::list(&self.server)),
            (Resource::Limit(name), &Method::GET | &Method::HEAD) => limits::one(&self.server, &name),
            (Resource::Limit(name), &Method::DELETE) => self.reset(name, is_saved, peer).await,
            (Resource::Limit(name), method) => {
                let object = request::object(head, content).await?;
                let change = change::of(&object, &name)?;
                let change = if method == Method::PUT { change::whole(&change, &name)? } else { change };
                self.change(name, (change, only), is_saved, peer).await
            }
            (Resource::Changes, _) => Ok(self.changes.list(!asker.may_change)),
            (Resource::Upstreams, _) => Ok(upstreams::list(&self.server)),
            (Resource::Connection(id), &Method::DELETE) => {
                let closed = connections::close(&self.server, id, &peer.to_string())?;
                self.changes.note_closed(&self.server, id, peer);
                Ok(closed)
            }
            (Resource::Connection(id), _) => connections::one(&self.server, id),
        }
    }

    /// Refuses changes once another process listens: they would hold for what ends here, and be lost with it.
    fn check_serving(&self) -> Result<(), Problem> {
        if !self.server.is_handed_over() {
            return Ok(());
        }
        let detail = "Another process has taken over the listeners, and this one only ends what is under way: send the \
                      request again on a new connection. Nothing was changed.";
        Err(request::try_again(detail))
    }

    async fn change(
        &self,
        name: Name,
        (change, only): (LimitChange, bool),
        is_saved: bool,
        by: &PeerAddr,
    ) -> Result<Response<Content>, Problem> {
        self.check_serving()?;
        if is_saved {
            let (server, changes) = (self.server.clone(), Arc::clone(&self.changes));
            let (by, name) = (*by, name.clone());
            rt::blocking(move || saving::change(&server, (&name, &change, only), &changes, &by)).await?;
        } else {
            self.changes.made(&self.server, What::Set, (&name, false), by, || {
                limits::change(&self.server, (&name, &change, only), by)
            })?;
        }
        limits::one(&self.server, &name)
    }

    async fn reset(&self, name: Name, is_saved: bool, by: &PeerAddr) -> Result<Response<Content>, Problem> {
        self.check_serving()?;
        if is_saved {
            let (server, changes, by) = (self.server.clone(), Arc::clone(&self.changes), *by);
            rt::blocking(move || saving::reset(&server, &name, &changes, &by)).await?;
        } else {
            self.changes.made(&self.server, What::Reset, (&name, false), by, || {
                limits::reset(&self.server, &name, by)
            })?;
        }
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    async fn reset_all(&self, is_saved: bool, by: &PeerAddr) -> Result<Response<Content>, Problem> {
        self.check_serving()?;
        let (server, changes, by) = (self.server.clone(), Arc::clone(&self.changes), *by);
        let reset = match is_saved {
            true => rt::blocking(move || saving::reset_all(&server, &changes, &by)).await?,
            false => changes.made_of_all(&server, false, &by, || limits::reset_all(&server, &by))?,
        };
        Ok(json(StatusCode::OK, &limits::ResetList { reset }))
    }

    fn resource(&self, path: &str) -> Result<Resource, Problem> {
        let nothing = || {
            let detail = "There is no such resource; /v1/openapi.json lists them.";
            Problem::new(StatusCode::NOT_FOUND, detail)
        };
        let segments = request::segments(path).ok_or_else(nothing)?;
        // The first segment is the empty text before the first slash.
        let segments: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
        Ok(match segments[..] {
            ["v1", "openapi.json"] => Resource::OpenApi,
            ["v1", "limits"] => Resource::Limits,
            ["v1", "limits", "server"] => Resource::Limit(Name::Server),
            ["v1", "limits", "client"] => Resource::Limit(Name::Client),
            ["v1", "limits", "connection"] => Resource::Limit(Name::Connection),
            ["v1", "limits", "clients"] => Resource::OwnLimits(false),
            ["v1", "limits", "uploads", "server"] => Resource::Limit(Name::UploadServer),
            ["v1", "limits", "uploads", "client"] => Resource::Limit(Name::UploadClient),
            ["v1", "limits", "uploads", "clients"] => Resource::OwnLimits(true),
            ["v1", "limits", "uploads", "clients", key] => {
                Resource::Limit(Name::UploadOwn(limits::client_key(&self.server, key)?))
            }
            ["v1", "limits", "clients", key] => {
                Resource::Limit(Name::Own(limits::client_key(&self.server, key)?))
            }
            ["v1", "limits", "routes", path, part] => {
                let part = Part::of_word(part).ok_or_else(nothing)?;
                Resource::Limit(Name::Route(path.to_owned(), part))
            }
            ["v1", "limits", "classes", name, part] => {
                let part = Part::of_word(part).filter(|part| Part::OF_CLASS.contains(part));
                Resource::Limit(Name::Class(name.to_owned(), part.ok_or_else(nothing)?))
            }
            ["v1", "connections"] => Resource::Connections,
            ["v1", "changes"] => Resource::Changes,
            ["v1", "upstreams"] => Resource::Upstreams,
            ["v1", "connections", id] => {
                let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
                let id = id.parse().ok().filter(|_| digits);
                Resource::Connection(id.ok_or_else(connections::none)?)
            }
            _ => return Err(nothing()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::RETRY_AFTER;
    use serde_json::json as value;

    use super::*;
    use crate::config::{FilterKinds, Loader};
    use crate::http::server::Server;
    use crate::limit::Rate;

    /// A change reads a limit and writes it back, which would undo another change or a reload in between.
    #[test]
    fn changes_and_reloads_go_one_by_one() {
        let text = "listen='127.0.0.1:0'\n[limits]\nserver={rate='7B'}\n[[route]]\npath='/'\nfiles='src'";
        let config = Loader::new().parse(text, "test.toml", env!("CARGO_MANIFEST_DIR")).unwrap();
        let handle = Server::from_config(&config, &FilterKinds::default()).unwrap().handle();
        let change = {
            let api = Api::new(handle.clone());
            move || {
                let request =
                    http::Request::patch("/v1/limits/server").header("content-type", "application/json");
                let head = request.body(()).unwrap().into_parts().0;
                let content = "{\"burst\": 5}".to_owned();
                let answer = rt::block_on(api.answer(
                    &head,
                    content,
                    &Asker { peer: PeerAddr::Unix, may_change: true },
                ));
                assert_eq!(answer.status(), StatusCode::OK);
            }
        };
        let reload = {
            let handle = handle.clone();
            move || assert!(handle.reload(&config, &FilterKinds::default()).is_ok())
        };
        let server = handle.budgets().server();
        for (other, expected) in
            [(Box::new(reload) as Box<dyn FnOnce() + Send>, (7, 0)), (Box::new(change), (9, 5))]
        {
            let other = handle.changing(|| {
                let other = std::thread::spawn(other);
                // In real time: nothing shows that a thread waits for a lock. Without the lock it takes a tenth of that.
                std::thread::sleep(Duration::from_millis(100));
                assert!(!other.is_finished(), "it goes on while another change is under way");
                server.set(crate::limit::Budget::of(Rate::or_unlimited(9)));
                other
            });
            other.join().unwrap();
            let budget = server.budget();
            assert_eq!((budget.rate, budget.burst), (Rate::or_unlimited(expected.0), expected.1));
        }
    }

    /// A new program has read what is saved: what were saved here then it would not have.
    #[test]
    fn nothing_is_saved_while_a_new_program_takes_over() {
        let text = "listen='127.0.0.1:0'\n[[route]]\npath='/'\nfiles='src'";
        let config = Loader::new().parse(text, "test.toml", env!("CARGO_MANIFEST_DIR")).unwrap();
        let handle = Server::from_config(&config, &FilterKinds::default()).unwrap().handle();
        let api = Api::new(handle.clone());
        let answer = |method: Method, path: &str| {
            let request = http::Request::builder().method(&method).uri(path);
            let request = request.header("content-type", "application/json");
            let head = request.body(()).unwrap().into_parts().0;
            let content = if method == Method::PATCH { "{\"rate\": 5}" } else { "" };
            let asker = Asker { peer: PeerAddr::Unix, may_change: true };
            let answer = rt::block_on(api.answer(&head, content.to_owned(), &asker));
            (answer.status().as_u16(), answer.headers().contains_key(RETRY_AFTER))
        };
        let saves = [
            (Method::PATCH, "/v1/limits/server?save=true"),
            (Method::DELETE, "/v1/limits/server?save=true"),
            (Method::DELETE, "/v1/limits?save=true"),
        ];
        // The configuration is no file, so that the saves which may be made fail.
        for paused in [true, false, true] {
            let pause = paused.then(|| handle.pause_saves());
            for (method, path) in saves.clone() {
                let expected = if paused { (503, true) } else { (409, false) };
                assert_eq!(answer(method, path), expected, "{path}");
            }
            assert_eq!(answer(Method::PATCH, "/v1/limits/server").0, 200, "it is not saved");
            drop(pause);
        }
        handle.pause_saves().for_good();
        assert_eq!(answer(Method::PATCH, "/v1/limits/server?save=true").0, 503);
    }

    /// What a change says of before is what it found, also if it waited for another change.
    #[test]
    fn what_was_before_is_read_when_a_change_is_made() {
        let text = "listen='127.0.0.1:0'\n[limits]\nserver={rate='7B'}\n[[route]]\npath='/'\nfiles='src'";
        let config = Loader::new().parse(text, "test.toml", env!("CARGO_MANIFEST_DIR")).unwrap();
        let handle = Server::from_config(&config, &FilterKinds::default()).unwrap().handle();
        let api = Arc::new(Api::new(handle.clone()));
        let object = value!({"rate": 8});
        let change = change::of(object.as_object().unwrap(), &Name::Server).unwrap();
        assert!(rt::block_on(api.change(Name::Server, (change, false), false, &PeerAddr::Unix)).is_ok());
        let other = handle.changing(|| {
            let api = Arc::clone(&api);
            let other = std::thread::spawn(move || rt::block_on(api.reset_all(false, &PeerAddr::Unix)));
            // As above: nothing shows that it waits.
            std::thread::sleep(Duration::from_millis(100));
            handle.budgets().server().set(crate::limit::Budget::of(Rate::or_unlimited(9)));
            other
        });
        assert!(other.join().unwrap().is_ok());
        assert_eq!(api.changes.latest().unwrap()["before"]["rate"], 9);
    }
}
