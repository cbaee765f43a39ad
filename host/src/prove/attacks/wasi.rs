//! The key above all sections: what a plugin may reach besides Stockade's own interfaces.

use super::{ANY, flood};
use crate::attack::{Guest, WHOLE_TEXT};
use crate::error::Failure;
use crate::policy::Wasi;
use crate::prove::attack::{Attack, Sides, Target, side};
use crate::prove::ground::Ground;
use std::time::Instant;

pub(super) fn attacks() -> Vec<Attack> {
    vec![flood(
        "wasi",
        "asks for files and environment",
        "refused, or there are none",
        ANY,
        |ground, target| Box::pin(reach(ground, target)),
    )]
}

/// Fails where it finds anything to reach: a folder, or a variable of the environment.
fn curious() -> Guest {
    let mut guest = Guest::chunker(
        "(call $folders (i32.const 256))
        (if (i32.load (i32.const 260)) (then unreachable))
        (call $environment (i32.const 256))
        (if (i32.load (i32.const 260)) (then unreachable))
        (i32.const 32)",
    );
    guest.wasi = true;
    guest.importing(
        r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $folders (param i32)))
        (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))"#,
    )
}

/// Under `none` what asks is refused before it runs. Under `sandboxed` it runs and finds nothing.
async fn reach(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let policy = target.alone(&[])?;
    let began = Instant::now();
    let loaded = ground.stage.chunker(&curious().build()?, policy.wasi);
    let over = match (policy.wasi, loaded) {
        (Wasi::None, Err(failure)) => side(
            failure.code == "plugin-forbidden-import",
            format!("refused: {}", failure.code),
            None,
        ),
        (Wasi::None, Ok(_)) => side(false, "it was loaded".to_owned(), None),
        (Wasi::Sandboxed, Err(failure)) => side(false, failure.message, None),
        (Wasi::Sandboxed, Ok(_)) => match ground.call(&policy, &curious(), "x").await?.stop {
            None => side(true, "there are none".to_owned(), None),
            Some(stop) => side(false, stop.to_string(), None),
        },
    };
    let free = Some(began.elapsed());
    let plain = ground
        .call(&policy, &Guest::chunker(WHOLE_TEXT), "x")
        .await?;
    let got = plain.stop.as_ref().map(ToString::to_string);
    let under = side(
        got.is_none(),
        got.unwrap_or_else(|| "went on".to_owned()),
        None,
    );
    Ok(Sides { over, under, free })
}
