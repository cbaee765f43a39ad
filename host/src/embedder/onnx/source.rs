//! A sentence-transformers folder: what kind of model it is, and its weights.
//!
//! Anything that is not a BERT encoder with mean pooling is refused, saying what was found.

use super::ModelError;
use crate::corpus::DIMENSIONS;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The sizes of a BERT encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Numbers a token, and in the embedding.
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) types: usize,
    pub(super) epsilon: f32,
}

/// `config.json`, as far as it matters. Every field may be absent: another kind of model is refused for
/// what it is rather than for what it lacks.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    model_type: String,
    architectures: Vec<String>,
    hidden_act: String,
    position_embedding_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            architectures: vec![],
            hidden_act: "gelu".to_owned(),
            position_embedding_type: "absolute".to_owned(),
            hidden_size: 0,
            intermediate_size: 0,
            num_hidden_layers: 0,
            num_attention_heads: 0,
            vocab_size: 0,
            max_position_embeddings: 0,
            type_vocab_size: 0,
            layer_norm_eps: 1e-12,
        }
    }
}

/// `1_Pooling/config.json`: only the mean may be set.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Pooling {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    pooling_mode_lasttoken: bool,
}

impl Pooling {
    fn modes(&self) -> Vec<&'static str> {
        [
            (self.pooling_mode_cls_token, "cls token"),
            (self.pooling_mode_mean_tokens, "mean"),
            (self.pooling_mode_max_tokens, "max"),
            (
                self.pooling_mode_mean_sqrt_len_tokens,
                "mean by square root of length",
            ),
            (self.pooling_mode_weightedmean_tokens, "weighted mean"),
            (self.pooling_mode_lasttoken, "last token"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect()
    }
}

/// Reads the sizes of the model in `dir`, or says why it is not one that can be imported.
pub(super) fn shape(dir: &Path, max_tokens: usize) -> Result<Shape, ModelError> {
    let path = dir.join("config.json");
    let config: Config = read_json(&path)?;
    let refuse = |what: String| {
        Err(ModelError::NotSupported {
            dir: dir.to_owned(),
            what,
        })
    };
    if config.model_type != "bert" || config.architectures.iter().any(|a| a != "BertModel") {
        let found = format!("{} {}", config.model_type, config.architectures.join(" "));
        return refuse(format!("architecture '{}'", found.trim()));
    }
    if config.hidden_act != "gelu" {
        return refuse(format!("activation '{}'", config.hidden_act));
    }
    if config.position_embedding_type != "absolute" {
        return refuse(format!(
            "position embedding '{}'",
            config.position_embedding_type
        ));
    }
    if config.hidden_size != DIMENSIONS {
        return refuse(format!(
            "{} dimensions instead of {DIMENSIONS}",
            config.hidden_size
        ));
    }
    if !config
        .hidden_size
        .is_multiple_of(config.num_attention_heads)
    {
        return refuse(format!("{} attention heads", config.num_attention_heads));
    }
    if config.max_position_embeddings < max_tokens {
        return refuse(format!(
            "room for {} tokens only",
            config.max_position_embeddings
        ));
    }
    check_pooling(dir)?;
    Ok(Shape {
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        hidden: config.hidden_size,
        intermediate: config.intermediate_size,
        vocabulary: config.vocab_size,
        positions: config.max_position_embeddings,
        types: config.type_vocab_size,
        epsilon: config.layer_norm_eps,
    })
}

/// A folder without a pooling file is taken for mean pooling, as sentence-transformers does.
fn check_pooling(dir: &Path) -> Result<(), ModelError> {
    let path = dir.join("1_Pooling/config.json");
    if !path.exists() {
        return Ok(());
    }
    let modes = read_json::<Pooling>(&path)?.modes();
    if modes == ["mean"] {
        return Ok(());
    }
    let what = format!("pooling '{}'", modes.join(" + "));
    Err(ModelError::NotSupported {
        dir: dir.to_owned(),
        what,
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = std::fs::read(path).map_err(|e| ModelError::file(path, e))?;
    serde_json::from_slice(&text).map_err(|e| ModelError::file(path, e.into()))
}

/// The weights of a checkpoint, by the names that BERT gives them.
pub(super) struct Weights<'a> {
    file: &'a Path,
    tensors: SafeTensors<'a>,
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    /// Reads the table of contents of `bytes`, the content of `file`.
    pub(super) fn new(file: &'a Path, bytes: &'a [u8]) -> Result<Self, ModelError> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| ModelError::file(file, std::io::Error::other(e)))?;
        let prefixed = tensors
            .tensor("bert.embeddings.word_embeddings.weight")
            .is_ok();
        Ok(Self {
            file,
            tensors,
            prefix: if prefixed { "bert." } else { "" },
        })
    }

    /// A weight's bytes, little-endian f32 in row order, of exactly this shape.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<&'a [u8], ModelError> {
        let wrong = |what: String| ModelError::Weight {
            file: self.file.to_owned(),
            name: name.to_owned(),
            what,
        };
        let tensor = self
            .tensors
            .tensor(&format!("{}{name}", self.prefix))
            .map_err(|_| wrong("is missing".to_owned()))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(wrong(format!("is {:?} instead of F32", tensor.dtype())));
        }
        if tensor.shape() != shape {
            return Err(wrong(format!(
                "is {:?} instead of {shape:?}",
                tensor.shape()
            )));
        }
        Ok(tensor.data())
    }

    /// A matrix `[rows, columns]` turned into `[columns, rows]`.
    pub(super) fn transposed(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Vec<u8>, ModelError> {
        let bytes = self.get(name, &[rows, columns])?;
        let mut turned = Vec::with_capacity(bytes.len());
        for column in 0..columns {
            for row in 0..rows {
                let at = 4 * (row * columns + column);
                turned.extend_from_slice(&bytes[at..at + 4]);
            }
        }
        Ok(turned)
    }

    /// The position table with the vector of token type 0 added to each row: there is only one type.
    pub(super) fn positions(
        &self,
        positions: usize,
        hidden: usize,
        types: usize,
    ) -> Result<Vec<u8>, ModelError> {
        let table = self.get(
            "embeddings.position_embeddings.weight",
            &[positions, hidden],
        )?;
        let kinds = self.get("embeddings.token_type_embeddings.weight", &[types, hidden])?;
        let kind: Vec<f32> = floats(kinds).take(hidden).collect();
        let sums = floats(table)
            .zip(kind.iter().cycle())
            .flat_map(|(p, k)| (p + k).to_le_bytes());
        Ok(sums.collect())
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
}
