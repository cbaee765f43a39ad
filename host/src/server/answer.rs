//! Answers and how they travel: JSON with a status, from which the other end tells how a command ends.
//!
//! It does not know which requests there are.

use super::error::ServerError;
use crate::api::{ErrorBody, ErrorJson};
use crate::error::{Exit, Failure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;
use tower::ServiceExt;

/// Bytes of a request's body: a policy of many files has far less.
const BODY_MAX: usize = 1 << 20;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What a handler gives.
pub(super) type Outcome<T> = Result<Said<T>, Refused>;

/// An answer, sent as JSON.
pub(super) struct Said<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Said<T> {
    fn into_response(self) -> Response {
        response(StatusCode::OK, &self.0)
    }
}

/// An error, sent as `{"error": …}`.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Failure);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<ServerError> for Refused {
    fn from(error: ServerError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let error = ErrorJson::from(&self.0);
        response(status_of(&self.0), &ErrorBody { error })
    }
}

fn response<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, json, body).into_response()
}

/// The status of a failure. What [`exit_of`] makes of it is how the failure ends a command.
fn status_of(failure: &Failure) -> StatusCode {
    let reason = failure.stop.as_deref().map(|stop| &stop["reason"]);
    match (failure.exit, &*failure.code) {
        (Exit::Usage, "no-tenant" | "no-task" | "no-route") => StatusCode::NOT_FOUND,
        (Exit::Usage, "method") => StatusCode::METHOD_NOT_ALLOWED,
        (Exit::Usage, "body-too-large") => StatusCode::PAYLOAD_TOO_LARGE,
        (Exit::Usage, "body-too-slow") => StatusCode::REQUEST_TIMEOUT,
        (Exit::Usage, _) => StatusCode::BAD_REQUEST,
        (Exit::Partial, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (Exit::Refused, _) if reason.is_some_and(|reason| reason == "suspended") => {
            StatusCode::FORBIDDEN
        }
        (Exit::Refused, _) => StatusCode::TOO_MANY_REQUESTS,
        (Exit::Interrupted, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Exit::HostFault | Exit::Done, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// How a command ends that was answered with this status.
fn exit_of(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => Exit::Partial,
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Exit::Refused,
        StatusCode::SERVICE_UNAVAILABLE => Exit::Interrupted,
        status if status.is_client_error() => Exit::Usage,
        _ => Exit::HostFault,
    }
}

/// Reads an answer back: what was said, or the failure that it tells of.
pub(super) fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Failure> {
    let wrong = |error: serde_json::Error| ServerError::Answer(format!("{status}: {error}"));
    if status.is_success() {
        return Ok(serde_json::from_slice(body).map_err(wrong)?);
    }
    let ErrorBody { error } = serde_json::from_slice(body).map_err(wrong)?;
    Err(Failure {
        code: error.code,
        blame: error.blame,
        exit: exit_of(status),
        message: error.message,
        hint: error.hint,
        stop: error.stop.map(Box::new),
    })
}

/// A request's body as JSON: bounded in bytes and time.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let body = to_bytes(request.into_body(), BODY_MAX);
        let bytes = tokio::time::timeout(BODY_TIME, body)
            .await
            .map_err(|_| ServerError::TooSlow(BODY_TIME.as_secs()))?
            .map_err(|_| ServerError::TooLarge(BODY_MAX))?;
        let read = serde_json::from_slice(&bytes);
        Ok(Self(
            read.map_err(|error| ServerError::Body(error.to_string()))?,
        ))
    }
}

/// Answers one request. A panic in there is an error to whoever asked, and nothing to anybody else.
pub(super) async fn answer(router: Router, request: Request<Body>) -> Response {
    let mut answering = Box::pin(router.oneshot(request));
    let caught = std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(ServerError::Panicked)),
        }
    });
    match caught.await {
        Ok(answered) => answered.into_response(),
        Err(error) => Refused::from(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Blame;
    use axum::routing::get;
    use std::borrow::Cow;

    #[test]
    fn a_failure_is_the_same_at_the_other_end() {
        let exits = [
            Exit::HostFault,
            Exit::Usage,
            Exit::Partial,
            Exit::Refused,
            Exit::Interrupted,
        ];
        let stops = [None, Some(serde_json::json!({ "reason": "suspended" }))];
        let codes = ["stopped", "no-tenant", "method", "body-too-large"];
        for exit in exits {
            for stop in &stops {
                for code in codes {
                    let failure = Failure {
                        code: Cow::Borrowed(code),
                        blame: Blame::Limit,
                        exit,
                        message: "a message".to_owned(),
                        hint: Some("a hint".to_owned()),
                        stop: stop.clone().map(Box::new),
                    };
                    let error = ErrorJson::from(&failure);
                    let body = serde_json::to_vec(&ErrorBody { error }).unwrap();
                    let read = read::<()>(status_of(&failure), &body);
                    assert_eq!(read.unwrap_err(), failure);
                }
            }
        }
    }

    async fn boom() -> &'static str {
        panic!("a defect")
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_the_router_goes_on() {
        let router = Router::new()
            .route("/boom", get(boom))
            .route("/fine", get(async || "fine"));
        let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        let boom = answer(router.clone(), request("/boom")).await;
        assert_eq!(boom.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(boom.into_body(), 1_000).await.unwrap();
        let failure = read::<()>(StatusCode::INTERNAL_SERVER_ERROR, &body).unwrap_err();
        assert_eq!((&*failure.code, failure.exit), ("defect", Exit::HostFault));
        assert_eq!(
            answer(router, request("/fine")).await.status(),
            StatusCode::OK
        );
    }
}
