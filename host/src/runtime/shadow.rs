//! A candidate beside the agent that is used: what would be better and worse with it. Nothing of the tenant's
//! changes: no version is installed, no breaker learns of it, no answer is counted.

use super::evaluate::{Contestant, EvalAgent, Try, k_max};
use super::plugins::read_plugin;
use super::resolve::{Candidate, Version};
use super::trial::{check_plugin, scratch};
use super::{MEASURES, Runtime, RuntimeError, builtin};
use crate::agent::Agent;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::plugin::{Options, PluginKind};
use crate::task::{Kind, Limits, Task, Usage};
use std::path::Path;
use std::sync::Arc;

/// A candidate beside the agent in use. All ratios are the candidate's value by the other's; `None` by zero.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// The agent in use.
    pub active: String,
    /// The candidate.
    pub candidate: String,
    /// What became of the answers.
    pub answers: ShadowAnswers,
    /// Of the medians.
    pub latency_p50_ratio: Option<f64>,
    /// Of the 99th percentiles.
    pub latency_p99_ratio: Option<f64>,
    /// Of the mean usages: meter, ratio.
    pub usage_ratios: Vec<(&'static str, Option<f64>)>,
    /// What the questions show.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub sentence: String,
}

/// Answers to the same questions, by their first ten chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowAnswers {
    /// Questions that both answered.
    pub compared: usize,
    /// The same chunks in the same order.
    pub same: usize,
    /// The same chunks in another order.
    pub reordered: usize,
    /// Other chunks.
    pub other: usize,
}

/// What a comparison shows. A measure shows a difference where the interval of the difference is clear of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Some measures are better, and none is worse.
    Better,
    /// Some measures are worse, and none is better; or more questions had no answer.
    Worse,
    /// Some are better and some are worse.
    Mixed,
    /// No measure shows a difference.
    NoDifference,
}

impl Verdict {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Mixed => "mixed",
            Self::NoDifference => "no-difference",
        }
    }
}

impl Shadow {
    /// From what both did on the same questions.
    pub(super) fn of(
        active: &EvalAgent,
        candidate: &EvalAgent,
        firsts: &[Try],
        lasts: &[Try],
    ) -> Self {
        let (verdict, sentence) = judge(active, candidate);
        let seconds = |agent: &EvalAgent| {
            (
                agent.latency_p50.as_secs_f64(),
                agent.latency_p99.as_secs_f64(),
            )
        };
        let ((p50, p99), (new_p50, new_p99)) = (seconds(active), seconds(candidate));
        let (was, now) = (meters(&active.usage), meters(&candidate.usage));
        let usage = was.into_iter().zip(now);
        Self {
            active: active.label.clone(),
            candidate: candidate.label.clone(),
            answers: compare(firsts, lasts),
            latency_p50_ratio: ratio(new_p50, p50),
            latency_p99_ratio: ratio(new_p99, p99),
            usage_ratios: usage
                .map(|((name, was), (_, now))| (name, ratio(now, was)))
                .collect(),
            verdict,
            sentence,
        }
    }
}

fn ratio(now: f64, was: f64) -> Option<f64> {
    (was > 0.0).then(|| now / was)
}

/// What an answer costs, besides time.
fn meters(usage: &Usage) -> [(&'static str, f64); 7] {
    [
        ("fuel", usage.fuel as f64),
        ("guest_cpu_ms", usage.guest_cpu_ms),
        ("host_calls", usage.host_calls as f64),
        ("embed_tokens", usage.embed_tokens as f64),
        ("searches", usage.searches as f64),
        ("vectors_scanned", usage.vectors_scanned as f64),
        ("read_bytes", usage.read_bytes as f64),
    ]
}

fn compare(firsts: &[Try], lasts: &[Try]) -> ShadowAnswers {
    let mut answers = ShadowAnswers::default();
    for (one, other) in firsts.iter().zip(lasts) {
        let (Ok(one), Ok(other)) = (&one.outcome, &other.outcome) else {
            continue;
        };
        let sorted = |chunks: &[u64]| {
            let mut chunks = chunks.to_vec();
            chunks.sort_unstable();
            chunks
        };
        answers.compared += 1;
        match (&one.chunks, &other.chunks) {
            (one, other) if one == other => answers.same += 1,
            (one, other) if sorted(one) == sorted(other) => answers.reordered += 1,
            _ => answers.other += 1,
        }
    }
    answers
}

fn judge(active: &EvalAgent, candidate: &EvalAgent) -> (Verdict, String) {
    let differences = MEASURES.into_iter().zip(&candidate.differences);
    let (mut better, mut worse) = (vec![], vec![]);
    for (name, interval) in differences {
        if interval.is_above_zero() {
            better.push(name);
        } else if interval.is_below_zero() {
            worse.push(name);
        }
    }
    let failed = candidate
        .failures
        .len()
        .saturating_sub(active.failures.len());
    let verdict = match (better.is_empty(), worse.is_empty() && failed == 0) {
        (false, true) => Verdict::Better,
        (true, false) => Verdict::Worse,
        (false, false) => Verdict::Mixed,
        (true, true) => Verdict::NoDifference,
    };
    let mut parts = vec![];
    if !better.is_empty() {
        parts.push(format!("better in {}", better.join(", ")));
    }
    if !worse.is_empty() {
        parts.push(format!("worse in {}", worse.join(", ")));
    }
    if failed > 0 {
        parts.push(format!(
            "without an answer to {failed} more of the questions"
        ));
    }
    if parts.is_empty() {
        parts.push("no measure shows a difference".to_owned());
    }
    let (name, other, number) = (&candidate.label, &active.label, candidate.queries);
    let sentence = format!(
        "'{name}' beside '{other}' on {number} questions: {}.",
        parts.join("; ")
    );
    (verdict, sentence)
}

impl Runtime {
    /// Who takes part as the shadow of `first`: a label that the tenant can use, else a component's file, which is
    /// checked as at an installation and kept nowhere.
    pub(super) async fn shadow(
        &self,
        tenant: &TenantId,
        shadow: &str,
        first: &str,
    ) -> Result<Contestant, Failure> {
        let installed = self.catalog.plugins(tenant)?;
        let is_label =
            builtin::find(shadow).is_some() || installed.iter().any(|own| own.label == shadow);
        let (candidate, options) = match is_label {
            true => (self.installed_candidate(tenant, shadow).await?, vec![]),
            false if !Path::new(shadow).exists() => {
                let message = format!("'{shadow}' is neither an agent of {tenant} nor a file");
                return Err(RuntimeError::Argument(message).into());
            }
            false => {
                let candidate = self.file_candidate(tenant, Path::new(shadow)).await?;
                let options = self.own_options(tenant, first, &candidate)?;
                (candidate, options)
            }
        };
        Ok(Contestant {
            label: shadow.to_owned(),
            digest: candidate.agent.digest,
            k_max: k_max(&candidate.options),
            version: Version::Candidate(Arc::new(candidate)),
            options,
        })
    }

    /// Those options that the tenant set for the agent in use and that fit the candidate: it would have them in its
    /// place.
    fn own_options(
        &self,
        tenant: &TenantId,
        first: &str,
        candidate: &Candidate,
    ) -> Result<Options, Failure> {
        let mut own = self.with_own(tenant, first, &vec![])?;
        own.retain(|(name, value)| {
            let spec = candidate.options.iter().find(|spec| spec.name == *name);
            spec.is_some_and(|spec| spec.check(value).is_ok())
        });
        Ok(own)
    }

    async fn file_candidate(&self, tenant: &TenantId, file: &Path) -> Result<Candidate, Failure> {
        let policy = self.policy(tenant)?;
        let bytes = read_plugin(file, self.config.plugin_mib_max)?;
        let embedder = self.embedder()?;
        let subject = file.display().to_string();
        // A compilation takes a place like any other work.
        let task = Task::new(
            tenant.clone(),
            Kind::Trial,
            &subject,
            Limits::ingest(&policy),
        );
        let task = self.registry.list(task)?;
        let place = self.gates.admit(&task, &policy).await?;
        let cache = scratch()?;
        let guests = self.guests()?.caching_in(cache.path())?.holding(place);
        let trial = async {
            let checked = check_plugin(&guests, &embedder, &bytes, &policy).await?;
            let kind = checked.structure.kind;
            if kind != PluginKind::Agent {
                return Err(Failure::from(RuntimeError::Kind {
                    label: subject.clone(),
                    found: kind.as_str(),
                    wanted: PluginKind::Agent.as_str(),
                }));
            }
            let loaded = guests.load(bytes.clone(), policy.wasi).await?;
            let agent = Agent::link(guests.sandbox.engine(), &loaded, policy.wasi)?;
            let options = checked.options;
            Ok(Candidate { agent, options })
        };
        tokio::select! {
            biased;
            stop = task.ended() => Err(stop.into()),
            candidate = trial => candidate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::{Interval, Tried};
    use super::*;
    use crate::plugin::Digest;
    use std::time::Duration;

    fn agent(label: &str, differences: [(f64, f64); 6], failures: usize) -> EvalAgent {
        let failure = || Failure::from(RuntimeError::Argument("no".to_owned()));
        EvalAgent {
            label: label.to_owned(),
            digest: Digest::of(b""),
            queries: 9,
            means: [0.0; 6],
            intervals: Default::default(),
            differences: differences.map(|(low, high)| Interval { low, high }),
            empty: 0.0,
            degraded: 0.0,
            denied: 0.0,
            latency_p50: Duration::ZERO,
            latency_p99: Duration::from_millis(4),
            usage: Usage::default(),
            failures: (0..failures).map(|_| (String::new(), failure())).collect(),
        }
    }

    fn verdict(first: (f64, f64), last: (f64, f64), failures: usize) -> (Verdict, String) {
        let [mut one, two] = [[(-0.1, 0.1); 6], [(0.0, 0.0); 6]];
        (one[0], one[5]) = (first, last);
        judge(&agent("old", two, 1), &agent("new", one, failures))
    }

    #[test]
    fn a_verdict_is_what_the_intervals_show() {
        let (up, down, unsure) = ((0.01, 0.2), (-0.2, -0.01), (0.0, 0.1));
        assert_eq!(verdict(unsure, unsure, 1).0, Verdict::NoDifference);
        let (better, said) = verdict(up, unsure, 0);
        assert_eq!(better, Verdict::Better);
        assert_eq!(
            said,
            "'new' beside 'old' on 9 questions: better in ndcg@10."
        );
        assert_eq!(verdict(unsure, down, 0).0, Verdict::Worse);
        assert_eq!(verdict(up, down, 0).0, Verdict::Mixed);
        let (worse, said) = verdict(unsure, unsure, 3);
        assert_eq!(worse, Verdict::Worse);
        assert!(said.contains("2 more of the questions"), "{said}");
        assert_eq!(verdict(up, unsure, 2).0, Verdict::Mixed);
    }

    #[test]
    fn answers_are_compared_by_their_chunks_and_order() {
        let tried = |chunks: &[u64]| Try {
            measures: [0.0; 6],
            outcome: Ok(Tried {
                chunks: chunks.to_vec(),
                took: Duration::ZERO,
                usage: Usage::default(),
                empty: false,
                degraded: false,
                denied: false,
            }),
        };
        let failed = Try {
            measures: [0.0; 6],
            outcome: Err((String::new(), RuntimeError::Unhealthy.into())),
        };
        let firsts = [tried(&[1, 2]), tried(&[1, 2]), tried(&[1, 2]), failed];
        let lasts = [tried(&[1, 2]), tried(&[2, 1]), tried(&[1]), tried(&[1])];
        let expected = ShadowAnswers {
            compared: 3,
            same: 1,
            reordered: 1,
            other: 1,
        };
        assert_eq!(compare(&firsts, &lasts), expected);
    }

    #[test]
    fn a_ratio_by_nothing_is_none() {
        let [old, new] = ["old", "new"].map(|label| agent(label, [(0.0, 0.0); 6], 0));
        let shadow = Shadow::of(&old, &new, &[], &[]);
        assert_eq!(shadow.latency_p50_ratio, None);
        assert_eq!(shadow.latency_p99_ratio, Some(1.0));
        assert!(shadow.usage_ratios.iter().all(|(_, ratio)| ratio.is_none()));
    }
}
