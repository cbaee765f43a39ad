//! One matrix product by ONNX Runtime, again and again: what the model's speed is measured against.
//!
//! A user of `ort` beside `runtime`. Knows nothing of the model.

use super::error::EmbedderError;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use std::path::PathBuf;

/// A session of one product, as free as the model's sessions are, with an input that stays the same.
pub(super) struct Product {
    session: Session,
    shape: [usize; 2],
    input: Vec<f32>,
}

impl Product {
    /// A session of `graph`, as `onnx::product` wrote it for `shape`: one thread, which does not spin.
    pub(super) fn new(
        environment: &Environment,
        graph: &[u8],
        shape: [usize; 3],
    ) -> Result<Self, EmbedderError> {
        let [rows, inner, _] = shape;
        let session = || -> ort::Result<Session> {
            Session::builder(environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_intra_op_spinning(false)?
                .commit_from_memory(graph)
        };
        let number = |at: usize| (at % 13) as f32 / 13.0 - 0.4;
        Ok(Self {
            session: session().map_err(|e| failed(&e))?,
            shape: [rows, inner],
            input: (0..rows * inner).map(number).collect(),
        })
    }

    /// Multiplies once.
    pub(super) fn run(&mut self) -> Result<(), EmbedderError> {
        let mut run = || -> ort::Result<()> {
            let input = TensorRef::from_array_view((self.shape, self.input.as_slice()))?;
            self.session.run(ort::inputs! { "input" => input })?;
            Ok(())
        };
        run().map_err(|e| failed(&e))
    }
}

fn failed(error: &ort::Error) -> EmbedderError {
    EmbedderError::Session {
        path: PathBuf::from("the product of a benchmark"),
        reason: error.to_string(),
    }
}
