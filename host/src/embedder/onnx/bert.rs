//! BERT with mean pooling and unit length, as a graph of standard ONNX operators.
//!
//! A text's vector does not depend on its neighbours: padding is masked out of every attention and of the
//! mean. Knows the names of a BERT checkpoint's weights, and nothing of files.

use super::ModelError;
use super::graph::{self, GraphWriter, Value};
use super::source::{Shape, Weights};
use std::io::Write;

/// The version of the standard operators that the graph is written in.
pub(super) const OPSET: i64 = 17;

/// Added to the attention score of padding: its probability becomes exactly zero.
const MASKED: f32 = -1e9;

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
    let mask = bert.g.input("attention_mask", &["batch", "sequence"]);
    let mask = bert
        .g
        .node_with("Cast", "mask", &[&mask], vec![graph::integer("to", 1)]);
    bert.constants();
    let penalty = bert.penalty(&mask);
    let mut hidden = bert.embeddings(&ids)?;
    for layer in 0..shape.layers {
        hidden = bert.attention(layer, &hidden, &penalty)?;
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
        let (heads, hidden) = (self.shape.heads, self.shape.hidden);
        let size = hidden / heads;
        self.g.scalar("one", 1.0);
        self.g.scalar("half", 0.5);
        self.g.scalar("sqrt_2", std::f32::consts::SQRT_2);
        self.g.scalar("masked", MASKED);
        self.g.scalar("tiny", 1e-12);
        self.g.scalar("scale", 1.0 / (size as f32).sqrt());
        // Zero keeps the input's dimension.
        self.g
            .integers("split_heads", &[0, 0, heads as i64, size as i64]);
        self.g.integers("join_heads", &[0, 0, hidden as i64]);
        self.g.integers("axis_0", &[0]);
        self.g.integers("axis_1", &[1]);
        self.g.integers("axes_1_2", &[1, 2]);
        self.g.integers("axis_2", &[2]);
    }

    /// `[batch, 1, 1, sequence]`: zero where there is text, [`MASKED`] where there is padding.
    fn penalty(&mut self, mask: &str) -> Value {
        self.g.node("Sub", "padding", &["one", mask]);
        self.g
            .node("Mul", "padding_penalty", &["padding", "masked"]);
        self.g
            .node("Unsqueeze", "penalty", &["padding_penalty", "axes_1_2"])
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
    fn attention(&mut self, layer: usize, x: &str, penalty: &str) -> Result<Value, ModelError> {
        let name = |part: &str| format!("layer.{layer}.attention.{part}");
        let at = |part: &str| format!("encoder.layer.{layer}.attention.{part}");
        let q = self.heads(&at("self.query"), x, &[0, 2, 1, 3])?;
        let k = self.heads(&at("self.key"), x, &[0, 2, 3, 1])?;
        let v = self.heads(&at("self.value"), x, &[0, 2, 1, 3])?;
        let scores = self.g.node("MatMul", &name("scores"), &[&q, &k]);
        let scaled = self.g.node("Mul", &name("scaled"), &[&scores, "scale"]);
        let masked = self.g.node("Add", &name("masked"), &[&scaled, penalty]);
        let axis = vec![graph::integer("axis", -1)];
        let shares = self
            .g
            .node_with("Softmax", &name("shares"), &[&masked], axis);
        let mixed = self.g.node("MatMul", &name("mixed"), &[&shares, &v]);
        let perm = vec![graph::integers("perm", &[0, 2, 1, 3])];
        let turned = self
            .g
            .node_with("Transpose", &name("turned"), &[&mixed], perm);
        let joined = self
            .g
            .node("Reshape", &name("joined"), &[&turned, "join_heads"]);
        let hidden = self.shape.hidden;
        let out = self.linear(&at("output.dense"), &joined, hidden, hidden)?;
        let sum = self.g.node("Add", &name("sum"), &[&out, x]);
        self.layer_norm(&at("output.LayerNorm"), &sum)
    }

    /// One projection, cut into heads and turned.
    fn heads(&mut self, weight: &str, x: &str, perm: &[i64]) -> Result<Value, ModelError> {
        let hidden = self.shape.hidden;
        let flat = self.linear(weight, x, hidden, hidden)?;
        let cut = self
            .g
            .node("Reshape", &format!("{weight}.cut"), &[&flat, "split_heads"]);
        let perm = vec![graph::integers("perm", perm)];
        Ok(self
            .g
            .node_with("Transpose", &format!("{weight}.turned"), &[&cut], perm))
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

    /// `x W^T + b`. The weight is stored transposed, as `MatMul` wants it.
    fn linear(&mut self, at: &str, x: &str, from: usize, to: usize) -> Result<Value, ModelError> {
        let (weight, bias) = (format!("{at}.weight"), format!("{at}.bias"));
        let turned = self.weights.transposed(&weight, to, from)?;
        self.g.weight(&weight, &[from, to], &turned)?;
        self.g
            .weight(&bias, &[to], self.weights.get(&bias, &[to])?)?;
        let product = self
            .g
            .node("MatMul", &format!("{at}.product"), &[x, &weight]);
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
