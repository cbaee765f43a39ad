//! ONNX Runtime's shared library, out of its Python wheel. It does not know who loads it.

use anyhow::Result;

use super::Context;
use crate::cache;
use crate::fetch::{self, Member, Package};
use crate::ui::Outcome;

const PACKAGE: Package = Package {
    name: "onnxruntime",
    version: "1.32.0",
};

const LIBRARY: Member<'_> = Member {
    name: "onnxruntime/capi/libonnxruntime.so.1.32.0",
    sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
};

pub(super) fn run(context: &Context) -> Result<Outcome> {
    let path = context.cache.onnxruntime(PACKAGE.version);
    if cache::has_sha256(&path, LIBRARY.sha256)? {
        return Ok(Outcome::AlreadyThere(path.display().to_string()));
    }
    let wheel = fetch::wheel(PACKAGE, &context.downloads)?;
    fetch::extract(&wheel, LIBRARY, &path)?;
    Ok(Outcome::Done(path.display().to_string()))
}
