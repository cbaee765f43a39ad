//! Every point of `cut` in every scenario: the process ends there, ends again while it starts, and what is there
//! is the old state or the new one; the next process finishes the rest.

use super::child::{Place, Scenario, scenarios};
use crate::cut::Point;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Mutex, PoisonError};

/// Scenarios under way at a time.
const AT_A_TIME: usize = 3;

/// Parts of a point's passes; the process is ended at the first of each, and at the last of all.
const PASSES: u64 = 2;

const KILLED: i32 = 9;

#[test]
fn a_process_that_ends_at_any_point_leaves_the_old_state_or_the_new_one() {
    let scenarios = scenarios();
    let mut trials = vec![];
    let mut passed = vec![0; Point::ALL.len()];
    for scenario in &scenarios {
        for (point, passes) in whole(scenario) {
            passed[point as usize] += passes;
            let step = passes.div_ceil(PASSES).max(1);
            let mut at: Vec<u64> = (0..passes).step_by(step as usize).collect();
            at.extend(passes.checked_sub(1).filter(|last| !at.contains(last)));
            trials.extend(at.into_iter().map(|pass| (scenario, point, pass)));
        }
    }
    let never: Vec<_> = Point::ALL
        .iter()
        .filter(|p| passed[**p as usize] == 0)
        .collect();
    assert!(never.is_empty(), "no scenario passes {never:?}");
    let trials = Mutex::new(trials.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = trials.lock().unwrap().next();
                    let Some((scenario, point, pass)) = next else {
                        return;
                    };
                    let _others_end_too = EndAll(&trials);
                    cut_short(scenario, point, pass);
                }
            });
        }
    });
}

/// Takes the other trials away when this one fails.
struct EndAll<'a, I: Iterator>(&'a Mutex<I>);

impl<I: Iterator> Drop for EndAll<'_, I> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            left.by_ref().for_each(drop);
        }
    }
}

/// The scenario without any end before its own: how often it passes each point.
fn whole(scenario: &Scenario) -> Vec<(Point, u64)> {
    let place = Place::new();
    let status = place.run(scenario, None);
    assert!(status.success(), "{}: {}", scenario.name, place.said());
    assert_eq!(place.done(), scenario.steps, "{}", scenario.name);
    (scenario.check)(place.copy().path(), scenario.steps);
    place.passed()
}

fn cut_short(scenario: &Scenario, point: Point, pass: u64) {
    let place = Place::new();
    let what = format!("{} at {}:{pass}", scenario.name, point.word());
    let killed = |end: (Point, u64)| {
        let status = place.run(scenario, Some(end));
        assert_eq!(status.signal(), Some(KILLED), "{what}: {}", place.said());
    };
    killed((point, pass));
    let done = place.done();
    (scenario.check)(place.copy().path(), done);
    // Every scenario opens a file before it goes on.
    killed((Point::Connected, 0));
    assert_eq!(place.done(), done, "{what}");
    (scenario.check)(place.copy().path(), done);
    let status = place.run(scenario, None);
    assert!(status.success(), "{what}: {}", place.said());
    (scenario.check)(place.copy().path(), scenario.steps);
}
