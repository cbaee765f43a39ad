//! `cargo xtask peers`: a Python environment with sentence-transformers, ONNX Runtime's own package and
//! fastembed, which the benchmarks compare with. It does not know what is compared.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cache::{self, Cache};
use crate::fetch;
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};

/// The releases that published figures were measured with.
const REQUIREMENTS: [&str; 4] = [
    "torch==2.15.*",
    "sentence-transformers==6.2.*",
    "onnxruntime==1.32.*",
    "fastembed==0.9.*",
];

const IMPORTS: &str = "import torch, sentence_transformers, onnxruntime, fastembed";

/// Makes the environment, or completes one that an interrupted command left. It has a lock of its
/// own: nothing else touches that folder, and the set-up need not wait for it.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    let _lock = cache.lock("peers")?;
    let (result, _) = ui::step("Python peers", || install(&cache.peers()));
    result.map(|_| ())
}

fn install(folder: &Path) -> Result<Outcome> {
    let marker = folder.join("complete.txt");
    let wanted = REQUIREMENTS.join("\n");
    let found = Outcome::AlreadyThere(folder.display().to_string());
    if std::fs::read_to_string(&marker).is_ok_and(|text| text == wanted) && imports(folder).is_ok()
    {
        return Ok(found);
    }
    ui::note("a few minutes and 6 GB; an interrupted installation goes on where it stopped");
    let mut environment = Command::new(fetch::python()?);
    process::run(environment.args(["-m", "venv"]).arg(folder)).or_todo(
        "the Python environment could not be made",
        "on Debian or Ubuntu:\napt-get install -y python3-venv",
    )?;
    let mut pip = Command::new(python(folder));
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
    ])
    .args(REQUIREMENTS);
    let typed = process::shown(&pip);
    process::run(&mut pip).or_todo("the packages were not installed", typed)?;
    imports(folder).or_todo(
        "the packages do not load",
        format!("rm -r {}\ncargo xtask peers", folder.display()),
    )?;
    cache::put(&marker, wanted.as_bytes())?;
    Ok(Outcome::Done(folder.display().to_string()))
}

fn imports(folder: &Path) -> Result<String> {
    process::output(Command::new(python(folder)).args(["-c", IMPORTS]))
}

fn python(folder: &Path) -> std::path::PathBuf {
    folder.join("bin/python")
}
