//! What each path answers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, VARY},
};
use tokio::time::timeout;

use super::Shared;
use crate::text::negotiate;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// So much earlier than the reader gives up is the refusal sent, as blackbox_exporter does.
const MARGIN: Duration = Duration::from_millis(500);

const LANDING_PAGE: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">",
    "<title>Snowguard exporter</title></head>\n<body>\n<h1>Snowguard exporter</h1>\n",
    "<p>Version ",
    env!("CARGO_PKG_VERSION"),
    ". What is true of this Nix host.</p>\n",
    "<ul>\n<li><a href=\"/metrics\">Metrics</a></li>\n",
    "<li><a href=\"/-/healthy\">Health</a></li>\n</ul>\n</body>\n</html>\n",
);

type Answer = Response<Full<Bytes>>;

/// The answer to a request; bodies of requests are not read.
pub(super) async fn to<B>(shared: &Arc<Shared>, request: Request<B>) -> Result<Answer, Infallible> {
    let Ok(_in_flight) = shared.in_flight.try_acquire() else {
        return Ok(plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests in flight\n",
        ));
    };
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics" | "/-/healthy") {
        return Ok(plain(StatusCode::NOT_FOUND, "not found\n"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(answer);
    }
    Ok(match path {
        "/metrics" => metrics(shared, request.headers()).await,
        "/-/healthy" => plain(StatusCode::OK, "healthy\n"),
        _ => answer(StatusCode::OK, HTML, LANDING_PAGE),
    })
}

async fn metrics(shared: &Shared, headers: &HeaderMap) -> Answer {
    let patience = patience(headers, shared.limits.patience);
    let Ok(Some(snapshot)) = timeout(patience, shared.flight.snapshot()).await else {
        let why = format!("the collection has not ended within {patience:?}\n");
        return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why);
    };
    // Several Accept lines are one list (RFC 9110, 5.3).
    let accept: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let format = negotiate(Some(&accept.join(",")));
    let mut answer = answer(
        StatusCode::OK,
        format.content_type(),
        format.render(&snapshot.families),
    );
    answer
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

/// How long this reader waits for us, which Prometheus says in a header, at most `most`.
fn patience(headers: &HeaderMap, most: Duration) -> Duration {
    headers
        .get("x-prometheus-scrape-timeout-seconds")
        .and_then(|value| value.to_str().ok()?.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|patience| *patience > MARGIN)
        .map_or(most, |patience| most.min(patience - MARGIN))
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    answer(status, TEXT, text)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
