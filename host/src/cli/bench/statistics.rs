//! Medians and spreads of a few numbers, percentiles of many times.

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
}
