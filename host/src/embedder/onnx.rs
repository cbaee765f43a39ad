//! Imports a sentence-transformers folder: writes the ONNX graph, its weights and the manifest beside it.
//!
//! Each file is written aside, synced and renamed, the manifest last: a folder with a manifest is complete.
//! Nothing here runs the model.

mod bert;
mod graph;
mod product;
mod proto;
mod source;

use super::error::ModelError;
use super::manifest::{self, Manifest, ModelInfo};
use super::tokens::MAX_TOKENS;
use bert::Operators;
pub(super) use graph::{ATTENTION, BIAS_GELU, OWN_DOMAIN, Placed, SKIP_NORM};
pub(super) use product::product;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// What [`import`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The model.
    pub model: ModelInfo,
    /// False when the folder was already up to date and nothing was written.
    pub written: bool,
}

/// Makes the sentence-transformers folder `dir` usable by the embedder. `dir` holds `config.json`,
/// `model.safetensors`, `tokenizer.json` and perhaps `1_Pooling/config.json`; beside them are written
/// `model.onnx`, `model.onnx.data` and `stockade-model.json`.
///
/// Fails when the folder is incomplete, or holds anything but a BERT encoder of 384 dimensions with mean
/// pooling; then nothing that was there is changed.
pub fn import(dir: &Path) -> Result<Imported, ModelError> {
    let source = dir.join(manifest::WEIGHTS);
    let weights_blake3 = manifest::hash_file(&source)?;
    if let Some(model) = up_to_date(dir, &weights_blake3) {
        return Ok(Imported {
            model,
            written: false,
        });
    }
    let shape = source::shape(dir, MAX_TOKENS)?;
    super::tokens::Tokenizer::load(&dir.join(manifest::TOKENIZER))?;
    write_graph(&source, &shape, Operators::Ours, dir)?;
    let manifest = Manifest::describe(dir, weights_blake3, shape.hidden, shape.layers)?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| ModelError::file(dir, e.into()))?;
    replace(dir, manifest::MANIFEST, |file| file.write_all(&text))?;
    Ok(Imported {
        model: manifest.info(dir),
        written: true,
    })
}

/// Checks that `dir` holds a whole imported model, reading every file (about 50 ms): which one.
pub fn check(dir: &Path) -> Result<ModelInfo, ModelError> {
    Ok(Manifest::check(dir)?.info(dir))
}

/// Where in the data file each weight of the graph is, in the file's order.
pub(super) fn weights(graph: &Path) -> Result<Vec<Placed>, ModelError> {
    let read = || graph::placed(&std::fs::read(graph)?);
    read().map_err(|e| ModelError::file(graph, e))
}

/// The model in `dir`, if it was imported from these weights by this version and nothing has changed since.
fn up_to_date(dir: &Path, weights_blake3: &str) -> Option<ModelInfo> {
    let manifest = Manifest::check(dir).ok()?;
    (manifest.weights_blake3 == weights_blake3).then(|| manifest.info(dir))
}

/// Writes the model of the imported folder `dir` into the folder `into`, as a graph that any program with ONNX Runtime
/// can run, and its weights: `model.onnx` and `model.onnx.data`. Fails as [`import`] does.
pub fn write_for_others(dir: &Path, into: &Path) -> Result<(), ModelError> {
    let shape = source::shape(dir, MAX_TOKENS)?;
    let source = dir.join(manifest::WEIGHTS);
    write_graph(&source, &shape, Operators::OfTheRuntime, into)
}

fn write_graph(
    source: &Path,
    shape: &source::Shape,
    operators: Operators,
    into: &Path,
) -> Result<(), ModelError> {
    let bytes = std::fs::read(source).map_err(|e| ModelError::file(source, e))?;
    let weights = source::Weights::new(source, &bytes)?;
    let aside = NamedTempFile::new_in(into).map_err(|e| ModelError::file(into, e))?;
    let data = BufWriter::with_capacity(1 << 20, aside);
    let writer = graph::GraphWriter::new("bert-mean-pooling", data, manifest::DATA);
    let (onnx, data) = bert::write(shape, &weights, operators, writer)?;
    let path = into.join(manifest::DATA);
    let aside = data
        .into_inner()
        .map_err(|e| ModelError::file(&path, e.into_error()))?;
    put(aside, &path)?;
    replace(into, manifest::GRAPH, |file| file.write_all(&onnx))
}

/// Writes `dir/name` aside and puts it in place.
fn replace(
    dir: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), ModelError> {
    let path = dir.join(name);
    let mut aside = NamedTempFile::new_in(dir).map_err(|e| ModelError::file(&path, e))?;
    write(aside.as_file_mut()).map_err(|e| ModelError::file(&path, e))?;
    put(aside, &path)
}

/// Syncs a file that was written aside, and renames it to `path`, readable by everyone.
fn put(aside: NamedTempFile, path: &Path) -> Result<(), ModelError> {
    use std::os::unix::fs::PermissionsExt;
    let put = || -> std::io::Result<()> {
        aside
            .as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        aside.as_file().sync_all()?;
        aside.persist(path)?;
        path.parent()
            .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    put().map_err(|e| ModelError::file(path, e))
}

#[cfg(test)]
mod tests;
