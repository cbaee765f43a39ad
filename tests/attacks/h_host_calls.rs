//! Group H: abuse of host calls.

use crate::support::guests::{self, Guest, WHOLE_TEXT};
use crate::support::stage::*;
use crate::support::{Bench, arg};
use stockade::attack::imports::{
    DROP_VECTOR, EMBED, LOG, NEIGHBOURS, READ, SEARCH_TEXT, SEARCH_VECTOR,
};
use stockade::error::Blame;
use stockade::task::{Kind, Reason};

/// Traps unless the result at 256 is a refusal of this kind: 0 `budget-spent`, 1 `not-found`, 2 `invalid-argument`.
fn refused_as(kind: u32) -> String {
    format!(
        "(if (i32.ne (i32.load8_u (i32.const 256)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load8_u (i32.const 260)) (i32.const {kind})) (then unreachable))"
    )
}

/// Sends a megabyte to be embedded at once. Refused as an invalid argument, nothing is embedded, the task goes on.
#[test]
fn h_02_a_huge_text_to_embed_is_refused_at_the_boundary() {
    let small = index(&[]);
    let mut guest = Guest::agent(&format!(
        "(call $embed (i32.const 1024) (i32.const 1000000) (i32.const 256)) {} (i32.const 32)",
        refused_as(2)
    ))
    .importing(EMBED);
    guest.pages = 20;
    let (outcome, usage) = ask(&guest.build().unwrap(), "", &small.index);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!((usage.embed_tokens, usage.host_calls), (0, 1));
}

/// Asks for no results, for four billion, with filters that are none or far too long. Each is refused as an invalid
/// argument, uncharged, and the task goes on.
#[test]
fn h_04_senseless_counts_and_filters_are_refused() {
    let small = index(&["One text."]);
    let search = |k: i64, filter: (u32, u32)| {
        format!(
            "(call $search_text (i32.const 1024) (i32.const 4) (i32.const {k})
                (i32.const 1) (i32.const {}) (i32.const {}) (i32.const 256)) {}",
            filter.0,
            filter.1,
            refused_as(2)
        )
    };
    let mut body: String = [
        search(0, (2048, 2)),
        search(4_294_967_295, (2048, 2)),
        search(5, (2048, 0)),
        search(5, (2048, 1)),
        search(5, (4096, 100_000)),
    ]
    .concat();
    body.push_str("(i32.const 32)");
    let mut guest = Guest::agent(&body)
        .importing(SEARCH_TEXT)
        .with(r#"(data (i32.const 2048) "{}")"#);
    guest.pages = 4;
    let (outcome, usage) = ask(&guest.build().unwrap(), "", &small.index);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!((usage.searches, usage.host_calls), (0, 5));
}

/// Logs line breaks, escape sequences and what looks like another record. On the terminal they are one escaped line.
#[test]
fn h_06_a_log_record_is_one_line_whatever_it_says() {
    let bench = Bench::with_tenants(&["acme"]);
    let guest = Guest::agent(
        "(call $log (i32.const 1) (i32.const 512) (i32.const 40)) (i32.const 32)",
    )
    .importing(LOG)
    .with(
        r#"(data (i32.const 512) "before\0aERROR forged\1b[2J\0d\0abehind....................")"#,
    );
    let file = bench.file("log.wasm", guest.build().unwrap());
    bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    let ran = bench
        .run(&["-v", "query", "acme", "x", "--agent", "log"])
        .ok();
    let lines: Vec<&str> = ran.err.lines().filter(|l| l.contains("before")).collect();
    assert_eq!(lines.len(), 1, "{ran:?}");
    assert!(
        lines[0].contains("forged") && lines[0].contains("behind") && !ran.err.contains('\x1b'),
        "{ran:?}"
    );
}

/// Uses vectors that it was never given, or has given back. Stop: `trap`; ids that do not exist are `not-found`, negative
/// ones too, and cost nothing.
#[test]
fn h_08_foreign_and_freed_handles_are_traps_and_unknown_ids_are_not_found() {
    let small = index(&["One text."]);
    let imports = format!("{EMBED} {SEARCH_VECTOR} {DROP_VECTOR}");
    let search = "(call $search_vector (local.get $i) (i32.const 5) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 256))";
    for handle in ["0", "7", "-1", "0x7fffffff"] {
        let misdeed = format!("(local.set $i (i32.const {handle})) {search}");
        let (outcome, usage) = ask(&agent_that(&imports, &misdeed), "", &small.index);
        assert_eq!(stopped(outcome).0, Reason::Trap, "{handle}");
        assert_eq!(usage.searches, 0);
    }
    let freed = format!(
        "(call $embed (i32.const 1024) (i32.const 4) (i32.const 256))
        (local.set $i (i32.load (i32.const 260))) (call $drop (local.get $i)) {search}"
    );
    let (outcome, _) = ask(&agent_that(&imports, &freed), "", &small.index);
    assert_eq!(stopped(outcome).0, Reason::Trap);
    let mut unknown = String::new();
    for id in ["0", "2", "-1", "0x7fffffffffffffff"] {
        unknown.push_str(&format!(
            "(i64.store (i32.const 512) (i64.const {id}))
            (call $read (i32.const 512) (i32.const 1) (i32.const 256)) {0}
            (call $neighbours (i64.const {id}) (i32.const 0) (i32.const 5) (i32.const 256)) {0}",
            refused_as(1)
        ));
    }
    let asker = agent_that(&format!("{READ} {NEIGHBOURS}"), &unknown);
    let (outcome, usage) = ask(&asker, "", &small.index);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!((usage.read_bytes, usage.host_calls), (0, 8));
}

/// The host itself panics in a call. Stop: `host-fault`, blamed on the host; the next call works.
#[test]
fn h_09_a_panic_of_the_host_ends_that_task_alone() {
    let stage = stage();
    let task = stage.task(Kind::Ingest, &policy(""));
    let outcome: Result<(), _> = wait(stage.guests.sandbox.run(&task, (), |_| {
        Box::pin(async { panic!("a bug of the host") })
    }));
    let (reason, blame, _) = stopped(outcome);
    assert_eq!((reason, blame), (Reason::HostFault, Blame::Host));
    assert!(chunk(&guests::chunker(WHOLE_TEXT), "", "x").0.is_ok());
}

/// Repeats a call that is denied for ever. Denied calls count. Stop: `host-calls` in that call.
#[test]
fn h_12_a_storm_of_retries_ends_by_the_calls_it_makes() {
    let small = index(&["One text."]);
    let storm = agent_that(
        SEARCH_TEXT,
        "(loop (call $search_text (i32.const 1024) (i32.const 4) (i32.const 5) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 256)) (br 0))",
    );
    let policy = "[agent]\nsearches_max = 1\nhost_calls_max = 50";
    let (outcome, usage) = ask(&storm, policy, &small.index);
    let (reason, blame, phase) = stopped(outcome);
    assert_eq!(
        (reason, blame, phase.as_str()),
        (Reason::HostCalls, Blame::Guest, "host:search-text")
    );
    assert_eq!((usage.searches, usage.host_calls), (1, 50));
}
