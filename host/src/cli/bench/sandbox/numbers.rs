//! The slope of a line through samples.

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
    fn the_slope_of_a_line_is_found_among_noise() {
        let line = |x: u32| (f64::from(x), 3.0 + 0.5 * f64::from(x) + f64::from(x % 2));
        let points: Vec<(f64, f64)> = (0..1_000).map(line).collect();
        let found = slope(&points).unwrap();
        assert!((found - 0.5).abs() < 1e-4, "{found}");
        assert_eq!(slope(&points[..9]), None);
        assert_eq!(slope(&[(1.0, 2.0); 20]), None);
    }
}
