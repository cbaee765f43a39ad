//! The files of a new project. The crate for authors and the contract are copied into it, so that it needs no
//! clone of Stockade.
//!
//! It writes and compiles nothing.

use super::{ProjectError, lock, name, quoted};
use crate::plugin::PluginKind;
use std::path::{Path, PathBuf};

/// Files of this repository, as they are, with their paths from its root.
macro_rules! vendored {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!("../../../", $path)))),*]
    };
}

/// What every project has of Stockade, below its folder `stockade`. `tests/authors.rs` holds that nothing is missing.
const VENDORED: &[(&str, &str)] = vendored![
    "guest/src/agent.rs",
    "guest/src/bindings.rs",
    "guest/src/chunker.rs",
    "guest/src/host.rs",
    "guest/src/lib.rs",
    "guest/src/options.rs",
    "guest/src/setting.rs",
    "guest/src/testing.rs",
    "guest/src/testing/corpus.rs",
    "guest/src/testing/cutting.rs",
    "guest/src/testing/filter.rs",
    "guest/src/testing/filters.json",
    "guest/src/testing/graph.rs",
    "guest/src/testing/memory.rs",
    "guest/src/testing/meters.rs",
    "guest/src/testing/reply.rs",
    "guest/src/testing/scripted.rs",
    "guest/src/testing/tests.rs",
    "guest/src/testing/words.rs",
    "wit/agent.wit",
    "wit/chunker.wit",
    "wit/types.wit",
];

const MANIFEST: &str = include_str!("../../templates/Cargo.toml.in");
const GUEST_MANIFEST: &str = include_str!("../../templates/guest.toml.in");
const README: &str = include_str!("../../templates/README.md.in");
const IGNORED: &str = include_str!("../../templates/gitignore.in");

/// What differs between the kinds.
struct Template {
    library: &'static str,
    test: &'static str,
    what: &'static str,
}

const CHUNKER: Template = Template {
    library: include_str!("../../templates/chunker/lib.rs"),
    test: include_str!("../../templates/chunker/native.rs"),
    what: "a chunker, which cuts documents into chunks",
};

const AGENT: Template = Template {
    library: include_str!("../../templates/agent/lib.rs"),
    test: include_str!("../../templates/agent/native.rs"),
    what: "an agent, which answers questions with passages",
};

/// A project that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The plugin's name.
    pub name: String,
    /// What it is.
    pub kind: PluginKind,
    /// Its files, relative to the folder, in order.
    pub files: Vec<PathBuf>,
    /// From the folder to an answer: commands to type where this one was typed.
    pub commands: Vec<String>,
}

/// Writes a project into `folder`, which is made, or has to be empty. Its name is `chosen`, or one that looks like
/// the folder's. What was written is removed again where something fails.
pub fn write(
    folder: &Path,
    kind: PluginKind,
    chosen: Option<&str>,
) -> Result<Written, ProjectError> {
    let absolute = std::path::absolute(folder).map_err(|source| io("find", folder, source))?;
    let name = match chosen {
        Some(name) => name::checked(name)?,
        None => name::of_folder(&absolute, kind),
    };
    let commands = commands(folder, &name, kind);
    let files = files(&name, kind, &commands);
    let made = claim(folder)?;
    if let Err(error) = put_all(folder, &files) {
        take_back(folder, &files, made);
        return Err(error);
    }
    Ok(Written {
        name,
        kind,
        files: files.into_iter().map(|(path, _)| path).collect(),
        commands,
    })
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> ProjectError {
    ProjectError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Makes the folder, or sees that it is empty; whether it was made.
fn claim(folder: &Path) -> Result<bool, ProjectError> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(ProjectError::NotEmpty(folder.to_owned())),
            None => Ok(false),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|source| io("make", folder, source))?;
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(ProjectError::NoFolder(folder.to_owned()))
        }
        Err(source) => Err(io("look into", folder, source)),
    }
}

fn put_all(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), ProjectError> {
    for (path, text) in files {
        let path = folder.join(path);
        let within = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(within).map_err(|source| io("make", within, source))?;
        std::fs::write(&path, text).map_err(|source| io("write", &path, source))?;
    }
    Ok(())
}

fn take_back(folder: &Path, files: &[(PathBuf, String)], made: bool) {
    for (path, _) in files {
        let path = folder.join(path);
        let _ = std::fs::remove_file(&path);
        // Folders go with their last file.
        for within in path.ancestors().skip(1).take_while(|p| *p != folder) {
            let _ = std::fs::remove_dir(within);
        }
    }
    if made {
        let _ = std::fs::remove_dir(folder);
    }
}

/// All files, by path.
fn files(name: &str, kind: PluginKind, commands: &[String]) -> Vec<(PathBuf, String)> {
    let template = match kind {
        PluginKind::Chunker => CHUNKER,
        PluginKind::Agent => AGENT,
    };
    let fill = |text: &str| {
        text.replace("__name__", name)
            .replace("__crate__", &name.replace('-', "_"))
            .replace("__what__", template.what)
            .replace("__version__", env!("CARGO_PKG_VERSION"))
            .replace("__commands__", &commands.join("\n"))
    };
    let mut files = vec![
        (".gitignore", IGNORED.to_owned()),
        ("Cargo.lock", lock::lock(name)),
        ("Cargo.toml", fill(MANIFEST)),
        ("README.md", fill(README)),
        ("src/lib.rs", fill(template.library)),
        ("stockade/guest/Cargo.toml", fill(GUEST_MANIFEST)),
        ("tests/native.rs", fill(template.test)),
    ]
    .into_iter()
    .map(|(path, text)| (PathBuf::from(path), text))
    .collect::<Vec<_>>();
    let vendored = VENDORED
        .iter()
        .map(|(path, text)| (Path::new("stockade").join(path), (*text).to_owned()));
    files.extend(vendored);
    files.sort();
    files
}

/// What to type next, where the project was made: its own README is the document that is asked about.
fn commands(folder: &Path, name: &str, kind: PluginKind) -> Vec<String> {
    let at = |file: &str| quoted(&folder.join(file).to_string_lossy());
    let component = at(&format!("{name}.wasm"));
    let used = match kind {
        PluginKind::Chunker => format!("stockade plugin use {name} {name} --for md"),
        PluginKind::Agent => format!("stockade plugin use {name} {name}"),
    };
    vec![
        format!("cargo test --manifest-path {}", at("Cargo.toml")),
        format!(
            "stockade plugin build {}",
            quoted(&folder.to_string_lossy())
        ),
        format!("stockade plugin check {component}"),
        format!("stockade tenant add {name}"),
        format!("stockade plugin install {name} {component}"),
        used,
        format!("stockade ingest {name} {}", at("README.md")),
        format!("stockade query {name} \"Where are the tests of the plugin?\""),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_where_something_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.txt");
        std::fs::write(&file, "mine").unwrap();
        let refused = write(folder.path(), PluginKind::Agent, None).unwrap_err();
        assert!(matches!(refused, ProjectError::NotEmpty(_)), "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let refused = write(&file, PluginKind::Agent, None).unwrap_err();
        assert!(matches!(refused, ProjectError::NoFolder(_)), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn an_empty_folder_is_taken_and_every_name_is_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [PluginKind::Agent, PluginKind::Chunker] {
            let folder = folder.path().join(format!("a {kind}"));
            std::fs::create_dir(&folder).unwrap();
            let written = write(&folder, kind, Some("my-plugin")).unwrap();
            for file in written.files {
                let text = std::fs::read_to_string(folder.join(&file)).unwrap();
                for mark in [
                    "__name__",
                    "__crate__",
                    "__what__",
                    "__version__",
                    "__commands__",
                ] {
                    assert!(!text.contains(mark), "{} has {mark}", file.display());
                }
            }
            let quoted = format!("stockade plugin build '{}'", folder.display());
            assert!(written.commands.contains(&quoted), "{:?}", written.commands);
        }
    }

    #[test]
    fn what_was_half_written_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("deep/project");
        assert!(claim(&project).unwrap());
        let files = files("notes", PluginKind::Agent, &[]);
        put_all(&project, &files[..5]).unwrap();
        take_back(&project, &files, true);
        assert!(!project.exists());
    }
}
