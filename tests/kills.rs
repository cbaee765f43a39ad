//! A kill reaches a task wherever it is; its place is free afterwards, its usage is true, and nobody beside it
//! loses anything. And nobody is charged for another's load.

use crate::support::stage::{policy, tenant, wait};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use stockade::attack::{
    Busy, Freed, Guest, KillKind, Kills, Load, Overrun, Stage, Try, hostile_guests,
};
use stockade::config::Config;
use stockade::policy::{Policy, Wasi};
use stockade::task::{Kind, Reason};

/// A stage of its own, for one test at a time: kills look at what waits in the embedder's queue.
fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let start = || {
        let compiler = Some(env!("CARGO_BIN_EXE_stockade").into());
        Mutex::new(Stage::start(&Config::default(), &tenant(), compiler).unwrap())
    };
    STAGE
        .get_or_init(start)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Kills that hit, a handful. Each must find the one place of its tenant free, or it would never begin.
fn kill_some(kind: KillKind) -> Vec<Freed> {
    let stage = stage();
    wait(async {
        let kills = Kills::prepare(&stage).await.unwrap();
        let mut freed = vec![];
        let deadline = Instant::now() + Duration::from_secs(120);
        for number in 0.. {
            assert!(Instant::now() < deadline, "kills of {kind:?} never hit");
            match kills.kill(kind, number).await.unwrap() {
                Try::Freed(one) => freed.push(one),
                Try::Missed => {}
            }
            if freed.len() == 4 {
                break;
            }
        }
        freed
    })
}

fn all_are_killed_in(kind: KillKind, phase: &str) -> Vec<Freed> {
    let freed = kill_some(kind);
    for one in &freed {
        assert_eq!(one.stop.reason, Reason::Killed, "{}", one.stop);
        assert_eq!(one.stop.phase, phase, "{}", one.stop);
    }
    freed
}

#[test]
fn a_spinning_guest_is_killed_and_its_usage_is_true() {
    for one in all_are_killed_in(KillKind::Spinning, "call") {
        let usage = one.task.usage();
        assert!(usage.fuel > 0, "{usage:?}");
        assert!(usage.guest_cpu_ms > 0.0, "{usage:?}");
        assert_eq!(usage.host_wait_ms, 0.0, "{usage:?}");
    }
}

#[test]
fn a_sleeping_guest_is_killed_and_the_wait_until_then_counts() {
    for one in all_are_killed_in(KillKind::Sleeping, "host:wasi") {
        let usage = one.task.usage();
        assert!(usage.host_wait_ms > 0.0, "{usage:?}");
        assert!(usage.host_calls > 0, "{usage:?}");
    }
}

#[test]
fn a_guest_that_waits_for_the_embedder_is_killed() {
    for one in all_are_killed_in(KillKind::Embedder, "host:embed") {
        let usage = one.task.usage();
        assert!(usage.embed_tokens > 0, "charged before the work: {usage:?}");
        assert!(usage.host_wait_ms > 0.0, "{usage:?}");
    }
}

#[test]
fn a_task_that_waits_for_a_place_is_killed_before_anything_ran() {
    for one in all_are_killed_in(KillKind::Queued, "queued") {
        let usage = one.task.usage();
        assert_eq!((usage.fuel, usage.guest_cpu_ms), (0, 0.0), "{usage:?}");
    }
}

/// [`Kills::kill`] itself fails where the neighbour's vector is not what it should be.
#[test]
fn a_text_inside_a_batch_is_killed_and_its_neighbour_gets_the_right_vector() {
    all_are_killed_in(KillKind::InBatch, "host:embed");
}

#[test]
fn a_guest_in_bulk_memory_instructions_is_killed() {
    for one in all_are_killed_in(KillKind::BulkMemory, "call") {
        let usage = one.task.usage();
        assert!(usage.fuel >= 64 << 20, "one fill is paid: {usage:?}");
        assert_eq!(usage.memory_peak_bytes, 64 << 20);
    }
}

#[test]
fn a_limit_that_is_passed_frees_the_place() {
    let stage = stage();
    wait(async {
        let kills = Kills::prepare(&stage).await.unwrap();
        for limit in Overrun::ALL {
            for _ in 0..2 {
                let freed = kills.overrun(limit).await.unwrap();
                assert_eq!(freed.stop.reason.as_str(), limit.as_str(), "{}", freed.stop);
            }
        }
    });
}

#[test]
fn every_hostile_guest_of_the_soak_is_stopped() {
    let stage = stage();
    for hostile in hostile_guests().unwrap() {
        let policy = Policy::from_toml(hostile.name, hostile.policy).unwrap();
        let chunker = stage.chunker(&hostile.component, policy.wasi).unwrap();
        let task = stage.task(Kind::Ingest, &policy);
        let options = vec![];
        let outcome = wait(async {
            let killing = async {
                if hostile.endless {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    task.end_with(Reason::Killed, "killed by the test");
                }
            };
            let call = stage.chunk(&chunker, &task, "x", &options);
            tokio::join!(call, killing).0
        });
        assert!(outcome.is_err(), "{} went on", hostile.name);
    }
}

/// Waits in the host three times, each time for a text of its own to be embedded.
fn waits_in_the_host() -> Vec<u8> {
    let embeds = "(call $embed (i32.const 2048) (i32.const 16) (i32.const 256))".repeat(3);
    Guest::agent(&format!("{embeds} (i32.const 32)"))
        .importing(stockade::attack::imports::EMBED)
        .build()
        .unwrap()
}

#[test]
fn a_guest_that_waits_is_not_charged_for_spinning_neighbours() {
    let stage = stage();
    wait(async {
        let agent = stage.agent(&waits_in_the_host(), Wasi::None).unwrap();
        let policy = policy("");
        let preparing = stage.task(Kind::Query, &policy);
        let index = stage.index(&preparing, &[]).await.unwrap();
        let busy = Busy::begin(&stage, Load::Guests).await.unwrap();
        let task = stage.task(Kind::Query, &policy);
        let asked = stage.ask(&agent, &task, &index.index, "?", &vec![]).await;
        assert!(asked.is_ok(), "no victim is stopped: {asked:?}");
        let usage = task.usage();
        assert!(usage.host_wait_ms > 2.0 * usage.guest_cpu_ms, "{usage:?}");
        assert_eq!(usage.host_calls, 3, "{usage:?}");
        assert!(usage.embed_tokens > 0 && usage.fuel > 0, "{usage:?}");
        assert!(
            usage.boundary_bytes > 0 && usage.memory_peak_bytes > 0,
            "{usage:?}"
        );
        assert!(usage.wall_ms >= usage.host_wait_ms, "{usage:?}");
        for spinner in busy.tasks() {
            assert!(!spinner.meters.guest_cpu().is_zero());
        }
    });
}

#[test]
fn a_slow_guest_is_neither_stopped_nor_charged_for_spinning_neighbours() {
    let stage = stage();
    let turns = "(local.set $i (i32.const 20000000))
        (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (i32.const 32)";
    let component = Guest::chunker(turns).build().unwrap();
    let chunker = stage.chunker(&component, Wasi::None).unwrap();
    wait(async {
        let run = || async {
            let task = stage.task(Kind::Ingest, &policy(""));
            let options = vec![];
            let outcome = stage.chunk(&chunker, &task, "x", &options).await;
            assert!(outcome.is_ok(), "{outcome:?}");
            let charged = task.limits.wall - task.wall_left();
            (task.usage(), charged.as_secs_f64() * 1e3)
        };
        let (alone, _) = run().await;
        for load in [Load::Guests, Load::Threads] {
            // Four for each core: their time would make it five times as much.
            let mut busy = vec![];
            for _ in 0..4 {
                busy.push(Busy::begin(&stage, load).await.unwrap());
            }
            // Other processes take the cores, too, and nobody can tell that time from the guest's own: one of several
            // runs is enough.
            let mut seen = vec![];
            for _ in 0..8 {
                let (crowded, wall_ms) = run().await;
                assert_eq!(crowded.fuel, alone.fuel);
                // The wall clock stands still while the guest could run and others have the threads.
                let stood_still = load != Load::Guests || wall_ms < 0.7 * crowded.wall_ms;
                let held = stood_still && crowded.guest_cpu_ms < 3.0 * alone.guest_cpu_ms;
                seen.push((held, wall_ms, crowded));
                if held {
                    break;
                }
            }
            let held = seen.iter().any(|(held, ..)| *held);
            assert!(held, "{load:?}: {alone:?} {seen:?}");
        }
    });
}
