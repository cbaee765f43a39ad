//! Brings the built-in guests, which the set-up built, to where the compiler finds them.

use std::path::{Path, PathBuf};

const GUESTS: [&str; 6] = [
    "chunker",
    "agent-hybrid",
    "agent-vector",
    "agent-text",
    "agent-multihop",
    "agent-rules",
];

fn main() {
    if let Err(message) = bring_guests() {
        println!("cargo::error={message}");
    }
}

fn bring_guests() -> Result<(), String> {
    let var = |name| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let pointer = Path::new(&var("CARGO_MANIFEST_DIR")?).join("../target/stockade-guests");
    println!("cargo::rerun-if-changed={}", pointer.display());
    let missing = |_| "the built-in guests are not there: run cargo xtask setup".to_owned();
    let folder = std::fs::read_to_string(&pointer).map_err(missing)?;
    let (folder, out) = (PathBuf::from(folder.trim()), PathBuf::from(var("OUT_DIR")?));
    for guest in GUESTS {
        let file = format!("{guest}.wasm");
        let from = folder.join(&file);
        println!("cargo::rerun-if-changed={}", from.display());
        std::fs::copy(&from, out.join(&file)).map_err(|error| {
            format!(
                "cannot copy {}: {error}; run cargo xtask setup",
                from.display()
            )
        })?;
    }
    Ok(())
}
