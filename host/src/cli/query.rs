//! `stockade query`: an answer as a person wants to read it, or JSON.

use super::Session;
use super::args::QueryArguments;
use super::output::{Output, plural, printable, thousands};
use crate::api::{AskedJson, PassageJson, QueryJson};
use crate::error::{Exit, Failure};
use crate::server::Ask;

/// Characters of a passage that a person is shown.
const EXCERPT: usize = 400;

pub(super) async fn run(session: &Session, arguments: QueryArguments) -> Result<Exit, Failure> {
    let QueryArguments {
        tenant,
        question,
        agent,
        k,
        filter,
        options,
    } = arguments;
    let asked = AskedJson {
        question,
        agent,
        k,
        filter,
        options,
    };
    let interrupt = super::documents::interrupted_by_user();
    let ask = Ask::query(&tenant, &asked);
    let said = tokio::select! {
        said = session.ask(&ask) => said?,
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
    };
    session.out.answer(&said, |out| show(out, &said));
    Ok(Exit::Done)
}

fn show(out: &Output, said: &QueryJson) {
    if said.passages.is_empty() {
        out.line("Nothing found.");
    }
    for (at, passage) in said.passages.iter().enumerate() {
        show_passage(out, at + 1, passage);
    }
    for degraded in &said.receipt.degraded {
        out.line(format!("note: {degraded}"));
    }
    let (receipt, usage) = (&said.receipt, &said.usage);
    out.line(out.dim(&format!(
        "{} ({}): {} in {:.0} ms, {} fuel, {:.1} ms of guest CPU,",
        receipt.agent,
        &receipt.plugin[..12],
        plural(receipt.hops.len() as u64, "hop"),
        usage.wall_ms,
        thousands(usage.fuel),
        usage.guest_cpu_ms,
    )));
    out.line(out.dim(&format!(
        "{} embedded, {} scanned",
        plural(usage.embed_tokens, "token"),
        plural(usage.vectors_scanned, "vector"),
    )));
}

fn show_passage(out: &Output, number: usize, passage: &PassageJson) {
    let title = match passage.title.as_str() {
        "" => passage.document.as_str(),
        title => title,
    };
    let [start, end] = passage.span;
    out.line(format!("{number}. {}", out.bold(&printable(title))));
    let document = printable(&passage.document);
    out.line(out.dim(&format!(
        "   {document}, bytes {start} to {end}; {}",
        passage.reason
    )));
    let text: String = passage
        .text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for line in wrapped(&printable(&excerpt(&text)), 92) {
        out.line(format!("   {line}"));
    }
    out.line("");
}

/// The beginning of a text, cut between words.
fn excerpt(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(EXCERPT) else {
        return text.to_owned();
    };
    let end = text[..end].rfind(' ').unwrap_or(end);
    format!("{} …", text[..end].trim_end())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let full = lines.last().is_some_and(|line| {
            !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("long-word b", 4), ["long-word", "b"]);
    }

    #[test]
    fn excerpts_end_between_words() {
        assert_eq!(excerpt("short"), "short");
        let long = "word ".repeat(100);
        assert!(excerpt(&long).ends_with("word …"));
    }
}
