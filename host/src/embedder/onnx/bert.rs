//! BERT with mean pooling and unit length, as an ONNX graph: standard operators, ONNX Runtime's own for attention,
//! and, unless the graph is for others, the embedder's for what lies between the matrix products.
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

/// Which operators a graph may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operators {
    /// Those of ONNX Runtime, so that any program that has it can run the graph.
    OfTheRuntime,
    /// The embedder's, too.
    Ours,
}

/// Writes the graph `input_ids, attention_mask: i64[batch, sequence] -> embedding: f32[batch, hidden]`.
pub(super) fn write<W: Write>(
    shape: &Shape,
    weights: &Weights<'_>,
    operators: Operators,
    writer: GraphWriter<W>,
) -> Result<(Vec<u8>, W), ModelError> {
    let mut bert = Bert {
        g: writer,
        shape,
        weights,
        operators,
    };
    let ids = bert.g.input("input_ids", &["batch", "sequence"]);
    let given = bert.g.input("attention_mask", &["batch", "sequence"]);
    let mask = bert.cast("mask", &given, FLOAT);
    bert.constants();
    if operators == Operators::OfTheRuntime {
        bert.padding(&given);
    }
    let mut hidden = bert.embeddings(&ids)?;
    for layer in 0..shape.layers {
        hidden = bert.attention(layer, &hidden)?;
        hidden = bert.feed_forward(layer, &hidden)?;
    }
    bert.pool(&hidden, &mask);
    bert.g.output("embedding", "batch", shape.hidden);
    let domains = [
        ("", OPSET),
        (graph::RUNTIMES_OWN, 1),
        (graph::OWN_DOMAIN, 1),
    ];
    Ok(bert.g.finish(match operators {
        Operators::OfTheRuntime => &domains[..2],
        Operators::Ours => &domains,
    }))
}

struct Bert<'a, W> {
    g: GraphWriter<W>,
    shape: &'a Shape,
    weights: &'a Weights<'a>,
    operators: Operators,
}

impl<W: Write> Bert<'_, W> {
    fn constants(&mut self) {
        if self.operators == Operators::OfTheRuntime {
            self.g.scalar("one", 1.0);
            self.g.scalar("half", 0.5);
            self.g.scalar("sqrt_2", std::f32::consts::SQRT_2);
        }
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
        let out = self.product(&at("output.dense"), &mixed, hidden, hidden)?;
        self.skip_norm(&at("output"), &out, x)
    }

    /// Each token's mean of the values, weighed by how well its query fits the keys. ONNX Runtime's own does it block
    /// by block where there is nothing to mask, without ever holding all weights (Dao et al., "FlashAttention", 2022),
    /// so it is told when that is.
    fn mix(&mut self, name: &str, inputs: [&str; 4]) -> Value {
        let [q, k, v, bias] = inputs;
        let heads = |name: &str| vec![graph::integer(name, self.shape.heads as i64)];
        if self.operators == Operators::Ours {
            let inputs = [q, k, v, bias, "attention_mask"];
            let heads = heads("heads");
            return self.g.own_node(graph::ATTENTION, name, &inputs, heads);
        }
        let attend = |inputs: &[&str]| {
            let op = "MultiHeadAttention";
            graph::node_of(graph::RUNTIMES_OWN, op, name, inputs, heads("num_heads"))
        };
        let masked = attend(&[q, k, v, bias, "text_or_padding"]);
        let whole = attend(&inputs);
        self.g.either("padded", name, [masked, whole])
    }

    /// The two-layer network with its residual and normalisation. The activation is Gelu by the error
    /// function, as in training; the approximation by tanh would move vectors by more than 1e-5.
    fn feed_forward(&mut self, layer: usize, x: &str) -> Result<Value, ModelError> {
        let at = |part: &str| format!("encoder.layer.{layer}.{part}");
        let Shape {
            hidden,
            intermediate,
            ..
        } = *self.shape;
        let up = self.product(&at("intermediate.dense"), x, hidden, intermediate)?;
        let active = self.gelu(&at("intermediate.dense"), &up, intermediate)?;
        let down = self.product(&at("output.dense"), &active, intermediate, hidden)?;
        self.skip_norm(&at("output"), &down, x)
    }

    /// `gelu(x + b)`.
    fn gelu(&mut self, at: &str, x: &str, width: usize) -> Result<Value, ModelError> {
        let name = |part: &str| format!("{at}.gelu.{part}");
        let bias = self.bias(at, width)?;
        if self.operators == Operators::Ours {
            return Ok(self
                .g
                .own_node(graph::BIAS_GELU, &name("out"), &[x, &bias], vec![]));
        }
        let up = self.g.node("Add", &name("in"), &[x, &bias]);
        let ratio = self.g.node("Div", &name("ratio"), &[&up, "sqrt_2"]);
        let erf = self.g.node("Erf", &name("erf"), &[&ratio]);
        let sum = self.g.node("Add", &name("sum"), &[&erf, "one"]);
        let twice = self.g.node("Mul", &name("twice"), &[&up, &sum]);
        Ok(self.g.node("Mul", &name("out"), &[&twice, "half"]))
    }

    /// The end of a sublayer, `x` being its last product: bias and residual added, and normalised.
    fn skip_norm(&mut self, at: &str, x: &str, skip: &str) -> Result<Value, ModelError> {
        let (dense, norm) = (format!("{at}.dense"), format!("{at}.LayerNorm"));
        let bias = self.bias(&dense, self.shape.hidden)?;
        if self.operators == Operators::Ours {
            let [weight, shift] = self.scale_and_shift(&norm)?;
            let inputs = [x, skip, &bias, &weight, &shift];
            let epsilon = vec![graph::float("epsilon", self.shape.epsilon)];
            return Ok(self
                .g
                .own_node(graph::SKIP_NORM, &format!("{norm}.out"), &inputs, epsilon));
        }
        let out = self.g.node("Add", &format!("{dense}.out"), &[x, &bias]);
        let sum = self.g.node("Add", &format!("{dense}.sum"), &[&out, skip]);
        self.layer_norm(&norm, &sum)
    }

    /// `x W^T`. The weight is stored transposed, as `MatMul` wants it.
    fn product(&mut self, at: &str, x: &str, from: usize, to: usize) -> Result<Value, ModelError> {
        let weight = format!("{at}.weight");
        let turned = self.weights.transposed(&weight, to, from)?;
        self.g.weight(&weight, &[from, to], &turned)?;
        let name = format!("{at}.product");
        Ok(self.g.node("MatMul", &name, &[x, &weight]))
    }

    fn bias(&mut self, at: &str, width: usize) -> Result<Value, ModelError> {
        self.vector(&format!("{at}.bias"), width)
    }

    /// Of a normalisation.
    fn scale_and_shift(&mut self, at: &str) -> Result<[Value; 2], ModelError> {
        let hidden = self.shape.hidden;
        let weight = self.vector(&format!("{at}.weight"), hidden)?;
        Ok([weight, self.bias(at, hidden)?])
    }

    /// A weight of one dimension, as the checkpoint has it.
    fn vector(&mut self, name: &str, width: usize) -> Result<Value, ModelError> {
        self.g
            .weight(name, &[width], self.weights.get(name, &[width])?)
    }

    fn layer_norm(&mut self, at: &str, x: &str) -> Result<Value, ModelError> {
        let [weight, bias] = self.scale_and_shift(at)?;
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
