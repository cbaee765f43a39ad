//! What a transformer does between its matrix products, each in one pass over the numbers, by the widest
//! instructions that the processor has.
//!
//! All in single precision, and exact to its last bits: the activation is that of training, not one like it. Knows
//! slices of numbers; nothing of graphs, models or ONNX Runtime.

use pulp::{Arch, Simd, WithSimd};

/// `out = gelu(x + bias)`, row by row, with Gelu by the error function: `v / 2 * (1 + erf(v / sqrt 2))` (Hendrycks and
/// Gimpel, "Gaussian Error Linear Units", 2016). `x` and `out` are rows as long as `bias`; what is no whole row is
/// left alone.
pub(super) fn bias_gelu(x: &[f32], bias: &[f32], out: &mut [f32]) {
    Arch::new().dispatch(BiasGelu { x, bias, out });
}

/// What [`skip_norm`] adds and scales by; each as long as a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) bias: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) epsilon: f32,
}

/// `out = normalised(x + bias + skip) * weight + shift`, row by row: to a mean of 0 and a variance of 1, `epsilon` added to
/// the variance (Ba, Kiros and Hinton, "Layer Normalization", 2016). What is no whole row is left alone.
pub(super) fn skip_norm(x: &[f32], skip: &[f32], norm: &Norm<'_>, out: &mut [f32]) {
    let norm = *norm;
    Arch::new().dispatch(SkipNorm { x, skip, norm, out });
}

struct BiasGelu<'a> {
    x: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for BiasGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.bias.len().max(1);
        let (bias, bias_rest) = S::as_simd_f32s(self.bias);
        let rows = self
            .x
            .chunks_exact(width)
            .zip(self.out.chunks_exact_mut(width));
        for (x, out) in rows {
            let (x, x_rest) = S::as_simd_f32s(x);
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            for ((x, bias), out) in x.iter().zip(bias).zip(out) {
                *out = gelu(simd, simd.add_f32s(*x, *bias));
            }
            if !x_rest.is_empty() {
                let (x, bias) = (
                    simd.partial_load_f32s(x_rest),
                    simd.partial_load_f32s(bias_rest),
                );
                simd.partial_store_f32s(out_rest, gelu(simd, simd.add_f32s(x, bias)));
            }
        }
    }
}

#[inline(always)]
fn gelu<S: Simd>(simd: S, v: S::f32s) -> S::f32s {
    let half = simd.mul_f32s(v, simd.splat_f32s(0.5));
    let scaled = simd.mul_f32s(v, simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2));
    simd.mul_add_e_f32s(half, erf(simd, scaled), half)
}

/// Beyond it the error function is 1 in single precision.
const ERF_ONE: f32 = 4.0;

/// In powers of the square, of what is divided by [`ERF_BELOW`]; beside one more factor.
const ERF_ABOVE: [f32; 7] = [
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506e-5,
    -7.349_906_3e-4,
    -2.954_6e-3,
    -1.609_603_3e-2,
];

/// In powers of the square.
const ERF_BELOW: [f32; 5] = [
    -1.456_607_2e-5,
    -2.133_740_6e-4,
    -1.682_827e-3,
    -7.373_329e-3,
    -1.426_473_9e-2,
];

/// The error function, within a few units in the last place: a quotient of polynomials, with the coefficients of Eigen's
/// `erf` for single precision.
#[inline(always)]
fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.min_f32s(simd.splat_f32s(ERF_ONE), x);
    let x = simd.max_f32s(simd.splat_f32s(-ERF_ONE), x);
    let square = simd.mul_f32s(x, x);
    let above = simd.mul_f32s(x, polynomial(simd, square, &ERF_ABOVE));
    simd.div_f32s(above, polynomial(simd, square, &ERF_BELOW))
}

/// `coefficients[0] * x^n + … + coefficients[n]`, by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: &[f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(*coefficient));
    }
    sum
}

/// The natural logarithm of 2: its leading bits, and the rest.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// Added to a small number, it leaves the nearest integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// What [`exp`] may be asked of: from here to 0.
pub(super) const EXP_LEAST: f32 = -80.0;

/// In powers of what is left.
const EXP: [f32; 7] = [
    1.378_059_4e-3,
    8.373_124_5e-3,
    4.166_953_6e-2,
    1.666_647_2e-1,
    4.999_998_5e-1,
    1.0,
    1.0,
];

/// `e^x` for `x` from [`EXP_LEAST`] to 0: a power of two, and a polynomial of what is left.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let rounder = simd.splat_f32s(ROUNDER);
    let rounded = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), rounder);
    let power = simd.neg_f32s(simd.sub_f32s(rounded, rounder));
    let rest = simd.mul_add_e_f32s(power, simd.splat_f32s(LN_2_HIGH), x);
    let rest = simd.mul_add_e_f32s(power, simd.splat_f32s(LN_2_LOW), rest);
    let fraction = simd.transmute_u32s_f32s(polynomial(simd, rest, &EXP));
    let exponent = simd.transmute_u32s_f32s(rounded);
    let exponent = simd.wrapping_dyn_shl_u32s(exponent, simd.splat_u32s(f32::MANTISSA_DIGITS - 1));
    simd.transmute_f32s_u32s(simd.add_u32s(fraction, exponent))
}

struct SkipNorm<'a> {
    x: &'a [f32],
    skip: &'a [f32],
    norm: Norm<'a>,
    out: &'a mut [f32],
}

impl WithSimd for SkipNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.norm.bias.len().max(1);
        let rows = self
            .x
            .chunks_exact(width)
            .zip(self.skip.chunks_exact(width));
        for ((x, skip), out) in rows.zip(self.out.chunks_exact_mut(width)) {
            let mean = add_up(simd, [x, skip, self.norm.bias], out) / width as f32;
            let variance = centre(simd, mean, out) / width as f32;
            scale(
                simd,
                1.0 / (variance + self.norm.epsilon).sqrt(),
                &self.norm,
                out,
            );
        }
    }
}

/// Writes the sum of the three; the sum of all of it.
#[inline(always)]
fn add_up<S: Simd>(simd: S, [a, b, c]: [&[f32]; 3], out: &mut [f32]) -> f32 {
    let (a, a_rest) = S::as_simd_f32s(a);
    let (b, b_rest) = S::as_simd_f32s(b);
    let (c, c_rest) = S::as_simd_f32s(c);
    let (out, out_rest) = S::as_mut_simd_f32s(out);
    let mut sum = simd.splat_f32s(0.0);
    for (((a, b), c), out) in a.iter().zip(b).zip(c).zip(out) {
        *out = simd.add_f32s(simd.add_f32s(*a, *c), *b);
        sum = simd.add_f32s(sum, *out);
    }
    let mut rest = 0.0;
    for (((a, b), c), out) in a_rest.iter().zip(b_rest).zip(c_rest).zip(out_rest) {
        *out = a + c + b;
        rest += *out;
    }
    simd.reduce_sum_f32s(sum) + rest
}

/// Takes the mean from each; the sum of the squares.
#[inline(always)]
fn centre<S: Simd>(simd: S, mean: f32, row: &mut [f32]) -> f32 {
    let (wide, rest) = S::as_mut_simd_f32s(row);
    let means = simd.splat_f32s(mean);
    let mut squares = simd.splat_f32s(0.0);
    for value in wide {
        *value = simd.sub_f32s(*value, means);
        squares = simd.mul_add_e_f32s(*value, *value, squares);
    }
    let mut rest_squares = 0.0;
    for value in rest {
        *value -= mean;
        rest_squares += *value * *value;
    }
    simd.reduce_sum_f32s(squares) + rest_squares
}

#[inline(always)]
fn scale<S: Simd>(simd: S, factor: f32, norm: &Norm<'_>, row: &mut [f32]) {
    let (weights, weights_rest) = S::as_simd_f32s(norm.weight);
    let (shifts, shifts_rest) = S::as_simd_f32s(norm.shift);
    let (wide, rest) = S::as_mut_simd_f32s(row);
    let factors = simd.splat_f32s(factor);
    for ((value, weight), shift) in wide.iter_mut().zip(weights).zip(shifts) {
        *value = simd.mul_add_e_f32s(simd.mul_f32s(*value, factors), *weight, *shift);
    }
    for ((value, weight), shift) in rest.iter_mut().zip(weights_rest).zip(shifts_rest) {
        *value = *value * factor * weight + shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function in double precision, by its Taylor series.
    fn erf_exact(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_is_exact_to_the_last_bits() {
        let x: Vec<f32> = (-60_000..=60_000).map(|i| i as f32 / 10_000.0).collect();
        for width in [x.len(), 1_001, 7] {
            let x = &x[..x.len() / width * width];
            let bias: Vec<f32> = (0..width).map(|i| (i % 5) as f32 / 8.0 - 0.25).collect();
            let mut out = vec![0.0; x.len()];
            bias_gelu(x, &bias, &mut out);
            for (i, got) in out.iter().enumerate() {
                let v = f64::from(x[i] + bias[i % width]);
                let exact = v / 2.0 * (1.0 + erf_exact(v * std::f64::consts::FRAC_1_SQRT_2));
                let error = (f64::from(*got) - exact).abs();
                assert!(
                    error <= 2.0e-7 * v.abs().max(1e-3),
                    "gelu({v}): {got}, not {exact}"
                );
            }
        }
    }

    #[test]
    fn gelu_of_what_is_large_or_no_number_is_as_expected() {
        let x = [0.0, -0.0, 100.0, -100.0, f32::INFINITY, f32::MIN_POSITIVE];
        let mut out = [9.0; 6];
        bias_gelu(&x, &[0.0; 6], &mut out);
        assert_eq!((out[0], out[1], out[4]), (0.0, 0.0, f32::INFINITY));
        assert!((out[2] - 100.0).abs() < 1e-4 && out[3].abs() < 1e-4 && out[5] < 1e-37);
        let mut out = [0.0];
        bias_gelu(&[f32::NAN], &[0.0], &mut out);
        assert!(out[0].is_nan());
    }

    #[test]
    fn a_row_is_normalised_as_in_double_precision() {
        for width in [384, 13, 1] {
            let at = |i: usize, by: usize| ((i * by) % 97) as f32 / 31.0 - 1.5;
            let numbers =
                |count: usize, by: usize| -> Vec<f32> { (0..count).map(|i| at(i, by)).collect() };
            let (x, skip) = (numbers(5 * width, 7), numbers(5 * width, 11));
            let [bias, weight, shift] = [3, 5, 13].map(|by| numbers(width, by));
            let norm = Norm {
                bias: &bias,
                weight: &weight,
                shift: &shift,
                epsilon: 1e-12,
            };
            let mut out = vec![0.0; 5 * width];
            skip_norm(&x, &skip, &norm, &mut out);
            for row in 0..5 {
                let sum = |i: usize| {
                    let at = row * width + i;
                    f64::from(x[at]) + f64::from(skip[at]) + f64::from(bias[i])
                };
                let mean = (0..width).map(sum).sum::<f64>() / width as f64;
                let squares = (0..width).map(|i| (sum(i) - mean).powi(2)).sum::<f64>();
                let deviation = (squares / width as f64 + 1e-12).sqrt();
                for i in 0..width {
                    let exact =
                        (sum(i) - mean) / deviation * f64::from(weight[i]) + f64::from(shift[i]);
                    let got = f64::from(out[row * width + i]);
                    assert!(
                        (got - exact).abs() < 2e-6,
                        "{width}, {row}, {i}: {got}, not {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_whole_row_is_left_alone() {
        let mut out = [9.0; 3];
        bias_gelu(&[1.0; 3], &[0.0; 2], &mut out);
        assert_eq!(out[2], 9.0);
        bias_gelu(&[1.0; 3], &[], &mut out);
    }
}
