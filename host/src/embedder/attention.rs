//! Multi-head attention of one text after the other, by the widest instructions that the processor has.
//!
//! Padding is not masked but left out: it is never read. Knows slices of numbers; nothing of graphs, models or ONNX
//! Runtime.

use super::kernels::{EXP_LEAST, exp};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// What is attended to: rows of `width` numbers for each token of each text, texts padded to `longest` tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    pub(super) queries: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    /// Of queries, keys and values, `width` each.
    pub(super) bias: &'a [f32],
    pub(super) longest: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
}

impl Attention<'_> {
    /// Whether all have the sizes that they should have.
    pub(super) fn fits(&self) -> bool {
        let count = self.queries.len();
        self.heads > 0
            && self.width.is_multiple_of(self.heads)
            && self.bias.len() == 3 * self.width
            && (self.keys.len(), self.values.len()) == (count, count)
    }
}

/// What an [`Attention`] needs room for; kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Of a head, in panels of [`ROWS`] tokens: `[token / ROWS, size, ROWS]`.
    keys: Vec<[f32; ROWS]>,
    /// Of a head, in panels of [`ROWS`] columns: `[size / ROWS, tokens, ROWS]`.
    values: Vec<[f32; ROWS]>,
    /// Of a block, a query a lane: `[size, lanes]`.
    queries: Vec<f32>,
    /// Of a block: `[tokens, lanes]`, padded to whole panels.
    weights: Vec<f32>,
    /// Of a block: `[size, lanes]`, padded to whole panels.
    mixed: Vec<f32>,
}

/// Rows of a product that are computed at once, and vectors of each: so many sums hide how long one takes, and all
/// of it fits into the sixteen registers of AVX2.
const ROWS: usize = 4;
const VECTORS: usize = 2;

/// For each text and head `softmax((q + b_q) k^T / sqrt(d)) v + b_v` (Vaswani et al., "Attention Is All You Need",
/// 2017), into `out`, which is laid out like the queries; zeros where there is padding. The keys' bias adds the same to
/// every score of a query, so softmax takes it away again; the weights of a query sum to 1, so the values' bias comes
/// last. `lengths`: tokens of each text.
///
/// Needs what [`Attention::fits`] says.
pub(super) fn attend(
    it: &Attention<'_>,
    lengths: &[usize],
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let it = *it;
    Arch::new().dispatch(Attend {
        it,
        lengths,
        scratch,
        out,
    });
}

struct Attend<'a> {
    it: Attention<'a>,
    lengths: &'a [usize],
    scratch: &'a mut Scratch,
    out: &'a mut [f32],
}

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            it,
            lengths,
            scratch,
            out,
        } = self;
        let text = it.longest * it.width;
        if text == 0 {
            return;
        }
        let rows = it
            .queries
            .chunks_exact(text)
            .zip(it.keys.chunks_exact(text));
        let rows = rows
            .zip(it.values.chunks_exact(text))
            .zip(out.chunks_exact_mut(text));
        for ((((queries, keys), values), out), &length) in rows.zip(lengths) {
            let used = length.min(it.longest) * it.width;
            out[used..].fill(0.0);
            if used == 0 {
                continue;
            }
            let one = Attention {
                queries: &queries[..used],
                keys: &keys[..used],
                values: &values[..used],
                ..it
            };
            for head in 0..it.heads {
                one_head(simd, &one, head, scratch, &mut out[..used]);
            }
        }
    }
}

/// One head of one text without padding. A vector holds the same column of several queries, so that nothing is ever
/// summed across a vector.
#[inline(always)]
fn one_head<S: Simd>(
    simd: S,
    it: &Attention<'_>,
    head: usize,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let size = it.width / it.heads;
    let part = head * size..(head + 1) * size;
    let tokens = it.queries.len() / it.width;
    let lanes = VECTORS * S::F32_LANES;
    pack(it, &part, tokens, scratch);
    scratch.queries.resize(size * lanes, 0.0);
    let padded = tokens.next_multiple_of(ROWS);
    scratch.weights.resize(padded * lanes, 0.0);
    scratch
        .mixed
        .resize(size.next_multiple_of(ROWS) * lanes, 0.0);
    let Scratch {
        keys,
        values,
        queries,
        weights,
        mixed,
    } = scratch;
    let blocks = it
        .queries
        .chunks(lanes * it.width)
        .zip(out.chunks_mut(lanes * it.width));
    for (given, out) in blocks {
        pack_queries(it, &part, given, lanes, queries);
        product(simd, keys, size, queries, weights);
        let sums = softmax(simd, &mut weights[..tokens * lanes]);
        product(simd, values, tokens, &weights[..tokens * lanes], mixed);
        divide(simd, mixed, sums);
        let bias = &it.bias[2 * it.width..][part.clone()];
        for (lane, out) in out.chunks_exact_mut(it.width).enumerate() {
            let columns = mixed.chunks_exact(lanes).zip(bias);
            for (out, (column, bias)) in out[part.clone()].iter_mut().zip(columns) {
                *out = column[lane] + bias;
            }
        }
    }
}

/// A head's keys and values, in panels.
fn pack(it: &Attention<'_>, part: &Range<usize>, tokens: usize, scratch: &mut Scratch) {
    let size = part.len();
    scratch.keys.clear();
    scratch
        .keys
        .resize(tokens.div_ceil(ROWS) * size, [0.0; ROWS]);
    let panels = scratch.keys.chunks_exact_mut(size);
    for (panel, rows) in panels.zip(it.keys.chunks(ROWS * it.width)) {
        for (row, keys) in rows.chunks_exact(it.width).enumerate() {
            for (four, key) in panel.iter_mut().zip(&keys[part.clone()]) {
                four[row] = *key;
            }
        }
    }
    scratch.values.clear();
    scratch
        .values
        .resize(size.div_ceil(ROWS) * tokens, [0.0; ROWS]);
    for (token, values) in it.values.chunks_exact(it.width).enumerate() {
        let panels = scratch.values.chunks_exact_mut(tokens);
        for (panel, values) in panels.zip(values[part.clone()].chunks(ROWS)) {
            panel[token][..values.len()].copy_from_slice(values);
        }
    }
}

/// A block of queries with their bias, scaled, a query a lane; zeros where there are fewer than lanes.
fn pack_queries(
    it: &Attention<'_>,
    part: &Range<usize>,
    given: &[f32],
    lanes: usize,
    packed: &mut [f32],
) {
    let scale = 1.0 / (part.len() as f32).sqrt();
    let bias = &it.bias[part.clone()];
    packed.fill(0.0);
    for (lane, row) in given.chunks_exact(it.width).enumerate() {
        let numbers = row[part.clone()].iter().zip(bias);
        for (column, (number, bias)) in packed.chunks_exact_mut(lanes).zip(numbers) {
            column[lane] = (number + bias) * scale;
        }
    }
}

/// Rows of a block, vector by vector.
#[inline(always)]
fn vectors<S: Simd>(numbers: &[f32]) -> &[[S::f32s; VECTORS]] {
    S::as_simd_f32s(numbers).0.as_chunks().0
}

#[inline(always)]
fn vectors_mut<S: Simd>(numbers: &mut [f32]) -> &mut [[S::f32s; VECTORS]] {
    S::as_mut_simd_f32s(numbers).0.as_chunks_mut().0
}

/// `a b` into `out`: `a` in panels of `inner`, `b` and `out` of [`VECTORS`] vectors a row.
#[inline(always)]
fn product<S: Simd>(simd: S, a: &[[f32; ROWS]], inner: usize, b: &[f32], out: &mut [f32]) {
    let (b, out) = (vectors::<S>(b), vectors_mut::<S>(out));
    for (panel, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(ROWS)) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (a, b) in panel.iter().zip(b) {
            for (a, sums) in a.iter().zip(&mut sums) {
                let a = simd.splat_f32s(*a);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = simd.mul_add_e_f32s(a, *b, *sum);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            *out = sums;
        }
    }
}

/// `e^(x - max)` in place of each score, lane by lane; the sums.
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32]) -> [S::f32s; VECTORS] {
    let rows = vectors_mut::<S>(scores);
    let mut largest = [simd.splat_f32s(f32::MIN); VECTORS];
    for row in &*rows {
        for (largest, x) in largest.iter_mut().zip(row) {
            *largest = simd.max_f32s(*largest, *x);
        }
    }
    let least = simd.splat_f32s(EXP_LEAST);
    let mut sums = [simd.splat_f32s(0.0); VECTORS];
    for row in rows {
        for ((x, largest), sum) in row.iter_mut().zip(largest).zip(&mut sums) {
            *x = exp(simd, simd.max_f32s(simd.sub_f32s(*x, largest), least));
            *sum = simd.add_f32s(*sum, *x);
        }
    }
    sums
}

#[inline(always)]
fn divide<S: Simd>(simd: S, rows: &mut [f32], by: [S::f32s; VECTORS]) {
    for row in vectors_mut::<S>(rows) {
        for (x, by) in row.iter_mut().zip(by) {
            *x = simd.div_f32s(*x, by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7_919 + seed * 104_729) % 1_999) as f32 / 400.0 - 2.5;
        (0..count).map(number).collect()
    }

    /// One number of one token's result, as the formula says, in double precision.
    fn exact(it: &Attention<'_>, text: usize, length: usize, token: usize, column: usize) -> f64 {
        let size = it.width / it.heads;
        let head = column / size * size;
        let at = |of: &[f32], which: usize, token: usize, column: usize| {
            let number = of[(text * it.longest + token) * it.width + column];
            f64::from(number) + f64::from(it.bias[which * it.width + column])
        };
        let score = |other: usize| -> f64 {
            let columns = head..head + size;
            let dot = columns.map(|c| at(it.queries, 0, token, c) * at(it.keys, 1, other, c));
            dot.sum::<f64>() / (size as f64).sqrt()
        };
        let scores: Vec<f64> = (0..length).map(score).collect();
        let largest = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let mixed = weights
            .iter()
            .enumerate()
            .map(|(other, w)| w * at(it.values, 2, other, column));
        mixed.sum::<f64>() / weights.iter().sum::<f64>()
    }

    #[test]
    fn attention_is_that_of_the_formula_and_never_reads_padding() {
        for (width, heads, lengths) in [
            (384, 12, vec![1]),
            (384, 12, vec![37, 0, 5, 21]),
            (96, 2, vec![134, 3]),
            (21, 3, vec![9, 8]),
        ] {
            let longest = lengths.iter().copied().max().unwrap();
            let count = lengths.len() * longest * width;
            let mut given = [1, 2, 3].map(|seed| numbers(count, seed));
            for numbers in &mut given {
                for (text, length) in lengths.iter().enumerate() {
                    numbers[text * longest * width..][..longest * width][length * width..]
                        .fill(f32::NAN);
                }
            }
            let bias = numbers(3 * width, 4);
            let [queries, keys, values] = &given;
            let it = Attention {
                queries,
                keys,
                values,
                bias: &bias,
                longest,
                width,
                heads,
            };
            let mut out = vec![f32::NAN; count];
            attend(&it, &lengths, &mut Scratch::default(), &mut out);
            for (at, got) in out.iter().enumerate() {
                let (text, token, column) =
                    (at / width / longest, at / width % longest, at % width);
                let expected = match token < lengths[text] {
                    true => exact(&it, text, lengths[text], token, column),
                    false => 0.0,
                };
                let error = (f64::from(*got) - expected).abs();
                assert!(
                    error < 2e-5,
                    "{width}/{heads} {text} {token} {column}: {got}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn scores_far_apart_leave_one() {
        let (queries, keys) = ([100.0, 100.0], [100.0, -100.0]);
        let it = Attention {
            queries: &queries,
            keys: &keys,
            values: &[1.0, 2.0],
            bias: &[0.0; 3],
            longest: 2,
            width: 1,
            heads: 1,
        };
        let mut out = [0.0; 2];
        attend(&it, &[2], &mut Scratch::default(), &mut out);
        assert_eq!(out, [1.0, 1.0]);
    }
}
