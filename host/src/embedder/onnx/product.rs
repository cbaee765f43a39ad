//! A graph of one matrix product, for measuring how fast ONNX Runtime's own is. Knows nothing of BERT.

use super::graph::{node, value_info};
use super::proto;

/// The input of the graph, and its output.
pub(in crate::embedder) const INPUT: &str = "input";
const OUTPUT: &str = "output";

/// An `.onnx` file that multiplies its input `[rows, inner]` by constant weights `[inner, columns]`.
pub(in crate::embedder) fn product([rows, inner, columns]: [usize; 3]) -> Vec<u8> {
    let floats = |name: &str, dims: [usize; 2]| {
        let dim = dims.map(|dim| proto::Dimension {
            dim_value: Some(dim as i64),
            dim_param: None,
        });
        value_info(name, proto::TYPE_FLOAT, dim.to_vec())
    };
    // Small numbers of both signs, none of which is denormal: their speed is that of any weights.
    let weight = |at: usize| ((at % 17) as f32 - 8.0) / 64.0;
    let weights = (0..inner * columns).flat_map(|at| weight(at).to_le_bytes());
    let graph = proto::Graph {
        name: "product".to_owned(),
        node: vec![node("MatMul", OUTPUT, &[INPUT, "weights"], vec![])],
        initializer: vec![proto::Tensor {
            dims: vec![inner as i64, columns as i64],
            data_type: proto::TYPE_FLOAT,
            name: "weights".to_owned(),
            raw_data: Some(weights.collect()),
            ..Default::default()
        }],
        input: vec![floats(INPUT, [rows, inner])],
        output: vec![floats(OUTPUT, [rows, columns])],
    };
    let model = proto::Model {
        ir_version: 8,
        producer_name: "stockade".to_owned(),
        graph: Some(graph),
        opset_import: vec![proto::OperatorSet {
            domain: String::new(),
            version: 17,
        }],
    };
    prost::Message::encode_to_vec(&model)
}
