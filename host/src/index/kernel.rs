//! Dot products of one vector with many, by the widest instructions that the processor has.

use crate::corpus::DIMENSIONS;
use pulp::{Arch, Simd, WithSimd};

/// Writes the dot product of `query` with each row of `rows` (row-major, [`DIMENSIONS`] wide) to `out`.
///
/// A row's product depends on nothing but the row and the query: equal vectors tie exactly, wherever
/// they stand.
pub(super) fn dot_products(query: &[f32], rows: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.resize(rows.len() / DIMENSIONS, 0.0);
    Arch::new().dispatch(DotProducts { query, rows, out });
}

struct DotProducts<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for DotProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (row, out) in self.rows.chunks_exact(DIMENSIONS).zip(self.out) {
            *out = dot(simd, self.query, row);
        }
    }
}

/// Four sums side by side, since one would wait for its own additions.
#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = S::as_simd_f32s(a);
    let (b, b_rest) = S::as_simd_f32s(b);
    let (a_fours, a_ones) = pulp::as_arrays::<4, _>(a);
    let (b_fours, b_ones) = pulp::as_arrays::<4, _>(b);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        sums[0] = simd.mul_add_f32s(a[0], b[0], sums[0]);
        sums[1] = simd.mul_add_f32s(a[1], b[1], sums[1]);
        sums[2] = simd.mul_add_f32s(a[2], b[2], sums[2]);
        sums[3] = simd.mul_add_f32s(a[3], b[3], sums[3]);
    }
    for (a, b) in a_ones.iter().zip(b_ones) {
        sums[0] = simd.mul_add_f32s(*a, *b, sums[0]);
    }
    let low = simd.add_f32s(sums[0], sums[1]);
    let high = simd.add_f32s(sums[2], sums[3]);
    let mut sum = simd.reduce_sum_f32s(simd.add_f32s(low, high));
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::support::unit_vector;

    #[test]
    fn products_equal_the_scalar_ones_wherever_the_row_stands() {
        let query = unit_vector(0);
        let rows: Vec<f32> = (0..37)
            .flat_map(|i| unit_vector(i % 5).values().to_vec())
            .collect();
        let mut out = Vec::new();
        dot_products(query.values(), &rows, &mut out);
        assert_eq!(out.len(), 37);
        for (i, got) in out.iter().enumerate() {
            let row = unit_vector(i as u64 % 5);
            let pairs = query.values().iter().zip(row.values());
            let exact: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(*got) - exact).abs() < 1e-6, "{got} {exact}");
            assert_eq!(got.to_bits(), out[i % 5].to_bits());
        }
    }
}
