//! A compiler for wasm32-unknown-unknown. In this order: the user's own toolchain if it has the
//! target, Debian's `rustc-web` with the standard library built from source if that is installed,
//! `rustup target add`, and at last apt. It does not know what will be compiled.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::Context;
use super::recipe::Recipe;
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};

/// The target of every guest.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// Debian's older compilers know neither edition 2024 nor this workspace's lints.
const DEBIAN_RELEASE_MIN: (u32, u32) = (1, 95);
/// Generous for 25 MB, short for somebody who waits without a network.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// A compiler that was found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// The cargo and rustc that run us; they have the target.
    Own,
    /// Debian's, which needs the standard library built and a linker named.
    Debian { linker: PathBuf },
}

pub(super) fn run(context: &Context) -> Result<Outcome> {
    if let Some(found) = Toolchain::find()? {
        let recipe = found.recipe()?;
        recipe.keep(&context.cache)?;
        return Ok(Outcome::AlreadyThere(recipe.description));
    }
    if !add_with_rustup()? {
        install_with_apt()?;
    }
    let recipe = Toolchain::required()?.recipe()?;
    recipe.keep(&context.cache)?;
    Ok(Outcome::Done(recipe.description))
}

impl Toolchain {
    /// The toolchain that is there, if any. Changes nothing.
    pub(super) fn find() -> Result<Option<Self>> {
        if own_target_dir()?.is_dir() {
            return Ok(Some(Self::Own));
        }
        if !debian_is_installed() {
            return Ok(None);
        }
        Ok(linker()?.map(|linker| Self::Debian { linker }))
    }

    /// The toolchain that is there; without one, an error that says how to get it.
    pub(super) fn required() -> Result<Self> {
        Self::find()?.ok_or_else(|| {
            ui::todo(
                format!("there is no compiler for {TARGET}"),
                "cargo xtask setup --only toolchain",
            )
        })
    }

    /// What distinguishes the code that this toolchain makes.
    pub(super) fn version(&self) -> Result<String> {
        let (rustc, kind) = match self {
            Self::Own => ("rustc", "precompiled std"),
            Self::Debian { .. } => (DEBIAN_RUSTC, "std from source"),
        };
        Ok(format!(
            "{}, {kind}",
            process::output(Command::new(rustc).arg("-vV"))?
        ))
    }

    fn described(&self) -> Result<String> {
        let version = self.version()?;
        let release = version.lines().next().unwrap_or_default();
        Ok(match self {
            Self::Own => format!("{release} has {TARGET}"),
            Self::Debian { linker } => {
                format!(
                    "Debian's {release}, which builds std from source, linker {}",
                    linker.display()
                )
            }
        })
    }

    /// How it compiles a guest.
    pub(super) fn recipe(&self) -> Result<Recipe> {
        self.recipe_described(self.described()?)
    }

    fn recipe_described(&self, description: String) -> Result<Recipe> {
        let mut arguments = vec!["build".to_owned(), "--target".to_owned(), TARGET.to_owned()];
        arguments.extend(["--config".to_owned(), remap_cargo_home()?]);
        let mut set = BTreeMap::new();
        let mut unset = MISLEADING.map(str::to_owned).to_vec();
        let program = match self {
            Self::Own => match own_tools()? {
                Some((cargo, rustc)) => {
                    set.insert("RUSTC".to_owned(), rustc);
                    cargo
                }
                None => PathBuf::from("cargo"),
            },
            Self::Debian { linker } => {
                arguments.push("-Zbuild-std=std,panic_abort".to_owned());
                set.insert("RUSTC".to_owned(), DEBIAN_RUSTC.to_owned());
                set.insert("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned());
                let linker = linker.display().to_string();
                set.insert(
                    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER".to_owned(),
                    linker,
                );
                unset.extend(SET_BY_RUSTUP.map(str::to_owned));
                PathBuf::from(DEBIAN_CARGO)
            }
        };
        Ok(Recipe {
            description,
            program,
            arguments,
            set,
            unset,
        })
    }
}

/// Flags that a user sets for native code, in either spelling.
const MISLEADING: [&str; 2] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"];

/// Set by the cargo that runs us, for its own compiler.
const SET_BY_RUSTUP: [&str; 5] = [
    "LD_LIBRARY_PATH",
    "RUSTUP_TOOLCHAIN",
    "CARGO",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
];

/// Flags for the target, as cargo's configuration: they keep the user's folders out of the components.
fn remap_cargo_home() -> Result<String> {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let flag = toml::Value::from(format!("--remap-path-prefix={home}=/cargo"));
    Ok(format!("target.{TARGET}.rustflags=[{flag}]"))
}

/// The cargo and rustc of the toolchain that runs us, by path, so that a command in another folder gets the same
/// whatever rustup would choose there; none where they do not lie beside each other.
fn own_tools() -> Result<Option<(PathBuf, String)>> {
    let root = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let tool = |name: &str| Path::new(&root).join("bin").join(name);
    let (cargo, rustc) = (tool("cargo"), tool("rustc"));
    let both = cargo.exists() && rustc.exists();
    Ok(both.then(|| (cargo, rustc.display().to_string())))
}

fn own_target_dir() -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    process::output(&mut rustc).map(PathBuf::from)
}

fn debian_is_installed() -> bool {
    let source = Path::new("/usr/lib/rustlib/src/rust/library/Cargo.lock");
    let recent = debian_release().is_ok_and(|release| release >= DEBIAN_RELEASE_MIN);
    recent && source.exists() && Path::new(DEBIAN_CARGO).exists()
}

fn debian_release() -> Result<(u32, u32)> {
    parse_release(&process::output(
        Command::new(DEBIAN_RUSTC).arg("--version"),
    )?)
    .ok_or_else(|| anyhow!("{DEBIAN_RUSTC} does not say its version"))
}

/// `rustc 1.96.0 (…)` is (1, 96).
fn parse_release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("rustc ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The LLVM release of Debian's compiler: its linker must not be older.
fn debian_llvm() -> Result<String> {
    let version = process::output(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
    parse_llvm(&version).ok_or_else(|| anyhow!("{DEBIAN_RUSTC} does not say its LLVM version"))
}

fn parse_llvm(version: &str) -> Option<String> {
    let line = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next().map(str::to_owned)
}

/// The linker: out of the rustup toolchain that runs us, else Debian's for the compiler's LLVM.
fn linker() -> Result<Option<PathBuf>> {
    let libdir = process::output(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let shipped = Path::new(&libdir).with_file_name("bin/rust-lld");
    let debian = PathBuf::from(format!("/usr/bin/wasm-ld-{}", debian_llvm()?));
    Ok([shipped, debian].into_iter().find(|path| path.exists()))
}

/// Tries rustup, which may be absent or without a network. True where the target is there now.
fn add_with_rustup() -> Result<bool> {
    if process::output(Command::new("rustup").arg("--version")).is_err() {
        ui::note("rustup is not here to add the target");
        return Ok(false);
    }
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", TARGET])
        .env("RUST_BACKTRACE", "0");
    if !process::succeeds_within(&mut rustup, RUSTUP_LIMIT)? {
        ui::note("rustup cannot add the target here");
    }
    Ok(own_target_dir()?.is_dir())
}

fn install_with_apt() -> Result<()> {
    let by_hand = format!(
        "either, with a network that reaches rustup's servers:\nrustup target add {TARGET}\n\
         or, on Debian:\nsudo apt-get update && sudo apt-get install -y {}\n\
         then run the same `cargo xtask` command again",
        DEBIAN_PACKAGES.join(" ")
    );
    if process::output(Command::new("apt-get").arg("--version")).is_err() {
        return Err(ui::todo(
            format!("no compiler for {TARGET}, and no apt-get to install one"),
            by_hand,
        ));
    }
    if !is_root()? {
        return Err(ui::todo(
            format!("no compiler for {TARGET}, and only root may install one"),
            by_hand,
        ));
    }
    apt(&["update"])
        .and_then(|()| apt_install(&DEBIAN_PACKAGES))
        .or_todo("apt could not install a compiler", by_hand)?;
    if linker()?.is_none() {
        apt_install(&[&format!("lld-{}", debian_llvm()?)])?;
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    let process = std::fs::metadata("/proc/self").context("cannot tell who we are")?;
    Ok(process.uid() == 0)
}

fn apt_install(packages: &[&str]) -> Result<()> {
    let arguments = ["install", "-y", "--no-install-recommends"];
    apt(&[&arguments[..], packages].concat())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    process::run(apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        let old = parse_release("rustc 1.63.0").unwrap();
        let new = parse_release("rustc 1.100.0 (ac68faa20 2026-05-25)").unwrap();
        assert!(old < DEBIAN_RELEASE_MIN && new > DEBIAN_RELEASE_MIN);
        assert_eq!(parse_release("gcc 12"), None);
    }

    #[test]
    fn the_linker_follows_the_compilers_llvm() {
        assert_eq!(
            parse_llvm("release: 1.96.0\nLLVM version: 22.1.8"),
            Some("22".to_owned())
        );
        assert_eq!(parse_llvm("release: 1.96.0"), None);
    }

    #[test]
    fn debians_cargo_is_told_its_compiler_and_linker() {
        let toolchain = Toolchain::Debian {
            linker: PathBuf::from("/lld"),
        };
        let recipe = toolchain.recipe_described(String::new()).unwrap();
        let line = process::shown(&recipe.command());
        for part in [
            "RUSTC=/usr/bin/rustc",
            "LINKER=/lld",
            "-Zbuild-std=std,panic_abort",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn flags_for_native_code_do_not_reach_a_guest() {
        let recipe = Toolchain::Own.recipe().unwrap();
        assert!(recipe.unset.contains(&"RUSTFLAGS".to_owned()));
        let flags = remap_cargo_home().unwrap();
        let read: toml::Table = flags.parse().unwrap();
        assert!(read["target"][TARGET]["rustflags"].is_array(), "{flags}");
        assert!(recipe.arguments.contains(&flags));
    }
}
