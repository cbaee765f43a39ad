//! The pure state machine: each limit from both sides, and against a model that remembers everything.

use super::state::{Breaker, Change, Phase, TASKS};
use super::{Admission, Breakers, Case, ToCome};
use crate::catalog::Catalog;
use crate::corpus::TenantId;
use crate::plugin::Digest;
use crate::policy::{Breaker as Limits, Policy};
use crate::runtime::lock;
use crate::task::{Kind, Limits as TaskLimits, Task};
use std::sync::Arc;

/// In the middle of a large ingest.
const MANY: u64 = 1_000;

fn limits() -> Limits {
    Limits {
        stops_max: 5,
        stops_ratio_max: 0.5,
        window_s: 60,
        cooldown_s: 300,
    }
}

/// Stops `inputs` one after another; the last change.
fn stop_all(breaker: &mut Breaker, now_ms: u64, inputs: std::ops::Range<u64>) -> Change {
    let mut last = Change::None;
    for input in inputs {
        last = breaker.stopped(now_ms, input, false, MANY, &limits());
    }
    last
}

#[test]
fn a_plugin_whose_every_task_is_stopped_opens_once_both_limits_are_reached() {
    let mut breaker = Breaker::default();
    assert_eq!(stop_all(&mut breaker, 0, 0..9), Change::None);
    let opened = breaker.stopped(0, 9, false, MANY, &limits());
    assert!(matches!(opened, Change::Opened(open) if open.stops == 10));
    let mut eager = Breaker::default();
    let quarter = Limits {
        stops_ratio_max: 0.25,
        ..limits()
    };
    let changes: Vec<_> = (0..5)
        .map(|input| eager.stopped(0, input, false, MANY, &quarter))
        .collect();
    assert!(changes[..4].iter().all(|change| *change == Change::None));
    assert!(matches!(changes[4], Change::Opened(_)));
}

#[test]
fn a_plugin_with_nothing_to_come_is_judged_by_the_tasks_it_had() {
    let mut asked = Breaker::default();
    let changes: Vec<_> = (0..5)
        .map(|input| asked.stopped(0, input, false, 0, &limits()))
        .collect();
    assert!(changes[..4].iter().all(|change| *change == Change::None));
    assert!(matches!(changes[4], Change::Opened(open) if open.stops == 5));
    let mut mixed = Breaker::default();
    for input in 0..6 {
        assert_eq!(mixed.done(100 + input, false), Change::None);
        let change = mixed.stopped(0, input, false, 0, &limits());
        assert_eq!(matches!(change, Change::Opened(_)), input == 4, "{input}");
        if input == 4 {
            return;
        }
    }
}

#[test]
fn five_poison_documents_do_not_open_it_wherever_they_are() {
    for first in [0, 3, 500, 9_995] {
        let mut breaker = Breaker::default();
        for input in 0..10_000 {
            let change = match (first..first + 5).contains(&input) {
                true => breaker.stopped(input, input, false, MANY, &limits()),
                false => breaker.done(input, false),
            };
            assert_eq!(change, Change::None, "document {input}");
        }
    }
}

#[test]
fn the_same_input_counts_once() {
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        assert_eq!(breaker.stopped(0, 7, false, MANY, &limits()), Change::None);
    }
    assert_eq!(stop_all(&mut breaker, 0, 100..108), Change::None);
    assert!(matches!(
        stop_all(&mut breaker, 0, 108..109),
        Change::Opened(_)
    ));
}

#[test]
fn stops_outside_the_window_do_not_count() {
    let mut breaker = Breaker::default();
    stop_all(&mut breaker, 0, 0..9);
    // Beyond half of the tasks, but only four of the stops are recent.
    assert_eq!(stop_all(&mut breaker, 60_001, 9..13), Change::None);
    assert!(matches!(
        stop_all(&mut breaker, 60_001, 13..14),
        Change::Opened(_)
    ));
    let mut edge = Breaker::default();
    stop_all(&mut edge, 0, 0..9);
    assert!(matches!(
        stop_all(&mut edge, 60_000, 9..10),
        Change::Opened(_)
    ));
}

fn opened(now_ms: u64) -> Breaker {
    let mut breaker = Breaker::default();
    stop_all(&mut breaker, now_ms, 0..10);
    breaker
}

#[test]
fn after_the_cooldown_one_trial_decides() {
    let closed = |breaker: &Breaker, now| breaker.phase(now, &limits()) == Phase::Closed;
    let mut breaker = opened(1_000);
    assert!(matches!(
        breaker.phase(300_999, &limits()),
        Phase::Open(_, 1)
    ));
    assert!(matches!(
        breaker.phase(301_000, &limits()),
        Phase::HalfOpen(_)
    ));
    // What began before it opened decides nothing.
    assert_eq!(breaker.done(50, false), Change::None);
    assert_eq!(
        breaker.stopped(301_000, 51, false, MANY, &limits()),
        Change::None
    );
    let again = breaker.stopped(301_000, 52, true, MANY, &limits());
    assert!(matches!(again, Change::Opened(open) if open.stops == 11));
    assert!(matches!(
        breaker.phase(301_001, &limits()),
        Phase::Open(_, 299_999)
    ));
    assert_eq!(breaker.done(53, true), Change::Closed);
    assert!(closed(&breaker, 301_001));
    assert_eq!(
        stop_all(&mut breaker, 301_002, 60..69),
        Change::None,
        "it begins anew"
    );
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_it_open() {
    let breaker = opened(1_000_000);
    assert!(matches!(
        breaker.phase(5_000, &limits()),
        Phase::HalfOpen(_)
    ));
}

#[test]
fn what_is_written_down_goes_on_as_before() {
    let mut breaker = Breaker::default();
    stop_all(&mut breaker, 0, 0..9);
    let json = serde_json::to_string(&breaker).unwrap();
    let mut again: Breaker = serde_json::from_str(&json).unwrap();
    assert_eq!(again, breaker);
    assert!(matches!(stop_all(&mut again, 1, 9..10), Change::Opened(_)));
}

/// All outcomes ever, judged from the beginning each time: slow, and plainly what the policy says.
struct Model(Vec<(u64, u64, bool)>);

impl Model {
    fn opens(&self, limits: &Limits) -> bool {
        let Some(&(now, _, true)) = self.0.last() else {
            return false;
        };
        let latest = |at: usize| self.0[at + 1..].iter().all(|later| later.1 != self.0[at].1);
        let distinct: Vec<_> = (0..self.0.len()).filter(|&at| latest(at)).collect();
        let recent = &distinct[distinct.len().saturating_sub(TASKS)..];
        let stopped = recent.iter().filter(|&&at| self.0[at].2).count();
        let mut inputs: Vec<u64> = self
            .0
            .iter()
            .filter(|(at, _, stopped)| *stopped && now - at <= limits.window_s * 1_000)
            .map(|(_, input, _)| *input)
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs.len() as u64 >= limits.stops_max && stopped as f64 / 20.0 >= limits.stops_ratio_max
    }
}

#[test]
fn it_opens_exactly_when_a_model_that_remembers_everything_does() {
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut openings = 0;
    for round in 0..2_000 {
        let limits = Limits {
            stops_max: 1 + random(12),
            stops_ratio_max: (1 + random(20)) as f64 / 20.0,
            window_s: 1 + random(30),
            cooldown_s: 1,
        };
        let (inputs, share) = (1 + random(60), 1 + random(9));
        let (mut breaker, mut model, mut now) = (Breaker::default(), Model(vec![]), 0);
        for step in 0..80 {
            now += random(1_500);
            let (input, stopped) = (random(inputs), random(10) < share);
            model.0.push((now, input, stopped));
            let change = match stopped {
                true => breaker.stopped(now, input, false, MANY, &limits),
                false => breaker.done(input, false),
            };
            let opened = matches!(change, Change::Opened(_));
            assert_eq!(
                opened,
                model.opens(&limits),
                "round {round}, step {step}, {limits:?}"
            );
            if opened {
                openings += 1;
                break;
            }
        }
    }
    assert!((200..1_900).contains(&openings), "{openings}");
}

/// A trial that nobody decides, such as one that was killed, gives way to the next that waits; and that to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undecided_trial_gives_way_to_each_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Catalog::open(folder.path()).unwrap());
    let tenant = TenantId::new("acme").unwrap();
    catalog.add_tenant(&tenant, "{}").unwrap();
    let breakers = Arc::new(Breakers::new(catalog));
    let digest = Digest::of(b"plugin");
    let at_once = Limits {
        cooldown_s: 0,
        ..limits()
    };
    let entry = breakers.entry(&tenant, &digest).unwrap();
    stop_all(&mut lock(&entry.breaker), 0, 0..10);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (breakers, tenant) = (breakers.clone(), tenant.clone());
        tasks.spawn(async move {
            let policy = Policy::shipped("default").unwrap();
            let limits = Limits::clone(&at_once);
            let task = Task::new(tenant.clone(), Kind::Query, "q", TaskLimits::query(&policy));
            let case = Case {
                tenant,
                digest,
                input: [number; 32],
                document: None,
                stopped_before: false,
                quarantined: false,
                to_come: ToCome::default(),
            };
            let admitted = breakers.admit(case, &task, &limits).await.unwrap();
            assert!(matches!(&admitted, Admission::Run(ticket) if ticket.trial.is_some()));
            tokio::task::yield_now().await;
        });
    }
    let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    let watchdog = std::time::Duration::from_secs(60);
    tokio::time::timeout(watchdog, all).await.unwrap();
}
