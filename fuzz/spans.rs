//! Spans that a chunker returned, against a model that says in one line what a legal list of spans is.

use crate::driver::Target;
use stockade::corpus::Chunk;

pub(crate) struct Spans;

impl Target for Spans {
    fn name(&self) -> &'static str {
        "spans"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let text = "aé日🙂 plain words\n\u{301}";
        let case = |spans: &[(u8, u8)]| {
            let spans = spans.iter().flat_map(|&(start, end)| [start, 0, end, 0]);
            let count = u8::try_from(spans.clone().count() / 4).unwrap_or(0);
            [count]
                .into_iter()
                .chain(spans)
                .chain(text.bytes())
                .collect()
        };
        vec![
            case(&[(0, 1), (1, 3), (3, 6)]),
            case(&[(0, 3), (1, 3), (1, 6)]),
            case(&[]),
            case(&[(0, 255)]),
        ]
    }

    /// One byte: how many spans. Each span: two numbers of 16 bits, which reach a little beyond 2^32 as
    /// their text's end does. The rest is the text.
    fn read(&self, input: &[u8]) -> String {
        let (&count, rest) = input.split_first().unwrap_or((&0, &[]));
        let bytes = (usize::from(count) * 4).min(rest.len() / 4 * 4);
        let (spans, text) = rest.split_at(bytes);
        let text = String::from_utf8_lossy(text);
        let chunks: Vec<Chunk> = spans
            .chunks_exact(4)
            .map(|four| Chunk {
                start: number(four[0], four[1]),
                end: number(four[2], four[3]),
                labels: vec![],
            })
            .collect();
        let checked = Chunk::check_all(&chunks, &text);
        assert_eq!(
            checked.is_ok(),
            legal(&chunks, &text),
            "{chunks:?} in {text:?}"
        );
        for chunk in &chunks {
            let cut = text
                .get(chunk.start as usize..chunk.end as usize)
                .unwrap_or_default();
            assert_eq!(chunk.text(&text), cut);
        }
        match checked {
            Ok(()) => ["legal and empty", "legal, one span", "legal, many spans"]
                [chunks.len().min(2)]
            .to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn short_run(&self) -> u64 {
        20_000
    }
}

/// A high byte of 255 stands for the largest numbers there are.
fn number(low: u8, high: u8) -> u32 {
    match high {
        255 => u32::MAX - u32::from(low),
        _ => u32::from(u16::from_le_bytes([low, high])),
    }
}

/// Every span is a piece of the text that is not empty, and each lies after the one before.
fn legal(chunks: &[Chunk], text: &str) -> bool {
    let piece = |c: &Chunk| {
        text.get(c.start as usize..c.end as usize)
            .is_some_and(|s| !s.is_empty())
    };
    let after = |pair: &[Chunk]| (pair[0].start, pair[0].end) < (pair[1].start, pair[1].end);
    chunks.iter().all(piece) && chunks.windows(2).all(after)
}
