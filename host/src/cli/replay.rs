//! `stockade replay`: a receipt asked again, and what a person wants to know of the difference.
//!
//! The file is anybody's: it is read as far as a bound, and whatever is wrong with it is said.

use super::Session;
use super::output::{Output, plural, printable, thousands};
use crate::api::{ChangeJson, ReceiptJson, ReplayJson};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::runtime::RuntimeError;
use crate::server::Ask;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::io::Read;
use std::path::Path;

/// Bytes of a file: a whole answer of ten thousand passages has less.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// An answer with its receipt, as `query --json` prints it.
#[derive(Deserialize)]
struct Whole {
    receipt: ReceiptJson,
}

/// Whether there is a receipt in it, or whether it is one.
#[derive(Deserialize)]
struct Probe {
    receipt: Option<IgnoredAny>,
}

pub(super) async fn run(session: &Session, file: &Path) -> Result<Exit, Failure> {
    let interrupt = super::documents::interrupted_by_user();
    let (name, file) = (name_of(file), file.to_owned());
    let named = name.clone();
    let reading = tokio::task::spawn_blocking(move || read(&file));
    let bytes = tokio::select! {
        bytes = reading => bytes.map_err(|error| wrong(&named, &error.to_string()))??,
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
    };
    let mut receipt = parse(&name, &bytes)?;
    if !receipt.has_finite_scores() {
        return Err(wrong(&name, "a score is not finite"));
    }
    // What a hop was asked is for people, and may be long; all else is compared.
    for hop in &mut receipt.hops {
        hop.args = serde_json::Value::Null;
    }
    let tenant = TenantId::new(&receipt.tenant)?;
    let ask = Ask::replay(&tenant, &receipt);
    let said = tokio::select! {
        said = session.ask(&ask) => said?,
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
    };
    session.out.answer(&said, |out| show(out, &receipt, &said));
    Ok(if said.same { Exit::Done } else { Exit::Partial })
}

fn name_of(file: &Path) -> String {
    match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => file.display().to_string(),
    }
}

fn wrong(name: &str, message: &str) -> Failure {
    let error = RuntimeError::Receipt {
        from: printable(name),
        message: printable(message),
    };
    error.into()
}

/// All of a file, or of standard input, unless that is too much.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| RuntimeError::Read {
        path: file.to_owned(),
        source,
    };
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).map_err(unreadable)?),
    };
    let mut bytes = vec![];
    let mut input = input.take(FILE_BYTES_MAX + 1);
    input.read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => {
            let message = format!("it has more than {} MiB", FILE_BYTES_MAX >> 20);
            Err(wrong(&name_of(file), &message))
        }
        false => Ok(bytes),
    }
}

/// A receipt, alone or within its answer.
fn parse(name: &str, bytes: &[u8]) -> Result<ReceiptJson, Failure> {
    let said = |error: serde_json::Error| wrong(name, &error.to_string());
    let probe: Probe = serde_json::from_slice(bytes).map_err(said)?;
    match probe.receipt {
        Some(_) => {
            let whole: Whole = serde_json::from_slice(bytes).map_err(said)?;
            Ok(whole.receipt)
        }
        None => serde_json::from_slice(bytes).map_err(said),
    }
}

fn show(out: &Output, receipt: &ReceiptJson, said: &ReplayJson) {
    let line = |what: &str, text: &str| out.line(format!("  {what:<10} {}", printable(text)));
    out.line(out.bold(summary(said)));
    line(
        "question",
        &format!("{}, of {}", said.question, said.tenant),
    );
    let version = &said.version;
    let state = match &*version.state {
        "in-use" => "the receipt's version, in use now",
        "kept" => "the receipt's version, kept in the history",
        _ => "not the receipt's version, which is gone",
    };
    let short = &version.replayed[..version.replayed.len().min(12)];
    line("agent", &format!("{} {short}: {state}", said.agent));
    for change in &said.changes {
        line(&change.what, &told(change));
    }
    if said.same_answer {
        let number = plural(said.now.passages.len() as u64, "passage");
        line("answer", &format!("{number}, the same in the same order"));
    }
    if said.same_fuel {
        line(
            "fuel",
            &format!("{}, the same", thousands(receipt.usage.fuel)),
        );
    }
}

fn summary(said: &ReplayJson) -> &'static str {
    match (said.same_answer, said.same_fuel) {
        (true, true) if said.changes.is_empty() => "The same answer for the same fuel.",
        (true, true) => "The same answer for the same fuel, although something changed.",
        (true, false) => "The same answer for other fuel.",
        (false, _) => "Another answer.",
    }
}

/// A change with its two values, where they are short.
fn told(change: &ChangeJson) -> String {
    let short = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text.chars().take(12).collect()),
        serde_json::Value::Number(number) => match number.as_u64() {
            Some(number) => Some(thousands(number)),
            None => Some(number.to_string()),
        },
        _ => None,
    };
    match (short(&change.was), short(&change.now)) {
        // Whose versions its sentence names already.
        _ if change.what == "plugin" => change.detail.clone(),
        (Some(was), Some(now)) => format!("{was} then, {now} now: {}", change.detail),
        _ => change.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_receipt_is_refused_and_says_where_it_came_from() {
        let deep = "[".repeat(100_000);
        let cases: [&[u8]; 8] = [
            b"",
            b"null",
            b"\xff\xfe",
            b"{\"receipt\": null}",
            b"{\"receipt\": {\"task\": 1}}",
            b"{\"passages\": [], \"usage\": {}}",
            b"[1, 2",
            deep.as_bytes(),
        ];
        for case in cases {
            let failure = parse("a\u{1b}file", case).unwrap_err();
            assert_eq!((&*failure.code, failure.exit), ("receipt", Exit::Usage));
            assert!(
                failure.message.starts_with("a\u{fffd}file is no receipt: "),
                "{failure}"
            );
        }
    }
}
