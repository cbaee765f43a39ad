//! `stockade plugin new` and `stockade plugin build`.

use super::documents::interrupted_by_user;
use super::output::{Output, bytes, plural};
use crate::api::{BuiltProjectJson, NewProjectJson};
use crate::config::cache_dir;
use crate::error::Failure;
use crate::plugin::PluginKind;
use crate::project::{self, Build};
use crate::runtime::RuntimeError;
use std::path::{Path, PathBuf};

pub(super) fn new(
    out: &Output,
    folder: &Path,
    kind: PluginKind,
    name: Option<&str>,
) -> Result<(), Failure> {
    let said = NewProjectJson::new(folder, project::write(folder, kind, name)?);
    out.answer(&said, |out| {
        let files = plural(said.files.len() as u64, "file");
        let (name, kind, folder) = (&said.name, said.kind, folder.display());
        out.line(format!(
            "Wrote the {kind} {name} into {folder}: {files}. The plugin is src/lib.rs."
        ));
        show_next(out, &said.next);
    });
    Ok(())
}

pub(super) async fn build(out: &Output, folder: PathBuf) -> Result<(), Failure> {
    let interrupted = interrupted_by_user();
    let wish = Build {
        folder,
        cache: cache_dir(),
        watched: !out.json,
    };
    let remarks = *out;
    let work = move || {
        let begun = |compiler: &str| remarks.remark(format!("Compiling with {compiler}."));
        project::build(&wish, begun, || interrupted.is_cancelled())
    };
    let built = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RuntimeError::Threads(std::io::Error::other(error)))??;
    show_built(out, &BuiltProjectJson::from(built));
    Ok(())
}

fn show_built(out: &Output, said: &BuiltProjectJson) {
    out.answer(said, |out| {
        out.line(format!(
            "Built the {} {} in {:.1} s: {}, digest {}.",
            said.kind,
            said.name,
            said.seconds,
            bytes(said.size_bytes),
            &said.digest[..12]
        ));
        out.line(format!("  {}", said.component.display()));
        show_next(out, &said.next);
    });
}

/// Commands to type, one a line, with nothing else on them.
fn show_next(out: &Output, commands: &[String]) {
    out.line("\nNext:\n");
    for command in commands {
        out.line(format!("  {command}"));
    }
}
