//! The shipped policies, and what is said of every key.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_shipped_policy_loads() {
    for name in shipped_names() {
        let policy = Policy::shipped(name).unwrap();
        assert_eq!(policy.name, name);
        assert_eq!(policy.entries().len(), keys().len());
    }
}

#[test]
fn root_is_complete_by_itself() {
    let root = Policy::shipped("default").unwrap();
    assert!(
        root.entries()
            .iter()
            .all(|entry| entry.source.starts_with("policies/default.toml:"))
    );
}

#[test]
fn values_of_the_root_are_those_of_the_design() {
    let root = Policy::shipped("default").unwrap();
    let call = CallLimits {
        fuel_max: 400_000_000,
        cpu_ms_max: 2_000,
        wall_ms_max: 10_000,
        memory_mib_max: 64,
        handles_max: 1_000,
        boundary_kib_max: 16_384,
        output_kib_max: 1_024,
        log_kib_max: 16,
        host_calls_max: 10_000,
    };
    assert_eq!(
        root.chunker,
        Chunker {
            call,
            chunks_max: 10_000,
            overlap_ratio_max: 4.0
        }
    );
    let agent = Agent {
        call,
        embed_tokens_max: 4_096,
        searches_max: 64,
        vectors_scanned_max: 20_000_000,
        read_kib_max: 1_024,
        passages_max: 100,
    };
    assert_eq!(root.agent, agent);
    assert_eq!(
        root.ingest,
        Ingest {
            document_kib_max: 1_024,
            embed_tokens_max: 500_000
        }
    );
    let tenant = Tenant {
        tasks_running_max: 4,
        tasks_queued_max: 64,
        queue_ms_max: 30_000,
        documents_max: 1_000_000,
        storage_mib_max: 4_096,
        plugins_max: 32,
        share: 1,
    };
    assert_eq!(root.tenant, tenant);
    let breaker = Breaker {
        stops_max: 5,
        stops_ratio_max: 0.5,
        window_s: 60,
        cooldown_s: 300,
    };
    assert_eq!(root.breaker, breaker);
    assert_eq!(root.wasi, Wasi::None);
}

/// `a <= b` for values of one kind.
fn at_most(a: Value, b: Value) -> bool {
    match (a, b) {
        (Value::Count(a), Value::Count(b)) => a <= b,
        (Value::Ratio(a), Value::Ratio(b)) => a <= b,
        (a, b) => a == b,
    }
}

#[test]
fn strict_is_tighter_and_trusted_looser_in_every_limit() {
    let [root, strict, trusted] =
        ["default", "strict", "trusted"].map(|name| Policy::shipped(name).unwrap());
    for key in keys().iter().filter(|key| key.section != "breaker") {
        let value = |policy: &Policy| policy.value(&key.path()).unwrap();
        assert!(
            at_most(value(&strict), value(&root)),
            "strict: {}",
            key.path()
        );
        assert!(
            at_most(value(&root), value(&trusted)),
            "trusted: {}",
            key.path()
        );
    }
    assert!(strict.breaker.stops_max < root.breaker.stops_max);
    assert!(trusted.breaker.stops_max > root.breaker.stops_max);
}

#[test]
fn python_has_room_for_an_interpreter() {
    let python = Policy::shipped("python").unwrap();
    assert_eq!(python.wasi, Wasi::Sandboxed);
    assert!(python.chunker.call.fuel_max >= 2_000_000_000);
    assert!(python.chunker.call.memory_mib_max >= 64);
}

#[test]
fn every_key_is_described_once() {
    let paths: BTreeSet<String> = keys().iter().map(Key::path).collect();
    assert_eq!(paths.len(), keys().len());
    for key in keys() {
        assert!(
            key.doc.ends_with('.') && key.doc.trim() == key.doc,
            "{}",
            key.path()
        );
        assert!(key.section.is_empty() || SECTIONS.contains(&key.section));
    }
}

#[test]
fn reason_of_a_stop_is_the_key_without_unit() {
    let reason = |path: &str| {
        keys()
            .iter()
            .find(|key| key.path() == path)
            .unwrap()
            .reason()
    };
    assert_eq!(reason("chunker.cpu_ms_max").as_deref(), Some("cpu"));
    assert_eq!(
        reason("agent.host_calls_max").as_deref(),
        Some("host-calls")
    );
    assert_eq!(reason("tenant.storage_mib_max").as_deref(), Some("storage"));
    assert_eq!(reason("tenant.share"), None);
}

#[test]
fn unknown_name_lists_the_shipped_ones() {
    let error = Policy::find("nonesuch").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no policy 'nonesuch': it is no file, and the shipped ones are default, strict, trusted, python"
    );
    assert_eq!(Policy::find("strict").unwrap().name, "strict");
}
