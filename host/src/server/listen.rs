//! The control socket: who may connect, how many at once, how long a request may take to come, and that
//! nothing of it is left at the end.
//!
//! It does not know what is asked.

use super::answer::answer;
use super::error::ServerError;
use super::routes::router;
use crate::runtime::Runtime;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The socket's name in the data folder.
pub const SOCKET: &str = "control.sock";

/// Connections at once; more wait to be taken.
const CONNECTIONS_MAX: usize = 320;

/// How long a request's head may take to come.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Bytes of a request's head, and how many fields it may have.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEAD_FIELDS_MAX: usize = 64;

/// How long requests that are being answered are waited for at the end.
const FINISH_TIME: Duration = Duration::from_secs(5);

/// After a connection could not be taken, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A control socket with somebody behind it. When it is dropped the socket's file is removed; the data
/// folder is held at least until then, so that the file is never another process's.
#[derive(Debug)]
pub struct Listening {
    runtime: Arc<Runtime>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Listening {
    /// Begins to listen in the data folder that `runtime` holds, on the executor that runs this.
    pub fn start(runtime: &Arc<Runtime>) -> Result<Self, ServerError> {
        let path = runtime.data().join(SOCKET);
        let listener = bind(runtime.data()).map_err(|source| ServerError::Listen {
            path: path.clone(),
            source,
        })?;
        let listening = Self {
            runtime: runtime.clone(),
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let door = Door {
            router: router(runtime.clone()),
            stop: listening.stop.clone(),
            connections: listening.connections.clone(),
        };
        tokio::spawn(door.open(listener));
        Ok(listening)
    }

    /// Takes no more requests and waits a while for those that are being answered.
    pub async fn finish(self) {
        self.stop.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(FINISH_TIME, self.connections.wait()).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
        let path = self.runtime.data().join(SOCKET);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "the control socket's file is left");
        }
    }
}

/// A path of any length below an open folder: a socket's own may have 107 bytes only.
pub(super) fn near(folder: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name)
}

/// Makes the socket beside its place, closes it to others, and puts it there: in the place of what a
/// process left that was killed, and never open to anybody.
fn bind(data: &Path) -> std::io::Result<UnixListener> {
    let folder = File::open(data)?;
    let (new, place) = (near(&folder, "control.sock.new"), near(&folder, SOCKET));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    std::fs::rename(&new, &place)?;
    Ok(listener)
}

/// Where connections come in.
struct Door {
    router: Router,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Door {
    async fn open(self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    let served = serve(stream, self.router.clone(), self.stop.clone());
                    self.connections.spawn(async move {
                        let _place = place;
                        served.await;
                    });
                }
                Ok(_) => tracing::warn!("somebody else's connection was refused"),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the other end is the owner of this process, or the superuser.
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// One request and its answer.
async fn serve(stream: UnixStream, router: Router, stop: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answered = answer(router.clone(), request.map(Body::new));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a request on the control socket came to nothing");
    }
}
