//! What evaluations and benchmarks share: numbers that look random and repeat, and percentiles.
//!
//! It does not know what was drawn or timed.

use std::time::Duration;

/// Numbers that look random and are the same for the same seed: SplitMix64 (Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `bound` - 1, or 0 where that is nothing. A bound of `b` is off by at most `b` in 2^64.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).unwrap_or_default()
    }

    /// From 0 (excluded) to 1 (included).
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

/// The least of ascending times that `percent` of all do not pass: the nearest rank. Zero of none.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference() {
        let mut random = SplitMix64(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(first, published);
    }

    #[test]
    fn every_number_below_a_bound_is_drawn_about_as_often() {
        let mut random = SplitMix64(42);
        let mut drawn = [0_u32; 5];
        for _ in 0..50_000 {
            drawn[random.below(5)] += 1;
        }
        assert!(
            drawn.iter().all(|&times| (9_500..10_500).contains(&times)),
            "{drawn:?}"
        );
        assert_eq!(random.below(0), 0);
        let mut units = (0..1_000).map(|_| random.unit());
        assert!(units.all(|unit| 0.0 < unit && unit <= 1.0));
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(
            [percentile(&times, 1), percentile(&times, 100)],
            [times[0], times[99]]
        );
        assert_eq!(percentile(&times[..1], 50), times[0]);
        let ten = &times[..10];
        assert_eq!([percentile(ten, 50), percentile(ten, 90)], [ten[4], ten[8]]);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
