//! ONNX Runtime: loads the library once a process, and makes a session for each worker.
//!
//! The only user of `ort`. Knows shapes and options; nothing of queues, texts or tenants.

use super::error::EmbedderError;
use super::workers::Model;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The process's environment: ONNX Runtime allows one. It is never dropped.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads the library, unless this process has one already.
pub(super) fn load(library: &Path) -> Result<Environment, EmbedderError> {
    let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = loaded.as_ref() {
        return Ok(environment.clone());
    }
    let refuse = |reason: String| EmbedderError::Runtime {
        path: library.to_owned(),
        reason,
    };
    let environment = ort::init_from(library)
        .map_err(|e| refuse(e.to_string()))?
        .with_name("stockade")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, category, _id, location, message| {
            tracing::debug!(target: "onnxruntime", ?level, category, location, "{message}");
        }))
        .build()
        .map_err(|e| refuse(e.to_string()))?;
    *loaded = Some(environment.clone());
    Ok(environment)
}

/// A session of the model, for one worker: ONNX Runtime's sessions are not shared between threads.
pub(super) struct OnnxModel {
    session: Session,
    dimensions: usize,
    ids: Vec<i64>,
    mask: Vec<i64>,
}

impl OnnxModel {
    /// Loads the graph at `path`; about 0.1 s.
    pub(super) fn load(
        environment: &Environment,
        path: &Path,
        dimensions: usize,
    ) -> Result<Self, EmbedderError> {
        let session = builder(environment)
            .and_then(|mut builder| builder.commit_from_file(path))
            .map_err(|e| EmbedderError::Session {
                path: path.to_owned(),
                reason: e.to_string(),
            })?;
        Ok(Self {
            session,
            dimensions,
            ids: vec![],
            mask: vec![],
        })
    }

    /// Lays the texts out as rows, padded to the longest.
    fn lay_out(&mut self, texts: &[&[u32]]) -> [usize; 2] {
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(0);
        self.ids.clear();
        self.mask.clear();
        for text in texts {
            let padding = longest - text.len();
            self.ids.extend(text.iter().map(|&id| i64::from(id)));
            self.ids.extend(std::iter::repeat_n(0, padding));
            self.mask.extend(std::iter::repeat_n(1, text.len()));
            self.mask.extend(std::iter::repeat_n(0, padding));
        }
        [texts.len(), longest]
    }
}

fn builder(environment: &Environment) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // One thread a session: the workers are the parallelism, and spinning helpers would steal cores.
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // Plans are kept per shape, and nearly every batch has another shape.
        .with_memory_pattern(false)?)
}

impl Model for OnnxModel {
    fn embed(&mut self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let shape = self.lay_out(texts);
        self.run(shape).map_err(|e| e.to_string())
    }
}

impl OnnxModel {
    fn run(&mut self, shape: [usize; 2]) -> ort::Result<Vec<Vec<f32>>> {
        let outputs = self.session.run(ort::inputs! {
            "input_ids" => TensorRef::from_array_view((shape, self.ids.as_slice()))?,
            "attention_mask" => TensorRef::from_array_view((shape, self.mask.as_slice()))?,
        })?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>()?;
        Ok(values
            .chunks_exact(self.dimensions)
            .map(<[f32]>::to_vec)
            .collect())
    }
}
