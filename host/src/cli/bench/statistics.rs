//! Medians and spreads of a few numbers, percentiles of many times, the slope of a line.

use crate::statistics::percentile;
use std::time::Duration;

/// The middle of some numbers and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// Of an even count, the mean of the two in the middle.
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Nothing for no numbers.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Self { median, min, max })
    }
}

/// Times, sorted.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = times.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    /// The least time that `percent` of all do not pass; zero for no times.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.0, percent)
    }

    pub(super) fn max(&self) -> Duration {
        self.percentile(100)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How much `y` grows with each `x`, by least squares; nothing for fewer than ten points or one `x`.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 10 {
        return None;
    }
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    (spread > 0.0).then(|| together / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        let spread = |numbers: &[f64]| Spread::of(numbers.iter().copied());
        let odd = Spread {
            median: 2.0,
            min: 1.0,
            max: 9.0,
        };
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(odd));
        assert_eq!(spread(&[4.0, 1.0, 3.0, 2.0]).map(|s| s.median), Some(2.5));
        assert_eq!(
            spread(&[5.0]).map(|s| (s.min, s.median, s.max)),
            Some((5.0, 5.0, 5.0))
        );
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times = Times::of((1..=200).rev().map(Duration::from_millis));
        assert_eq!(times.percentile(50), Duration::from_millis(100));
        assert_eq!(times.percentile(99), Duration::from_millis(198));
        assert_eq!(times.max(), Duration::from_millis(200));
        let one = Times::of([Duration::from_millis(7)]);
        assert_eq!(one.percentile(50), Duration::from_millis(7));
        assert_eq!(Times::default().max(), Duration::ZERO);
    }

    #[test]
    fn the_slope_of_a_line_is_found_among_noise() {
        let line = |x: u32| (f64::from(x), 3.0 + 0.5 * f64::from(x) + f64::from(x % 2));
        let points: Vec<(f64, f64)> = (0..1_000).map(line).collect();
        let found = slope(&points).unwrap();
        assert!((found - 0.5).abs() < 1e-4, "{found}");
        assert_eq!(slope(&points[..9]), None);
        assert_eq!(slope(&[(1.0, 2.0); 20]), None);
    }
}
