//! The manifest of an imported model: which files belong together, and the one digest that names them.
//!
//! Knows file names and hashes; neither how the files are made nor how they are run.

use super::error::ModelError;
use super::tokens::MAX_TOKENS;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The manifest's file name.
pub(super) const MANIFEST: &str = "stockade-model.json";
/// The graph, without its weights.
pub(super) const GRAPH: &str = "model.onnx";
/// The graph's weights, as ONNX external data.
pub(super) const DATA: &str = "model.onnx.data";
/// The tokenizer.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// The weights that the graph was written from; not needed to run it.
pub(super) const WEIGHTS: &str = "model.safetensors";

/// Raised when the graph that the import writes changes.
const FORMAT: u32 = 3;

/// What a model is called and what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name of the model's folder.
    pub name: String,
    /// BLAKE3, in hex, over everything that a vector depends on: graph, weights, tokenizer, truncation.
    pub digest: String,
    /// Numbers in an embedding.
    pub dimensions: usize,
    /// Tokens that the model reads of a text, special tokens included.
    pub max_tokens: usize,
}

/// `stockade-model.json`. Hashes are BLAKE3 in hex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    digest: String,
    onnx_blake3: String,
    data_blake3: String,
    tokenizer_blake3: String,
    pub(super) weights_blake3: String,
    pub(super) dimensions: usize,
    layers: usize,
    max_tokens: usize,
}

impl Manifest {
    /// Describes the files as they are in `dir`.
    pub(super) fn describe(
        dir: &Path,
        weights_blake3: String,
        dimensions: usize,
        layers: usize,
    ) -> Result<Self, ModelError> {
        let mut manifest = Self {
            format: FORMAT,
            digest: String::new(),
            onnx_blake3: hash_file(&dir.join(GRAPH))?,
            data_blake3: hash_file(&dir.join(DATA))?,
            tokenizer_blake3: hash_file(&dir.join(TOKENIZER))?,
            weights_blake3,
            dimensions,
            layers,
            max_tokens: MAX_TOKENS,
        };
        manifest.digest = manifest.name_all();
        Ok(manifest)
    }

    /// Reads the manifest in `dir` and checks every file that it names. Reads 91 MB: about 50 ms.
    pub(super) fn check(dir: &Path) -> Result<Self, ModelError> {
        let manifest = Self::open(dir)?;
        manifest.check_file(dir, DATA, hash_file(&dir.join(DATA))?)?;
        Ok(manifest)
    }

    /// Reads the manifest in `dir` and checks all files but the weights: whoever reads those hashes them
    /// on the way, and calls [`Self::check_file`].
    pub(super) fn open(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|e| ModelError::file(&path, e))?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|e| ModelError::file(&path, e.into()))?;
        expect(
            &path,
            "format",
            FORMAT.to_string(),
            manifest.format.to_string(),
        )?;
        expect(
            &path,
            "digest",
            manifest.name_all(),
            manifest.digest.clone(),
        )?;
        for name in [GRAPH, TOKENIZER] {
            manifest.check_file(dir, name, hash_file(&dir.join(name))?)?;
        }
        Ok(manifest)
    }

    /// Checks the BLAKE3 that was found of a file.
    pub(super) fn check_file(
        &self,
        dir: &Path,
        name: &str,
        found: String,
    ) -> Result<(), ModelError> {
        let expected = match name {
            GRAPH => &self.onnx_blake3,
            DATA => &self.data_blake3,
            _ => &self.tokenizer_blake3,
        };
        expect(&dir.join(name), "BLAKE3", expected.clone(), found)
    }

    /// The digest over everything that a vector depends on.
    fn name_all(&self) -> String {
        let parts = format!(
            "stockade model\n{}\n{}\n{}\n{}\n",
            self.onnx_blake3, self.data_blake3, self.tokenizer_blake3, self.max_tokens
        );
        blake3::hash(parts.as_bytes()).to_hex().to_string()
    }

    /// What the model is called: the name of `dir`.
    pub(super) fn info(&self, dir: &Path) -> ModelInfo {
        let name = dir
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        ModelInfo {
            name,
            digest: self.digest.clone(),
            dimensions: self.dimensions,
            max_tokens: self.max_tokens,
        }
    }
}

fn expect(
    path: &Path,
    what: &'static str,
    expected: String,
    found: String,
) -> Result<(), ModelError> {
    if expected == found {
        return Ok(());
    }
    Err(ModelError::Unexpected {
        path: path.to_owned(),
        what,
        expected,
        found,
    })
}

/// BLAKE3 of a file, in hex; read in small pieces.
pub(super) fn hash_file(path: &Path) -> Result<String, ModelError> {
    let hash = || -> std::io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(path)?)?;
        Ok(hasher.finalize())
    };
    Ok(hash()
        .map_err(|e| ModelError::file(path, e))?
        .to_hex()
        .to_string())
}
