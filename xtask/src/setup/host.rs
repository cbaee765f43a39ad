//! The host: builds `stockade` and lets it write the ONNX graph into the model's folder. It does not
//! know how the graph is written.

use std::process::Command;

use anyhow::Result;

use super::Context;
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};

pub(super) fn run(context: &Context) -> Result<Outcome> {
    build(context)?;
    import_model(context)?;
    Ok(Outcome::Done(
        context.cache.stockade().display().to_string(),
    ))
}

fn build(context: &Context) -> Result<()> {
    if !context.cache.stockade().exists() {
        ui::note("the first build takes about ten minutes on two cores");
    }
    let mut cargo = context.workspace.cargo(&context.cache);
    cargo.args(["build", "--release", "--locked", "--package", "stockade"]);
    process::run(&mut cargo).or_todo(
        "stockade did not build",
        "mend what the compiler says above, then:\ncargo xtask setup --only host",
    )
}

fn import_model(context: &Context) -> Result<()> {
    let mut import = Command::new(context.cache.stockade());
    import.args(["model", "import"]).arg(context.cache.model());
    import.env("STOCKADE_CACHE", context.cache.root());
    process::run(&mut import).or_todo(
        "the model was not imported",
        format!(
            "fetch its files again, then import:\nrm -r {}\ncargo xtask setup",
            context.cache.model().display()
        ),
    )
}
