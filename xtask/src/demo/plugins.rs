//! The demo's own plugins: text format in, components out, by the libraries that the set-up has
//! anyway. It adds the types of `wit/` and checks nothing else: that is what `stockade` is shown doing.

use std::path::Path;

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, WorldId};

use crate::cache;
use crate::workspace::Workspace;

/// A plugin that is written for the demo.
pub(super) struct Source {
    /// Its text, relative to the workspace's root; its component has the same name.
    pub(super) text: &'static str,
    world: &'static str,
}

/// Every plugin of the tour.
pub(super) const SOURCES: &[Source] = &[
    Source {
        text: "demo/plugins/globex/paragraphs.wat",
        world: "chunker",
    },
    Source {
        text: "demo/plugins/mallory/eager.wat",
        world: "chunker",
    },
    Source {
        text: "demo/plugins/mallory/looper.wat",
        world: "chunker",
    },
    Source {
        text: "demo/plugins/mallory/hoarder.wat",
        world: "agent",
    },
];

/// Writes the component of each source into `folder`.
pub(super) fn build(workspace: &Workspace, folder: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(workspace.root().join("wit"))?;
    for source in SOURCES {
        let path = workspace.root().join(source.text);
        let world = resolve.select_world(&[package], Some(source.world))?;
        let component = component(&path, &resolve, world)
            .with_context(|| format!("{} makes no component", path.display()))?;
        let name = path.with_extension("wasm");
        cache::put(
            &folder.join(name.file_name().unwrap_or_default()),
            &component,
        )?;
    }
    Ok(())
}

fn component(text: &Path, resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    let mut module = wat::parse_file(text)?;
    let encoding = StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, resolve, world, encoding)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .encode()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_plugin_of_the_demo_makes_a_component() {
        let folder = tempfile::tempdir().unwrap();
        build(&Workspace::find().unwrap(), folder.path()).unwrap();
        for name in ["paragraphs", "eager", "looper", "hoarder"] {
            let bytes = fs::read(folder.path().join(format!("{name}.wasm"))).unwrap();
            assert!(wit_component::decode(&bytes).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_text_of_the_demos_plugins_is_built() {
        let root = Workspace::find().unwrap();
        for tenant in ["globex", "mallory"] {
            let folder = format!("demo/plugins/{tenant}");
            for entry in fs::read_dir(root.root().join(&folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let text = format!("{folder}/{name}");
                assert!(SOURCES.iter().any(|source| source.text == text), "{text}");
            }
        }
    }
}
