//! Paths and what stands behind them. Every answer is JSON, an error too.
//!
//! It does not know who listens, nor how a request came.

use super::answer::{Outcome, Refused, Said, Sent};
use super::error::ServerError;
use super::questions::Questions;
use crate::api::{
    AskedJson, BackupJson, BackupToJson, KilledJson, QueryJson, ReceiptJson, ReplayJson,
    RestoreFromJson, RestoreJson, SuspendedJson, TasksJson, TenantJson, TenantPolicyJson,
    TenantsJson,
};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::{Policy, PolicySource};
use crate::runtime::{Recorded, Runtime};
use crate::task::TaskId;
use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::routing::{delete, get, post};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// What every handler has.
#[derive(Clone)]
struct Host {
    runtime: Arc<Runtime>,
    questions: Arc<Questions>,
}

/// All paths of the host that `runtime` is.
pub fn router(runtime: Arc<Runtime>) -> Router {
    let host = Host {
        runtime,
        questions: Arc::default(),
    };
    let tenant = Router::new()
        .route("/", get(tenant))
        .route("/policy", get(policy).put(set_policy))
        .route("/suspend", post(suspend))
        .route("/resume", post(resume))
        .route("/tasks", delete(suspend))
        .route("/backup", post(backup))
        .route("/restore", post(restore))
        .route("/query", post(query))
        .route("/replay", post(replay));
    Router::new()
        .route("/v1/tasks", get(tasks))
        .route("/v1/tasks/{task}", delete(kill))
        .route("/v1/tenants", get(tenants))
        .nest("/v1/tenants/{tenant}", tenant)
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(host)
}

async fn no_route(uri: Uri) -> Refused {
    ServerError::NoRoute(uri.path().to_owned()).into()
}

async fn wrong_method(method: Method) -> Refused {
    ServerError::Method(method.to_string()).into()
}

/// A name in the path, checked.
struct Named<T>(T);

/// What stands in the path under a name of its own.
trait Name: Sized {
    const PARAMETER: &'static str;
    fn parse(text: &str) -> Result<Self, Failure>;
}

impl Name for TenantId {
    const PARAMETER: &'static str = "tenant";
    fn parse(text: &str) -> Result<Self, Failure> {
        Ok(Self::new(text)?)
    }
}

impl Name for TaskId {
    const PARAMETER: &'static str = "task";
    fn parse(text: &str) -> Result<Self, Failure> {
        let id = text.parse();
        id.map_err(|message| ServerError::Name(message).into())
    }
}

impl<T: Name, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let wrong = |error: RawPathParamsRejection| ServerError::Name(error.to_string());
        let named = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(wrong)?;
        let mut given = named.iter().filter(|(name, _)| *name == T::PARAMETER);
        let text = given.next().map_or("", |(_, text)| text);
        Ok(Self(T::parse(text)?))
    }
}

/// Off the threads that answer: catalog and indexes are files.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ServerError::Panicked.into()),
    }
}

async fn tasks(State(host): State<Host>) -> Said<TasksJson> {
    Said(host.runtime.registry().tasks().into())
}

async fn kill(State(host): State<Host>, Named(task): Named<TaskId>) -> Outcome<KilledJson> {
    host.runtime.kill(task)?;
    let killed = vec![task.to_string()];
    Ok(Said(KilledJson { killed }))
}

async fn tenants(State(host): State<Host>) -> Outcome<TenantsJson> {
    let tenants = blocking(move || host.runtime.tenants()).await?;
    let tenants = tenants.into_iter().map(Into::into).collect();
    Ok(Said(TenantsJson { tenants }))
}

async fn tenant(State(host): State<Host>, Named(name): Named<TenantId>) -> Outcome<TenantJson> {
    let tenant = blocking(move || host.runtime.tenant(&name)).await?;
    Ok(Said(tenant.into()))
}

/// The policy's files, as [`set_policy`] takes them.
async fn policy(State(host): State<Host>, Named(name): Named<TenantId>) -> Outcome<Value> {
    let policy = blocking(move || host.runtime.policy(&name)).await?;
    let files = serde_json::from_str(&policy.bundle().to_json());
    let damaged = |error: serde_json::Error| ServerError::Answer(error.to_string());
    Ok(Said(files.map_err(damaged)?))
}

async fn set_policy(
    State(host): State<Host>,
    Named(name): Named<TenantId>,
    Sent(files): Sent<Value>,
) -> Outcome<TenantPolicyJson> {
    let tenant = name.to_string();
    let policy = blocking(move || {
        let source = PolicySource::from_json(&files.to_string());
        let source = source.map_err(|error| ServerError::Body(error.to_string()))?;
        let policy = Policy::from_bundle(&source)?;
        host.runtime.set_policy(&name, &policy)?;
        Ok(policy.name)
    });
    let policy = policy.await?;
    Ok(Said(TenantPolicyJson { tenant, policy }))
}

async fn suspend(State(host): State<Host>, Named(name): Named<TenantId>) -> Outcome<SuspendedJson> {
    set_suspended(host, name, true).await
}

async fn resume(State(host): State<Host>, Named(name): Named<TenantId>) -> Outcome<SuspendedJson> {
    set_suspended(host, name, false).await
}

async fn set_suspended(host: Host, name: TenantId, suspended: bool) -> Outcome<SuspendedJson> {
    let tenant = name.to_string();
    let ended = blocking(move || host.runtime.set_suspended(&name, suspended)).await?;
    Ok(Said(SuspendedJson {
        tenant,
        suspended,
        ended,
    }))
}

/// Whoever asks and goes away gives it up.
async fn backup(
    State(host): State<Host>,
    Named(name): Named<TenantId>,
    Sent(BackupToJson { file }): Sent<BackupToJson>,
) -> Outcome<BackupJson> {
    refuse_relative(&file)?;
    let made = host.runtime.backup(&name, &file).await?;
    Ok(Said(BackupJson::new(name.to_string(), file, &made)))
}

async fn restore(
    State(host): State<Host>,
    Named(name): Named<TenantId>,
    Sent(RestoreFromJson { file, replace }): Sent<RestoreFromJson>,
) -> Outcome<RestoreJson> {
    refuse_relative(&file)?;
    let restored = host.runtime.restore(&name, &file, replace).await?;
    Ok(Said(RestoreJson::new(name.to_string(), restored)))
}

/// Two processes may be in different folders.
fn refuse_relative(file: &Path) -> Result<(), ServerError> {
    match file.is_absolute() {
        true => Ok(()),
        false => Err(ServerError::Body(format!(
            "{} is no absolute path",
            file.display()
        ))),
    }
}

/// Whoever asks and goes away ends the task.
async fn query(
    State(host): State<Host>,
    Named(name): Named<TenantId>,
    Sent(asked): Sent<AskedJson>,
) -> Outcome<QueryJson> {
    let _asked = host.questions.ask(&name)?;
    let answered = host.runtime.query(&name, &asked.into()).await?;
    Ok(Said(answered.into()))
}

/// As [`query`]; the receipt must be of the tenant in the path, which is the one that whoever asks may ask.
async fn replay(
    State(host): State<Host>,
    Named(name): Named<TenantId>,
    Sent(receipt): Sent<ReceiptJson>,
) -> Outcome<ReplayJson> {
    let recorded = Recorded::try_from(receipt)?;
    if recorded.inquiry.tenant != name {
        let message = format!("the receipt is of tenant '{}'", recorded.inquiry.tenant);
        return Err(ServerError::Body(message).into());
    }
    let _asked = host.questions.ask(&name)?;
    let replayed = host.runtime.replay(&recorded).await?;
    Ok(Said(ReplayJson::new(&recorded, replayed)))
}
