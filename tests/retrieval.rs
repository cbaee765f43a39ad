//! The built-in agents on whole tenants: what they find, how they explain it, and what it costs.

use crate::support::{Bench, arg};
use serde_json::{Value, json};
use stockade::policy::Policy;

/// A tenant with these documents: id, title, text.
fn tenant(documents: &[(String, String, String)]) -> Bench {
    let bench = Bench::with_tenants(&["town"]);
    let line = |(id, title, text): &(String, String, String)| {
        json!({ "id": id, "title": title, "text": text }).to_string()
    };
    let lines: Vec<String> = documents.iter().map(line).collect();
    let file = bench.file("docs.jsonl", lines.join("\n"));
    bench.run(&["ingest", "town", arg(&file)]).ok();
    bench
}

fn documents(answer: &Value) -> Vec<&str> {
    let passages = answer["passages"].as_array().unwrap().iter();
    passages.filter_map(|p| p["document"].as_str()).collect()
}

#[test]
fn multihop_reaches_what_the_search_does_not_and_explains_each_hop() {
    let mut town = vec![
        (
            "marlow".to_owned(),
            "Edwin Marlow".to_owned(),
            "Edwin Marlow was a builder. He built the theatre of the town, Golden Lyre Hall."
                .to_owned(),
        ),
        (
            "lyre".to_owned(),
            "Golden Lyre Hall".to_owned(),
            "Golden Lyre Hall stands on a hill. Ines Vale decorated its roof.".to_owned(),
        ),
    ];
    for n in 0..20 {
        let text = format!("A ceiling was painted in week {n}.");
        town.push((format!("noise-{n}"), String::new(), text));
    }
    let bench = tenant(&town);
    let question = "Who painted the ceiling of the theatre that Edwin Marlow built?";
    let ask = |agent| bench.json(&["query", "town", question, "--agent", agent, "--k", "10"]);
    assert!(!documents(&ask("hybrid")).contains(&"lyre"));
    let answer = ask("multihop");
    let place = documents(&answer).iter().position(|d| *d == "lyre");
    let reason = answer["passages"][place.unwrap()]["reason"]
        .as_str()
        .unwrap();
    assert!(
        reason.contains("hop 1: mentioned by \"Edwin Marlow\""),
        "{reason}"
    );
    assert_eq!(answer["receipt"]["degraded"], json!([]));
}

#[test]
fn multihop_needs_a_quarter_of_its_budgets_where_all_documents_mention_each_other() {
    let trees = [
        "Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Larch", "Maple",
    ];
    let title = |n: usize| format!("{} {} Lane", trees[n % 8], trees[n / 8 % 8]);
    let titles: Vec<String> = (0..48).map(title).collect();
    let all = titles.join(", ");
    let document = |n: usize| {
        let text = format!("{} has shops, number {n}. It is near {all}.", titles[n]);
        (format!("d{n}"), titles[n].clone(), text)
    };
    let bench = tenant(&(0..48).map(document).collect::<Vec<_>>());
    let question = "Which lane with shops is near Birch Cedar Lane and leads to the harbour?";
    let answer = bench.json(&[
        "query", "town", question, "--agent", "multihop", "--k", "50",
    ]);
    assert_eq!(answer["receipt"]["degraded"], json!([]));
    let policy = Policy::shipped("default").unwrap().agent;
    let usage = &answer["usage"];
    for (meter, limit) in [
        ("fuel", policy.call.fuel_max),
        ("memory_peak_bytes", policy.call.memory_mib_max << 20),
        ("boundary_bytes", policy.call.boundary_kib_max << 10),
        ("output_bytes", policy.call.output_kib_max << 10),
        ("host_calls", policy.call.host_calls_max),
        ("embed_tokens", policy.embed_tokens_max),
        ("searches", policy.searches_max),
        ("vectors_scanned", policy.vectors_scanned_max),
        ("read_bytes", policy.read_kib_max << 10),
    ] {
        let used = usage[meter].as_u64().unwrap();
        assert!(used <= limit / 4, "{meter}: {used} of {limit}");
        assert!(used > 0, "{meter}");
    }
}

#[test]
fn rules_route_questions_and_say_which_rule_spoke() {
    let document = |id: &str, text: &str| (id.to_owned(), String::new(), text.to_owned());
    let bench = tenant(&[
        document("tent", "A tent is sealed along its seam with sealant."),
        document("boot", "A boot is sealed with wax; a tent has no wax."),
    ]);
    let rules = "rules=when \"sealed\": require \"wax\"; otherwise unfiltered";
    let question = "How is a tent sealed?";
    let ask = [
        "query", "town", question, "--agent", "rules", "--option", rules,
    ];
    let answer = bench.json(&ask);
    assert_eq!(documents(&answer), ["boot"]);
    let reason = answer["passages"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("rule 1 requires \"wax\""), "{reason}");
    let wrong = [
        "query",
        "town",
        "x",
        "--agent",
        "rules",
        "--option",
        "rules=when a: by text",
    ];
    bench
        .run(&wrong)
        .fails(3, &["Rule 1 cannot be read", "quotes"]);
}
