//! How sure a mean over questions is: percentile intervals by the bootstrap (Efron 1979), paired, so that a
//! difference of two agents is a difference on the same questions.
//!
//! It knows numbers by question and agent, and not what they mean. The same seed gives the same intervals.

use super::measures::Measures;
use crate::statistics::SplitMix64;

/// Of how many intervals, in a hundred, the true mean is within.
pub const CONFIDENCE: f64 = 0.95;

/// Where a mean lies with a confidence of 95 %.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interval {
    /// The 2.5th percentile of the draws' means.
    pub low: f64,
    /// The 97.5th.
    pub high: f64,
}

impl Interval {
    /// All of it is above zero.
    pub fn is_above_zero(&self) -> bool {
        self.low > 0.0
    }

    /// All of it is below zero.
    pub fn is_below_zero(&self) -> bool {
        self.high < 0.0
    }
}

/// One interval for each measure.
pub type Intervals = [Interval; 6];

/// What the draws gave, by agent in the order given.
#[derive(Debug, Clone, Default)]
pub(super) struct Drawn {
    /// Of each agent's mean.
    pub(super) means: Vec<Intervals>,
    /// Of each agent's mean less the first agent's.
    pub(super) differences: Vec<Intervals>,
}

/// Draws as many questions as there are, with replacement, `draws` times. `agents[a][q]` are the measures of agent
/// `a` on question `q`; every agent has as many questions. Without questions all is zero.
pub(super) fn bootstrap(agents: &[Vec<Measures>], draws: usize, seed: u64) -> Drawn {
    let questions = agents.first().map_or(0, Vec::len);
    if questions == 0 {
        let none = vec![Intervals::default(); agents.len()];
        return Drawn {
            means: none.clone(),
            differences: none,
        };
    }
    let mut random = SplitMix64(seed);
    let mut means: Vec<Vec<Measures>> = vec![Vec::with_capacity(draws); agents.len()];
    let mut drawn = vec![0; questions];
    for _ in 0..draws {
        drawn.fill_with(|| random.below(questions));
        for (agent, means) in agents.iter().zip(&mut means) {
            means.push(mean(drawn.iter().map(|&at| &agent[at]), questions));
        }
    }
    let first = means[0].clone();
    let less = |means: &[Measures]| {
        let pairs = means.iter().zip(&first);
        let minus =
            |(one, first): (&Measures, &Measures)| std::array::from_fn(|m| one[m] - first[m]);
        pairs.map(minus).collect::<Vec<Measures>>()
    };
    Drawn {
        differences: means.iter().map(|means| intervals(&less(means))).collect(),
        means: means.iter().map(|means| intervals(means)).collect(),
    }
}

/// The mean of each measure over `questions` of them.
pub(super) fn mean<'a>(values: impl Iterator<Item = &'a Measures>, questions: usize) -> Measures {
    let mut sums = Measures::default();
    for value in values {
        for (sum, value) in sums.iter_mut().zip(value) {
            *sum += value;
        }
    }
    sums.map(|sum| sum / questions.max(1) as f64)
}

fn intervals(draws: &[Measures]) -> Intervals {
    std::array::from_fn(|measure| {
        let mut values: Vec<f64> = draws.iter().map(|draw| draw[measure]).collect();
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let at = |share: f64| {
            let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
            values.get(rank - 1).copied().unwrap_or_default()
        };
        Interval {
            low: at(tail),
            high: at(1.0 - tail),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One measure, six times.
    fn all(values: impl Iterator<Item = f64>) -> Vec<Measures> {
        values.map(|value| [value; 6]).collect()
    }

    #[test]
    fn an_interval_is_as_wide_as_the_standard_error_says() {
        // 400 questions, half of them right: the mean's standard error is 0.025.
        let agent = all((0..400).map(|q| f64::from(q % 2)));
        let drawn = bootstrap(&[agent], 4_000, 42);
        let Interval { low, high } = drawn.means[0][0];
        assert!((low - (0.5 - 1.96 * 0.025)).abs() < 0.006, "{low}");
        assert!((high - (0.5 + 1.96 * 0.025)).abs() < 0.006, "{high}");
    }

    #[test]
    fn a_difference_is_drawn_on_the_same_questions() {
        // The second is a little better on every question, however different the questions are.
        let first = all((0..50).map(|q| f64::from(q) / 100.0));
        let second = all((0..50).map(|q| f64::from(q) / 100.0 + 0.01));
        let drawn = bootstrap(&[first, second], 1_000, 1);
        let Interval { low, high } = drawn.differences[1][3];
        assert!((low - 0.01).abs() < 1e-9 && (high - 0.01).abs() < 1e-9);
        assert!(drawn.differences[1][3].is_above_zero());
        assert_eq!(drawn.differences[0], Intervals::default());
        let Interval { low, high } = drawn.means[1][0];
        assert!(high - low > 0.05, "the questions themselves differ much");
    }

    #[test]
    fn the_same_seed_gives_the_same_and_another_one_others() {
        let agent = all((0..30).map(|q| f64::from(q % 7) / 7.0));
        let draw = |seed| bootstrap(std::slice::from_ref(&agent), 1_000, seed).means[0][0];
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn one_question_and_none_have_an_interval_too() {
        let drawn = bootstrap(&[all([0.25].into_iter())], 1_000, 1);
        assert_eq!(
            drawn.means[0][0],
            Interval {
                low: 0.25,
                high: 0.25
            }
        );
        assert_eq!(
            bootstrap(&[vec![]], 1_000, 1).means[0],
            Intervals::default()
        );
    }
}
