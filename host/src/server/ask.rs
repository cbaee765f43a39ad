//! What is asked, and the two ways to an answer: from the host in this process, or from the process that
//! holds the data folder. The same router answers both.
//!
//! It does not know when to use which, nor what is done with an answer.

use super::answer::{answer, read};
use super::error::ServerError;
use super::listen::{SOCKET, near};
use super::routes::router;
use crate::api::{
    AskedJson, BackupJson, BackupToJson, KilledJson, QueryJson, ReceiptJson, ReplayJson,
    RestoreFromJson, RestoreJson, SuspendedJson, TasksJson, TenantJson, TenantPolicyJson,
    TenantsJson,
};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::Policy;
use crate::runtime::Runtime;
use crate::task::TaskId;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of an answer.
const ANSWER_MAX: usize = 1 << 30;

/// How long a holder may take to answer what is quickly done.
const QUICK: Duration = Duration::from_secs(30);

/// A question to the host, with the type of its answer.
#[derive(Debug, Clone)]
pub struct Ask<T> {
    method: Method,
    path: String,
    body: Option<Value>,
    /// No longer than this, where it is not work that takes as long as it takes.
    time: Option<Duration>,
    /// Where it was done once, a second time would be refused.
    once: bool,
    answer: PhantomData<fn() -> T>,
}

impl<T> Ask<T> {
    fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            body: None,
            time: Some(QUICK),
            once: false,
            answer: PhantomData,
        }
    }

    fn of_tenant(method: Method, tenant: &TenantId, what: &str) -> Self {
        Self::new(method, format!("/v1/tenants/{tenant}{what}"))
    }

    /// Whether it must not be sent a second time: the task of that number may be another one by then, and what was
    /// restored is there.
    pub fn happens_once(&self) -> bool {
        self.once || self.method == Method::DELETE
    }

    fn request(&self) -> Result<Request<Body>, ServerError> {
        let body = match &self.body {
            Some(body) => Body::from(body.to_string()),
            None => Body::empty(),
        };
        let request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::HOST, "stockade")
            .header(header::CONTENT_TYPE, "application/json");
        let made = request.body(body);
        made.map_err(|error| ServerError::Name(error.to_string()))
    }
}

impl Ask<TasksJson> {
    /// All tasks.
    pub fn tasks() -> Self {
        Self::new(Method::GET, "/v1/tasks".to_owned())
    }
}

impl Ask<KilledJson> {
    /// End a task.
    pub fn kill(task: TaskId) -> Self {
        Self::new(Method::DELETE, format!("/v1/tasks/{task}"))
    }
}

impl Ask<TenantsJson> {
    /// All tenants.
    pub fn tenants() -> Self {
        Self::new(Method::GET, "/v1/tenants".to_owned())
    }
}

impl Ask<TenantJson> {
    /// One tenant.
    pub fn tenant(name: &TenantId) -> Self {
        Self::of_tenant(Method::GET, name, "")
    }
}

impl Ask<Value> {
    /// A tenant's policy, with every file that it extends.
    pub fn policy(name: &TenantId) -> Self {
        Self::of_tenant(Method::GET, name, "/policy")
    }
}

impl Ask<TenantPolicyJson> {
    /// Put a policy in force.
    pub fn set_policy(name: &TenantId, policy: &Policy) -> Self {
        let mut ask = Self::of_tenant(Method::PUT, name, "/policy");
        ask.body = serde_json::from_str(&policy.bundle().to_json()).ok();
        ask
    }
}

impl Ask<SuspendedJson> {
    /// Suspend a tenant, or resume it.
    pub fn set_suspended(name: &TenantId, suspended: bool) -> Self {
        let what = if suspended { "/suspend" } else { "/resume" };
        Self::of_tenant(Method::POST, name, what)
    }

    /// End a tenant's tasks and admit no more, which is to suspend it.
    pub fn kill_all(name: &TenantId) -> Self {
        Self::of_tenant(Method::DELETE, name, "/tasks")
    }
}

impl Ask<QueryJson> {
    /// Ask a tenant's documents.
    pub fn query(name: &TenantId, asked: &AskedJson) -> Self {
        let mut ask = Self::of_tenant(Method::POST, name, "/query");
        ask.body = serde_json::to_value(asked).ok();
        ask.time = None;
        ask
    }
}

impl Ask<ReplayJson> {
    /// Ask a receipt's question again.
    pub fn replay(name: &TenantId, receipt: &ReceiptJson) -> Self {
        let mut ask = Self::of_tenant(Method::POST, name, "/replay");
        ask.body = serde_json::to_value(receipt).ok();
        ask.time = None;
        ask
    }
}

impl Ask<BackupJson> {
    /// Write all that is a tenant's into a file, by its absolute path.
    pub fn backup(name: &TenantId, to: &BackupToJson) -> Self {
        let mut ask = Self::of_tenant(Method::POST, name, "/backup");
        ask.body = serde_json::to_value(to).ok();
        ask.time = None;
        ask
    }
}

impl Ask<RestoreJson> {
    /// Make a tenant what a file says, by its absolute path.
    pub fn restore(name: &TenantId, from: &RestoreFromJson) -> Self {
        let mut ask = Self::of_tenant(Method::POST, name, "/restore");
        ask.body = serde_json::to_value(from).ok();
        ask.time = None;
        ask.once = true;
        ask
    }
}

/// The process that holds the data folder could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// It does not listen.
    Deaf,
    /// It ended, or was too slow, before it had answered.
    Mute,
}

/// Asks the host in this process.
pub async fn ask_here<T: DeserializeOwned>(
    runtime: Arc<Runtime>,
    ask: &Ask<T>,
) -> Result<T, Failure> {
    let answered = answer(router(runtime), ask.request()?).await;
    match whole(answered).await {
        Ok((status, body)) => read(status, &body),
        Err(error) => Err(ServerError::Answer(error).into()),
    }
}

/// Asks the process that holds the data folder. Dropping the future takes the question back.
pub async fn ask_holder<T: DeserializeOwned>(
    data: &Path,
    ask: &Ask<T>,
) -> Result<Result<T, Failure>, Unreachable> {
    let request = match ask.request() {
        Ok(request) => request,
        Err(error) => return Ok(Err(error.into())),
    };
    let folder = File::open(data).map_err(|_| Unreachable::Deaf)?;
    let stream = UnixStream::connect(near(&folder, SOCKET)).await;
    let stream = TokioIo::new(stream.map_err(|_| Unreachable::Deaf)?);
    let asked = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.ok()?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let answered = sender.send_request(request).await.ok()?;
        whole(answered.map(Body::new)).await.ok()
    };
    let answered = match ask.time {
        Some(time) => tokio::time::timeout(time, asked).await.ok().flatten(),
        None => asked.await,
    };
    let (status, body) = answered.ok_or(Unreachable::Mute)?;
    Ok(read(status, &body))
}

async fn whole(
    answered: Response<Body>,
) -> Result<(axum::http::StatusCode, axum::body::Bytes), String> {
    let status = answered.status();
    let body = to_bytes(answered.into_body(), ANSWER_MAX).await;
    Ok((status, body.map_err(|error| error.to_string())?))
}
