//! One stream of HTTP/2: has its request answered, and sends interim responses and the answer's head.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use http::header::{DATE, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Version, response};

use super::held::Piece;
use super::sending::{End, Sending};
use crate::http::body::RequestBody;
use crate::http::interim::Interim;
use crate::http::server::connection::Connection;
use crate::http::server::connection_fields;
use crate::http::server::date::with_date;
use crate::http::server::respond::{Asking, Responding, respond as answer};
use crate::http::server::response::ResponseBody;

/// Serves one stream to its end, or until its client resets it.
pub(super) async fn serve(
    connection: Arc<Connection>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Piece>,
) {
    let interim = Interim::default();
    let (head, content) = request.into_parts();
    let request = Request::from_parts(head, ());
    let body = RequestBody::received(content, request.headers(), &connection.unread);
    let request = request.map(|()| body);
    let response = match answer::<Infallible>(Arc::clone(&connection), request, Some(interim.clone()), None) {
        Responding::Ready(response) => Some(response),
        Responding::Small(never) => match never {},
        Responding::Asking(asking) => answered(asking, &interim, &mut respond).await,
    };
    let Some(response) = response else { return };
    interim.end();
    let (head, body) = response.into_parts();
    let Some(stream) = send_head(head, &body, &mut respond) else { return };
    drop(respond);
    if let End::GivenUp = Sending::new(stream, body, &connection).await {
        connection.server.telemetry.stream_stalled();
        let (client, peer) = (connection.client_addr(), connection.ends.peer);
        log::debug!(
            connection = connection.id, client:%, peer:%;
            "stream reset: its client took nothing for too long"
        );
    }
}

/// Waits for the response and sends interim responses meanwhile. `None` if the client reset the stream.
async fn answered(
    mut asking: Asking,
    interim: &Interim,
    respond: &mut SendResponse<Piece>,
) -> Option<Response<ResponseBody>> {
    std::future::poll_fn(|cx| {
        let answered = asking.as_mut().poll(cx);
        // Interim responses that came with the final one precede it.
        while let Poll::Ready((status, fields)) = interim.poll_next(cx) {
            send_interim(status, fields, respond);
        }
        match answered {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        }
    })
    .await
}

fn send_interim(status: StatusCode, fields: HeaderMap, respond: &mut SendResponse<Piece>) {
    let mut head = Response::new(()).into_parts().0;
    (head.status, head.headers) = (status, fields);
    connection_fields::conform(&mut head, Version::HTTP_2);
    // Fails if the stream was reset meanwhile; sending the final head then fails too.
    let _ = respond.send_informational(Response::from_parts(head, ()));
}

/// Sends the response's head. `None` if nothing follows it.
fn send_head(
    mut head: response::Parts,
    body: &ResponseBody,
    respond: &mut SendResponse<Piece>,
) -> Option<SendStream<Piece>> {
    if !head.headers.contains_key(DATE)
        && let Ok(date) = with_date(|date| HeaderValue::from_bytes(date))
    {
        head.headers.insert(DATE, date);
    }
    let is_last = body.is_end_stream();
    match respond.send_response(Response::from_parts(head, ()), is_last) {
        Ok(stream) => (!is_last).then_some(stream),
        Err(error) => {
            log::debug!(error:%; "the response head cannot be sent over HTTP/2");
            respond.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}
