//! BERT with mean pooling and unit length, as an ONNX graph: standard operators, and ONNX Runtime's own for
//! attention.
//!
//! A text's vector does not depend on its neighbours: padding is masked out of every attention and of the
//! mean. Knows the names of a BERT checkpoint's weights, and nothing of files.

use super::ModelError;
use super::graph::{self, GraphWriter, Value};
use super::proto;
use super::source::{Shape, Weights};
use std::io::Write;

/// The version of the standard operators that the graph is written in.
pub(super) const OPSET: i64 = 17;

/// Types of numbers, as ONNX numbers them.
const FLOAT: i64 = proto::TYPE_FLOAT as i64;
const INT32: i64 = 6;
const BOOLEAN: i64 = 9;

/// Writes the graph `input_ids, attention_mask: i64[batch, sequence] -> embedding: f32[batch, hidden]`.
pub(super) fn write<W: Write>(
    shape: &Shape,
    weights: &Weights<'_>,
    writer: GraphWriter<W>,
) -> Result<(Vec<u8>, W), ModelError> {
    let mut bert = Bert {
        g: writer,
        shape,
        weights,
    };
    let ids = bert.g.input("input_ids", &["batch", "sequence"]);
    let given = bert.g.input("attention_mask", &["batch", "sequence"]);
    let mask = bert.cast("mask", &given, FLOAT);
    bert.constants();
    bert.padding(&given);
    let mut hidden = bert.embeddings(&ids)?;
    for layer in 0..shape.layers {
        hidden = bert.attention(layer, &hidden)?;
        hidden = bert.feed_forward(layer, &hidden)?;
    }
    bert.pool(&hidden, &mask);
    bert.g.output("embedding", "batch", shape.hidden);
    Ok(bert.g.finish(OPSET))
}

struct Bert<'a, W> {
    g: GraphWriter<W>,
    shape: &'a Shape,
    weights: &'a Weights<'a>,
}

impl<W: Write> Bert<'_, W> {
    fn constants(&mut self) {
        self.g.scalar("one", 1.0);
        self.g.scalar("half", 0.5);
        self.g.scalar("sqrt_2", std::f32::consts::SQRT_2);
        self.g.scalar("tiny", 1e-12);
        self.g.integers("axis_0", &[0]);
        self.g.integers("axis_1", &[1]);
        self.g.integers("axis_2", &[2]);
    }

    fn cast(&mut self, name: &str, value: &str, to: i64) -> Value {
        let to = vec![graph::integer("to", to)];
        self.g.node_with("Cast", name, &[value], to)
    }

    /// `text_or_padding`, the mask as attention wants it, and `padded`: whether any text has padding at all.
    fn padding(&mut self, mask: &str) {
        self.cast("text_or_padding", mask, INT32);
        let shrink = vec![graph::integer("keepdims", 0)];
        self.g.node_with("ReduceMin", "least", &[mask], shrink);
        self.cast("whole", "least", BOOLEAN);
        self.g.node("Not", "padded", &["whole"]);
    }

    /// Word, position and (constant) token type, normalised. The type is folded into the position.
    fn embeddings(&mut self, ids: &str) -> Result<Value, ModelError> {
        let Shape {
            vocabulary,
            positions,
            hidden,
            ..
        } = *self.shape;
        let words = self
            .weights
            .get("embeddings.word_embeddings.weight", &[vocabulary, hidden])?;
        self.g.weight("words", &[vocabulary, hidden], words)?;
        let table = self
            .weights
            .positions(positions, hidden, self.shape.types)?;
        self.g.weight("positions", &[positions, hidden], &table)?;
        self.g.node("Gather", "word", &["words", ids]);
        self.g.node("Shape", "shape", &[ids]);
        self.g.integers("two", &[2]);
        self.g.node("Slice", "length", &["shape", "axis_1", "two"]);
        self.g.node(
            "Slice",
            "position",
            &["positions", "axis_0", "length", "axis_0"],
        );
        self.g.node("Add", "embedded", &["word", "position"]);
        self.layer_norm("embeddings.LayerNorm", "embedded")
    }

    /// Multi-head self-attention with its residual and normalisation.
    fn attention(&mut self, layer: usize, x: &str) -> Result<Value, ModelError> {
        let name = |part: &str| format!("layer.{layer}.attention.{part}");
        let at = |part: &str| format!("encoder.layer.{layer}.attention.{part}");
        let hidden = self.shape.hidden;
        let parts = ["self.query", "self.key", "self.value"].map(at);
        let mut biases = vec![];
        for part in &parts {
            self.product(part, x, hidden, hidden)?;
            let bias = self.weights.get(&format!("{part}.bias"), &[hidden])?;
            biases.extend_from_slice(bias);
        }
        let bias = at("self.bias");
        self.g.weight(&bias, &[parts.len() * hidden], &biases)?;
        let [q, k, v] = parts.map(|part| format!("{part}.product"));
        let mixed = self.mix(&name("mixed"), [&q, &k, &v, &bias]);
        let out = self.linear(&at("output.dense"), &mixed, hidden, hidden)?;
        let sum = self.g.node("Add", &name("sum"), &[&out, x]);
        self.layer_norm(&at("output.LayerNorm"), &sum)
    }

    /// Each token's mean of the values, weighed by how well its query fits the keys. Where no text has padding
    /// there is nothing to mask, and ONNX Runtime does it block by block without ever holding all weights (Dao
    /// et al., "FlashAttention", 2022); its result is the same but for rounding.
    fn mix(&mut self, name: &str, inputs: [&str; 4]) -> Value {
        let attend = |inputs: &[&str]| {
            let heads = vec![graph::integer("num_heads", self.shape.heads as i64)];
            proto::Node {
                domain: graph::RUNTIMES_OWN.to_owned(),
                ..graph::node("MultiHeadAttention", name, inputs, heads)
            }
        };
        let [q, k, v, bias] = inputs;
        let masked = attend(&[q, k, v, bias, "text_or_padding"]);
        let whole = attend(&inputs);
        self.g.either("padded", name, [masked, whole])
    }

    /// The two-layer network with its residual and normalisation. The activation is Gelu by the error
    /// function, as in training; the approximation by tanh would move vectors by more than 1e-5.
    fn feed_forward(&mut self, layer: usize, x: &str) -> Result<Value, ModelError> {
        let name = |part: &str| format!("layer.{layer}.{part}");
        let at = |part: &str| format!("encoder.layer.{layer}.{part}");
        let Shape {
            hidden,
            intermediate,
            ..
        } = *self.shape;
        let up = self.linear(&at("intermediate.dense"), x, hidden, intermediate)?;
        let ratio = self.g.node("Div", &name("gelu.ratio"), &[&up, "sqrt_2"]);
        let erf = self.g.node("Erf", &name("gelu.erf"), &[&ratio]);
        let sum = self.g.node("Add", &name("gelu.sum"), &[&erf, "one"]);
        let twice = self.g.node("Mul", &name("gelu.twice"), &[&up, &sum]);
        let gelu = self.g.node("Mul", &name("gelu"), &[&twice, "half"]);
        let down = self.linear(&at("output.dense"), &gelu, intermediate, hidden)?;
        let sum = self.g.node("Add", &name("sum"), &[&down, x]);
        self.layer_norm(&at("output.LayerNorm"), &sum)
    }

    /// `x W^T`. The weight is stored transposed, as `MatMul` wants it.
    fn product(&mut self, at: &str, x: &str, from: usize, to: usize) -> Result<Value, ModelError> {
        let weight = format!("{at}.weight");
        let turned = self.weights.transposed(&weight, to, from)?;
        self.g.weight(&weight, &[from, to], &turned)?;
        let name = format!("{at}.product");
        Ok(self.g.node("MatMul", &name, &[x, &weight]))
    }

    /// `x W^T + b`.
    fn linear(&mut self, at: &str, x: &str, from: usize, to: usize) -> Result<Value, ModelError> {
        let product = self.product(at, x, from, to)?;
        let bias = format!("{at}.bias");
        self.g
            .weight(&bias, &[to], self.weights.get(&bias, &[to])?)?;
        Ok(self.g.node("Add", &format!("{at}.out"), &[&product, &bias]))
    }

    fn layer_norm(&mut self, at: &str, x: &str) -> Result<Value, ModelError> {
        let (weight, bias) = (format!("{at}.weight"), format!("{at}.bias"));
        let hidden = [self.shape.hidden];
        self.g
            .weight(&weight, &hidden, self.weights.get(&weight, &hidden)?)?;
        self.g
            .weight(&bias, &hidden, self.weights.get(&bias, &hidden)?)?;
        let inputs = [x, weight.as_str(), bias.as_str()];
        let attributes = vec![
            graph::integer("axis", -1),
            graph::float("epsilon", self.shape.epsilon),
        ];
        Ok(self.g.node_with(
            "LayerNormalization",
            &format!("{at}.out"),
            &inputs,
            attributes,
        ))
    }

    /// The mean over the text's tokens, scaled to unit length.
    fn pool(&mut self, x: &str, mask: &str) {
        let drop_axis = || vec![graph::integer("keepdims", 0)];
        self.g.node("Unsqueeze", "mask_column", &[mask, "axis_2"]);
        self.g.node("Mul", "text_only", &[x, "mask_column"]);
        self.g.node_with(
            "ReduceSum",
            "text_sum",
            &["text_only", "axis_1"],
            drop_axis(),
        );
        self.g.node("ReduceSum", "text_length", &[mask, "axis_1"]);
        self.g.node("Div", "mean", &["text_sum", "text_length"]);
        self.g.node_with(
            "ReduceL2",
            "norm",
            &["mean"],
            vec![graph::integers("axes", &[1])],
        );
        self.g.node("Max", "norm_or_tiny", &["norm", "tiny"]);
        self.g.node("Div", "embedding", &["mean", "norm_or_tiny"]);
    }
}
