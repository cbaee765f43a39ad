//! The measures of one ranking, and what is summed over questions. They know neither agents nor hosts.

use super::DEPTH;
use crate::task::Usage;
use std::collections::HashSet;

/// The measures' names, in the order of [`Measures`].
pub const MEASURES: [&str; 6] = [
    "ndcg@10",
    "mrr@10",
    "recall@5",
    "recall@10",
    "all_gold@5",
    "all_gold@10",
];

/// Six numbers from 0 to 1: normalised discounted cumulative gain over the first ten documents with binary relevance
/// (Järvelin and Kekäläinen 2002); reciprocal rank of the first relevant of ten documents; share of the relevant
/// documents among the first five, and among the first ten; 1 where all of them are among the first five, and among
/// the first ten.
pub type Measures = [f64; 6];

/// The measures of one ranking.
pub(super) fn measures(found: &[String], relevant: &[String]) -> Measures {
    let relevant: HashSet<&str> = relevant.iter().map(String::as_str).collect();
    let hits: Vec<bool> = found
        .iter()
        .take(DEPTH)
        .map(|document| relevant.contains(document.as_str()))
        .collect();
    let discount = |rank: usize| 1.0 / ((rank + 2) as f64).log2();
    let gain: f64 = hits
        .iter()
        .enumerate()
        .filter(|(_, hit)| **hit)
        .map(|(r, _)| discount(r))
        .sum();
    let ideal: f64 = (0..relevant.len().min(DEPTH)).map(discount).sum();
    let first = hits.iter().position(|&hit| hit);
    let within = |depth: usize| hits.iter().take(depth).filter(|&&hit| hit).count();
    let recall = |depth: usize| within(depth) as f64 / relevant.len() as f64;
    let all = |depth: usize| f64::from(u8::from(within(depth) == relevant.len()));
    [
        gain / ideal,
        first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
        recall(5),
        recall(10),
        all(5),
        all(10),
    ]
}

pub(super) fn add_usage(sum: &mut Usage, one: &Usage) {
    sum.fuel += one.fuel;
    sum.guest_cpu_ms += one.guest_cpu_ms;
    sum.host_wait_ms += one.host_wait_ms;
    sum.wall_ms += one.wall_ms;
    sum.memory_peak_bytes += one.memory_peak_bytes;
    sum.host_calls += one.host_calls;
    sum.embed_tokens += one.embed_tokens;
    sum.searches += one.searches;
    sum.vectors_scanned += one.vectors_scanned;
    sum.read_bytes += one.read_bytes;
    sum.boundary_bytes += one.boundary_bytes;
    sum.output_bytes += one.output_bytes;
    sum.log_bytes += one.log_bytes;
}

pub(super) fn mean_usage(sum: &Usage, queries: usize) -> Usage {
    let n = queries.max(1) as u64;
    let mean = |value: f64| (value / n as f64 * 1e3).round() / 1e3;
    Usage {
        fuel: sum.fuel / n,
        guest_cpu_ms: mean(sum.guest_cpu_ms),
        host_wait_ms: mean(sum.host_wait_ms),
        wall_ms: mean(sum.wall_ms),
        memory_peak_bytes: sum.memory_peak_bytes / n,
        host_calls: sum.host_calls / n,
        embed_tokens: sum.embed_tokens / n,
        searches: sum.searches / n,
        vectors_scanned: sum.vectors_scanned / n,
        read_bytes: sum.read_bytes / n,
        boundary_bytes: sum.boundary_bytes / n,
        output_bytes: sum.output_bytes / n,
        log_bytes: sum.log_bytes / n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_perfect_ranking_scores_one_everywhere() {
        assert_eq!(
            measures(&ids(&["a", "b", "c"]), &ids(&["b", "a"])),
            [1.0; 6]
        );
    }

    #[test]
    fn measures_agree_with_numbers_worked_out_by_hand() {
        let [ndcg, mrr, r5, r10, g5, g10] = measures(
            &ids(&["x", "a", "y", "z", "u", "v", "b"]),
            &ids(&["a", "b"]),
        );
        let expected = (1.0 / 3f64.log2() + 1.0 / 8f64.log2()) / (1.0 + 1.0 / 3f64.log2());
        assert!((ndcg - expected).abs() < 1e-12);
        assert_eq!([mrr, r5, r10, g5, g10], [0.5, 0.5, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn nothing_found_scores_zero() {
        assert_eq!(measures(&[], &ids(&["a"])), [0.0; 6]);
    }
}
