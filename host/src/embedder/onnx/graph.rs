//! Writes an ONNX graph: nodes and small constants in memory, weights straight to a data file. And reads
//! back where in the data file each weight is.
//!
//! Knows operators, names and alignment; what the graph computes is its caller's business.

use super::ModelError;
use super::proto;
use std::io::{self, Write};
use std::path::Path;

/// Weights begin at multiples of this, so that ONNX Runtime can map each by itself.
const ALIGNMENT: u64 = 4_096;

/// The domain of the operators that ONNX Runtime adds to the standard ones.
pub(super) const RUNTIMES_OWN: &str = "com.microsoft";

/// The domain of the operators that the embedder adds to those.
pub(in crate::embedder) const OWN_DOMAIN: &str = "stockade";
/// Multi-head attention, of that domain.
pub(in crate::embedder) const ATTENTION: &str = "Attention";
/// `gelu(x + bias)`, of that domain.
pub(in crate::embedder) const BIAS_GELU: &str = "BiasGelu";
/// `normalised(x + bias + skip) * weight + shift`, of that domain.
pub(in crate::embedder) const SKIP_NORM: &str = "SkipNorm";

/// The name of a value in the graph.
pub(super) type Value = String;

/// A graph under construction, its weights written to `data` as they come.
pub(super) struct GraphWriter<W> {
    graph: proto::Graph,
    data: W,
    data_file: String,
    offset: u64,
}

impl<W: Write> GraphWriter<W> {
    /// An empty graph; weights go to `data`, which the graph will refer to as `data_file`.
    pub(super) fn new(name: &str, data: W, data_file: &str) -> Self {
        let graph = proto::Graph {
            name: name.to_owned(),
            ..Default::default()
        };
        Self {
            graph,
            data,
            data_file: data_file.to_owned(),
            offset: 0,
        }
    }

    /// An input of 64-bit integers, every dimension known only at run time.
    pub(super) fn input(&mut self, name: &str, dimensions: &[&str]) -> Value {
        let dim = dimensions.iter().map(|d| named(d)).collect();
        self.graph
            .input
            .push(value_info(name, proto::TYPE_INT64, dim));
        name.to_owned()
    }

    /// Makes `value` the output `[batch, width]` under its own name.
    pub(super) fn output(&mut self, value: &str, batch: &str, width: usize) {
        let fixed = proto::Dimension {
            dim_value: Some(width as i64),
            dim_param: None,
        };
        let info = value_info(value, proto::TYPE_FLOAT, vec![named(batch), fixed]);
        self.graph.output.push(info);
    }

    /// A node with one output, called `name`.
    pub(super) fn node(&mut self, op: &str, name: &str, inputs: &[&str]) -> Value {
        self.node_with(op, name, inputs, vec![])
    }

    /// A node with attributes and one output, called `name`.
    pub(super) fn node_with(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        attribute: Vec<proto::Attribute>,
    ) -> Value {
        self.add(node(op, name, inputs, attribute))
    }

    /// A node of one of our own operators.
    pub(super) fn own_node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        attribute: Vec<proto::Attribute>,
    ) -> Value {
        self.add(node_of(OWN_DOMAIN, op, name, inputs, attribute))
    }

    fn add(&mut self, node: proto::Node) -> Value {
        let name = node.name.clone();
        self.graph.node.push(node);
        name
    }

    /// One of two nodes, chosen at run time by the truth of `condition`; the one output, called `name`, has three
    /// dimensions. The nodes' inputs are values of this graph.
    pub(super) fn either(
        &mut self,
        condition: &str,
        name: &str,
        [so, otherwise]: [proto::Node; 2],
    ) -> Value {
        let branch = |attribute: &str, mut node: proto::Node| {
            let output = format!("{name}.{attribute}");
            node.output = vec![output.clone()];
            let dims = ["batch", "sequence", "hidden"].map(named).into();
            let graph = proto::Graph {
                name: output.clone(),
                node: vec![node],
                output: vec![value_info(&output, proto::TYPE_FLOAT, dims)],
                ..Default::default()
            };
            proto::Attribute {
                name: attribute.to_owned(),
                g: Some(graph),
                kind: proto::ATTRIBUTE_GRAPH,
                ..Default::default()
            }
        };
        let branches = vec![branch("then_branch", so), branch("else_branch", otherwise)];
        self.node_with("If", name, &[condition], branches)
    }

    /// A constant number.
    pub(super) fn scalar(&mut self, name: &str, value: f32) -> Value {
        self.inline(
            name,
            proto::TYPE_FLOAT,
            vec![],
            value.to_le_bytes().to_vec(),
        )
    }

    /// A constant list of integers.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.inline(name, proto::TYPE_INT64, vec![values.len() as i64], raw)
    }

    fn inline(&mut self, name: &str, data_type: i32, dims: Vec<i64>, raw: Vec<u8>) -> Value {
        self.graph.initializer.push(proto::Tensor {
            dims,
            data_type,
            name: name.to_owned(),
            raw_data: Some(raw),
            ..Default::default()
        });
        name.to_owned()
    }

    /// A weight: `bytes` are little-endian f32 in row order.
    pub(super) fn weight(
        &mut self,
        name: &str,
        dims: &[usize],
        bytes: &[u8],
    ) -> Result<Value, ModelError> {
        let offset = self
            .append(bytes)
            .map_err(|e| ModelError::file(Path::new(&self.data_file), e))?;
        let entry = |key: &str, value: String| proto::StringEntry {
            key: key.to_owned(),
            value,
        };
        self.graph.initializer.push(proto::Tensor {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: proto::TYPE_FLOAT,
            name: name.to_owned(),
            raw_data: None,
            external_data: vec![
                entry("location", self.data_file.clone()),
                entry("offset", offset.to_string()),
                entry("length", bytes.len().to_string()),
            ],
            data_location: Some(proto::LOCATION_EXTERNAL),
        });
        Ok(name.to_owned())
    }

    /// Appends to the data file, aligned; where the bytes begin.
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.offset.next_multiple_of(ALIGNMENT);
        let padding = (start - self.offset) as usize;
        self.data.write_all(&[0; ALIGNMENT as usize][..padding])?;
        self.data.write_all(bytes)?;
        self.offset = start + bytes.len() as u64;
        Ok(start)
    }

    /// The `.onnx` file's bytes, and the writer that holds the weights. `domains`: where operators come from, with
    /// their versions.
    pub(super) fn finish(self, domains: &[(&str, i64)]) -> (Vec<u8>, W) {
        let set = |(domain, version): &(&str, i64)| proto::OperatorSet {
            domain: (*domain).to_owned(),
            version: *version,
        };
        let model = proto::Model {
            ir_version: 8,
            producer_name: "stockade".to_owned(),
            graph: Some(self.graph),
            opset_import: domains.iter().map(set).collect(),
        };
        (prost::Message::encode_to_vec(&model), self.data)
    }
}

/// Where in the data file a weight is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::embedder) struct Placed {
    pub(in crate::embedder) name: String,
    pub(in crate::embedder) dims: Vec<i64>,
    /// First byte.
    pub(in crate::embedder) offset: u64,
    /// Bytes: four a number.
    pub(in crate::embedder) length: u64,
}

/// The weights of a graph that [`GraphWriter`] wrote, in the order of the data file.
pub(super) fn placed(onnx: &[u8]) -> io::Result<Vec<Placed>> {
    let model: proto::Model = prost::Message::decode(onnx).map_err(io::Error::other)?;
    let tensors = model.graph.unwrap_or_default().initializer;
    tensors
        .iter()
        .filter(|t| t.data_location == Some(proto::LOCATION_EXTERNAL))
        .map(place)
        .collect()
}

fn place(tensor: &proto::Tensor) -> io::Result<Placed> {
    let number = |key: &str| {
        let entry = tensor.external_data.iter().find(|e| e.key == key);
        let number = entry.and_then(|e| e.value.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("weight {} has no {key}", tensor.name)))
    };
    let (offset, length) = (number("offset")?, number("length")?);
    Ok(Placed {
        name: tensor.name.clone(),
        dims: tensor.dims.clone(),
        offset,
        length,
    })
}

/// A node with one output, called `name`, of an operator that is not a standard one.
pub(super) fn node_of(
    domain: &str,
    op: &str,
    name: &str,
    inputs: &[&str],
    attribute: Vec<proto::Attribute>,
) -> proto::Node {
    proto::Node {
        domain: domain.to_owned(),
        ..node(op, name, inputs, attribute)
    }
}

/// A standard operator's node with one output, called `name`.
pub(super) fn node(
    op: &str,
    name: &str,
    inputs: &[&str],
    attribute: Vec<proto::Attribute>,
) -> proto::Node {
    proto::Node {
        input: inputs.iter().map(|&i| i.to_owned()).collect(),
        output: vec![name.to_owned()],
        name: name.to_owned(),
        op_type: op.to_owned(),
        attribute,
        domain: String::new(),
    }
}

/// A float attribute.
pub(super) fn float(name: &str, value: f32) -> proto::Attribute {
    let (name, f) = (name.to_owned(), Some(value));
    proto::Attribute {
        name,
        f,
        kind: proto::ATTRIBUTE_FLOAT,
        ..Default::default()
    }
}

/// An integer attribute.
pub(super) fn integer(name: &str, value: i64) -> proto::Attribute {
    let (name, i) = (name.to_owned(), Some(value));
    proto::Attribute {
        name,
        i,
        kind: proto::ATTRIBUTE_INT,
        ..Default::default()
    }
}

/// An attribute that is a list of integers.
pub(super) fn integers(name: &str, values: &[i64]) -> proto::Attribute {
    let (name, ints) = (name.to_owned(), values.to_vec());
    proto::Attribute {
        name,
        ints,
        kind: proto::ATTRIBUTE_INTS,
        ..Default::default()
    }
}

fn named(dimension: &str) -> proto::Dimension {
    proto::Dimension {
        dim_value: None,
        dim_param: Some(dimension.to_owned()),
    }
}

pub(super) fn value_info(
    name: &str,
    elem_type: i32,
    dim: Vec<proto::Dimension>,
) -> proto::ValueInfo {
    let tensor = proto::TensorType {
        elem_type,
        shape: Some(proto::Shape { dim }),
    };
    proto::ValueInfo {
        name: name.to_owned(),
        r#type: Some(proto::Type {
            tensor_type: Some(tensor),
        }),
    }
}
