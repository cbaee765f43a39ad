//! From latencies and answers to what can be said of them: percentiles, ratios with how sure they are, and
//! whether answers are the same. It knows neither hosts nor how numbers are shown.

use super::victim::{Answer, Asked, Failed};
use crate::statistics::SplitMix64;
use std::collections::HashMap;

/// Scores of the same answer differ by no more than this.
const SCORE_DIFFERENCE: f32 = 1e-6;

/// Draws of the bootstrap.
const DRAWS: usize = 1_000;

/// The victim's questions in one block, in the order of their numbers.
pub(super) type Block = Vec<Asked<Result<Answer, Failed>>>;

/// The smallest of `values` that at least this share of them does not exceed; nothing for none.
pub(in crate::cli::bench) fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let rank = (share * values.len() as f64 - 1e-9).ceil().max(1.0) as usize - 1;
    let (_, value, _) = values.select_nth_unstable_by(rank.min(last), f64::total_cmp);
    Some(*value)
}

/// Milliseconds of every question that was answered.
pub(super) fn latencies(block: &Block) -> Vec<f64> {
    let answered = block.iter().filter(|asked| asked.outcome.is_ok());
    answered
        .map(|asked| asked.latency.as_secs_f64() * 1e3)
        .collect()
}

/// A ratio and where it lies with a probability of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) ratio: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A percentile of one arm by that of another. Both arms' blocks are pairs in time: a draw of the bootstrap
/// takes pairs, and from each as many questions as there are, both with replacement.
pub(super) fn ratio(one: &[Vec<f64>], other: &[Vec<f64>], share: f64) -> Option<Ratio> {
    let pairs = one.len().min(other.len());
    let (one, other) = (&one[..pairs], &other[..pairs]);
    let by = |mut a: Vec<f64>, mut b: Vec<f64>| {
        Some(percentile(&mut a, share)? / percentile(&mut b, share)?)
    };
    let ratio = by(one.concat(), other.concat())?;
    let mut random = SplitMix64(42);
    let draws = (0..DRAWS).filter_map(|_| {
        let chosen: Vec<usize> = (0..pairs).map(|_| random.below(pairs)).collect();
        let a = chosen
            .iter()
            .flat_map(|&at| resample(&one[at], &mut random))
            .collect();
        let b = chosen
            .iter()
            .flat_map(|&at| resample(&other[at], &mut random))
            .collect();
        by(a, b)
    });
    let mut draws: Vec<f64> = draws.collect();
    Some(Ratio {
        ratio,
        low: percentile(&mut draws, 0.025)?,
        high: percentile(&mut draws, 0.975)?,
    })
}

fn resample(values: &[f64], random: &mut SplitMix64) -> Vec<f64> {
    let draw = |_| values[random.below(values.len())];
    (0..values.len()).map(draw).collect()
}

/// The same chunks in the same order, with the same scores.
fn same(one: &Answer, other: &Answer) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((chunk, score), (other, score_of_other))| {
                chunk == other && (score - score_of_other).abs() <= SCORE_DIFFERENCE
            })
}

/// How many questions were answered otherwise than in `alone`. What failed in either is counted elsewhere.
pub(super) fn different(alone: &[Block], beside: &[Block]) -> usize {
    let answers = |blocks: &[Block]| -> HashMap<usize, Answer> {
        let asked = blocks.iter().flatten();
        let answered = asked.filter_map(|asked| Some((asked.number, asked.outcome.clone().ok()?)));
        answered.collect()
    };
    let expected = answers(alone);
    let got = answers(beside).into_iter();
    got.filter(|(number, answer)| {
        expected
            .get(number)
            .is_some_and(|right| !same(right, answer))
    })
    .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn asked(number: usize, answer: &[(u64, f32)]) -> Asked<Result<Answer, Failed>> {
        Asked {
            number,
            due: Duration::ZERO,
            latency: Duration::from_millis(5),
            outcome: Ok(answer.to_vec()),
        }
    }

    #[test]
    fn another_answer_is_found_and_the_same_is_not() {
        let alone = [vec![
            asked(0, &[(7, 0.5), (9, 0.25)]),
            asked(1, &[(3, 0.1)]),
        ]];
        let beside = |first: &[(u64, f32)]| [vec![asked(1, &[(3, 0.1)])], vec![asked(0, first)]];
        assert_eq!(different(&alone, &beside(&[(7, 0.5), (9, 0.25)])), 0);
        assert_eq!(
            different(&alone, &beside(&[(7, 0.500_000_4), (9, 0.25)])),
            0
        );
        for other in [
            &[(9, 0.25), (7, 0.5)][..],
            &[(7, 0.5)],
            &[(7, 0.500_01), (9, 0.25)],
            &[(7, f32::NAN), (9, 0.25)],
            &[],
        ] {
            assert_eq!(different(&alone, &beside(other)), 1, "{other:?}");
        }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values: Vec<f64> = (1..=1_000).rev().map(f64::from).collect();
        for (share, value) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            assert_eq!(percentile(&mut values, share), Some(value));
        }
        assert_eq!(percentile(&mut [3.0], 0.5), Some(3.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }

    #[test]
    fn a_ratio_lies_between_its_bounds_and_drift_cancels_out() {
        // Every block is slower than the one before, the second arm always by a half.
        let arm = |factor: f64| -> Vec<Vec<f64>> {
            let block = |at: usize| {
                let one = |n: usize| factor * (1 << at) as f64 * (1.0 + n as f64 / 1e4);
                (0..100).map(one).collect()
            };
            (0..6).map(block).collect()
        };
        let found = ratio(&arm(1.5), &arm(1.0), 0.5).unwrap();
        assert!((found.ratio - 1.5).abs() < 0.01, "{found:?}");
        assert!(
            found.low <= found.ratio && found.ratio <= found.high,
            "{found:?}"
        );
        assert!(
            found.high - found.low < 0.1,
            "pairs are drawn together: {found:?}"
        );
        assert_eq!(ratio(&[], &[], 0.5), None);
    }
}
