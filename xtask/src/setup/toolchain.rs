//! A compiler for wasm32-unknown-unknown. In this order: the user's own toolchain if it has the
//! target, Debian's `rustc-web` with the standard library built from source if that is installed,
//! `rustup target add`, and at last apt. It does not know what will be compiled.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::Context;
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};
use crate::workspace::Workspace;

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

pub(super) fn run(_: &Context) -> Result<Outcome> {
    if let Some(found) = Toolchain::find()? {
        return Ok(Outcome::AlreadyThere(found.described()?));
    }
    if !add_with_rustup()? {
        install_with_apt()?;
    }
    let found = Toolchain::required()?;
    Ok(Outcome::Done(found.described()?))
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

    /// A `cargo build` for the target in this workspace; packages, profile and folder are to be added.
    pub(super) fn cargo_build(&self, workspace: &Workspace) -> Command {
        let mut command = match self {
            Self::Own => Command::new("cargo"),
            Self::Debian { .. } => Command::new(DEBIAN_CARGO),
        };
        command
            .current_dir(workspace.root())
            .args(["build", "--locked", "--target", TARGET]);
        if let Self::Debian { linker } = self {
            command.arg("-Zbuild-std=std,panic_abort");
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            // Set by the cargo that runs us, for its own compiler.
            for name in [
                "LD_LIBRARY_PATH",
                "RUSTUP_TOOLCHAIN",
                "CARGO",
                "RUSTC_WRAPPER",
                "RUSTC_WORKSPACE_WRAPPER",
            ] {
                command.env_remove(name);
            }
        }
        command
    }
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
        let line = process::shown(&toolchain.cargo_build(&Workspace::at(Path::new("/clone"))));
        for part in [
            "RUSTC=/usr/bin/rustc",
            "LINKER=/lld",
            "-Zbuild-std=std,panic_abort",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}
