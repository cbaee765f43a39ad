//! ONNX Runtime: loads the library once a process, and makes a session for each worker.
//!
//! With `operators` and `product` the only user of `ort`. All sessions share one copy of the weights. Knows shapes and
//! options; nothing of queues, texts or tenants.

use super::error::{EmbedderError, ModelError};
use super::manifest::{self, Manifest};
use super::workers::Model;
use super::{onnx, operators};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights};
use ort::value::{DynValue, Tensor, TensorRef};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
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
    name_domain(&environment).map_err(|e| refuse(e.to_string()))?;
    *loaded = Some(environment.clone());
    Ok(environment)
}

/// Makes a session that does nothing with our operators. ONNX Runtime has one list of domains for all sessions, and looks
/// and adds in two steps: of two first sessions at once, one would fail.
fn name_domain(environment: &Environment) -> ort::Result<()> {
    let smallest = onnx::product([1, 1, 1]);
    Session::builder(environment)?
        .with_operators(operators::domain()?)?
        .commit_from_memory(&smallest)?;
    Ok(())
}

/// The graph, and its weights in memory: once as they are, and once as ONNX Runtime packs them for its
/// products. A session of its own weights costs 95 MB, one that shares these 7 to 12 MB.
pub(super) struct Weights {
    environment: Environment,
    dir: PathBuf,
    manifest: Manifest,
    tensors: Vec<(String, Arc<DynValue>)>,
    packed: PrepackedWeights,
}

impl Weights {
    /// Reads the weights of the model in `dir`, refused unless they are those of its manifest.
    pub(super) fn load(
        environment: Environment,
        dir: &Path,
        manifest: &Manifest,
    ) -> Result<Self, EmbedderError> {
        let graph = dir.join(manifest::GRAPH);
        let data = dir.join(manifest::DATA);
        let mut file = DataFile::open(&data).map_err(|e| ModelError::file(&data, e))?;
        let mut tensors = vec![];
        for weight in onnx::weights(&graph)? {
            let numbers = file.read(&weight).map_err(|e| ModelError::file(&data, e))?;
            let tensor =
                Tensor::from_array((weight.dims, numbers)).map_err(|e| EmbedderError::Session {
                    path: graph.clone(),
                    reason: e.to_string(),
                })?;
            tensors.push((weight.name, Arc::new(tensor.into_dyn())));
        }
        let found = file.finish().map_err(|e| ModelError::file(&data, e))?;
        manifest.check_file(dir, manifest::DATA, found)?;
        Ok(Self {
            environment,
            dir: dir.to_owned(),
            manifest: manifest.clone(),
            tensors,
            packed: PrepackedWeights::new(),
        })
    }

    fn check_graph(&self) -> Result<(), ModelError> {
        let found = manifest::hash_file(&self.dir.join(manifest::GRAPH))?;
        self.manifest.check_file(&self.dir, manifest::GRAPH, found)
    }

    fn session(&self) -> ort::Result<Session> {
        let mut builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // One thread a session: the workers are the parallelism, and spinning helpers would steal
            // cores.
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            // Plans are kept per shape, and nearly every batch has another shape.
            .with_memory_pattern(false)?
            // Packing at load makes the products 11 % faster; the packed weights are shared, too.
            .with_prepacked_weights(&self.packed)?
            .with_operators(operators::domain()?)?;
        for (name, tensor) in &self.tensors {
            builder = builder.with_initializer(name, Arc::clone(tensor))?;
        }
        builder.commit_from_file(self.dir.join(manifest::GRAPH))
    }
}

/// The data file, read in order in small pieces and hashed on the way, so that what is checked is what
/// is used.
struct DataFile {
    file: File,
    hasher: blake3::Hasher,
    position: u64,
    buffer: Vec<u8>,
}

impl DataFile {
    fn open(path: &Path) -> std::io::Result<Self> {
        let (file, hasher) = (File::open(path)?, blake3::Hasher::new());
        Ok(Self {
            file,
            hasher,
            position: 0,
            buffer: vec![0; 64 << 10],
        })
    }

    /// The numbers of a weight that lies behind all that were read.
    fn read(&mut self, weight: &onnx::Placed) -> std::io::Result<Vec<f32>> {
        let gap = weight.offset.checked_sub(self.position);
        let gap = gap.ok_or_else(|| std::io::Error::other("weights out of order"))?;
        self.pass(gap, |_| ())?;
        let mut numbers = Vec::with_capacity(weight.length as usize / 4);
        self.pass(weight.length, |bytes| {
            let chunks = bytes.as_chunks::<4>().0;
            numbers.extend(chunks.iter().map(|b| f32::from_le_bytes(*b)));
        })?;
        Ok(numbers)
    }

    /// Reads and hashes so many bytes.
    fn pass(&mut self, bytes: u64, mut see: impl FnMut(&[u8])) -> std::io::Result<()> {
        let mut left = bytes as usize;
        while left > 0 {
            let length = left.min(self.buffer.len());
            let piece = &mut self.buffer[..length];
            self.file.read_exact(piece)?;
            self.hasher.update(piece);
            see(piece);
            left -= length;
        }
        self.position += bytes;
        Ok(())
    }

    /// BLAKE3 of the whole file, in hex.
    fn finish(mut self) -> std::io::Result<String> {
        self.hasher.update_reader(&mut self.file)?;
        Ok(self.hasher.finalize().to_hex().to_string())
    }
}

/// A session of the model, for one worker: ONNX Runtime's sessions are not shared between threads. Made by `prepare`
/// or with the first text.
pub(super) struct OnnxModel {
    weights: Arc<Weights>,
    session: Option<Session>,
    ids: Vec<i64>,
    mask: Vec<i64>,
}

impl OnnxModel {
    /// Without a session yet.
    pub(super) fn new(weights: Arc<Weights>) -> Self {
        Self {
            weights,
            session: None,
            ids: vec![],
            mask: vec![],
        }
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

impl Model for OnnxModel {
    /// Makes the session; about 0.1 s.
    fn prepare(&mut self) -> Result<(), String> {
        made(&mut self.session, &self.weights).map(drop)
    }

    fn embed(&mut self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let shape = self.lay_out(texts);
        let session = made(&mut self.session, &self.weights)?;
        let dimensions = self.weights.manifest.dimensions;
        run(session, shape, [&self.ids, &self.mask], dimensions).map_err(|e| e.to_string())
    }
}

/// The session in `slot`, which is made if there is none.
fn made<'a>(slot: &'a mut Option<Session>, weights: &Weights) -> Result<&'a mut Session, String> {
    match slot {
        Some(session) => Ok(session),
        none => {
            // The graph was checked at the start, which may be long ago.
            weights.check_graph().map_err(|e| e.to_string())?;
            let session = weights.session().map_err(|e| e.to_string())?;
            Ok(none.insert(session))
        }
    }
}

/// A vector a text, of ids and mask as they were laid out.
fn run(
    session: &mut Session,
    shape: [usize; 2],
    [ids, mask]: [&[i64]; 2],
    dimensions: usize,
) -> ort::Result<Vec<Vec<f32>>> {
    let outputs = session.run(ort::inputs! {
        "input_ids" => TensorRef::from_array_view((shape, ids))?,
        "attention_mask" => TensorRef::from_array_view((shape, mask))?,
    })?;
    let (_, values) = outputs[0].try_extract_tensor::<f32>()?;
    let vectors = values.chunks_exact(dimensions);
    Ok(vectors.map(<[f32]>::to_vec).collect())
}
