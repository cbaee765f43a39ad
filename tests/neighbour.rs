//! What a tenant notices of its neighbours: the guests that the measurement is made with do what is said of
//! them, and the measurement finds no harm where there is none.

use crate::support::stage::{chunk, index, stage, stopped, wait};
use crate::support::{Bench, arg};
use serde_json::Value;
use stockade::agent::{AgentError, Answer};
use stockade::attack::{Class, Guest, SmallIndex, compile_bomb, distinct};
use stockade::plugin::CompileProfile;
use stockade::policy::{Policy, Wasi};
use stockade::task::{Kind, Reason, Stop, Usage};

fn default_policy() -> Policy {
    Policy::shipped("default").unwrap()
}

/// What one class must say when nothing went wrong.
#[track_caller]
fn unharmed(class: &Value) {
    for arm in ["alone", "honest", "hostile"] {
        let arm = &class[arm];
        assert_eq!(arm["requests"], 12, "{class}");
        for count in ["failed", "stopped", "different"] {
            assert_eq!(arm[count], 0, "{count}: {class}");
        }
        assert!(arm["latency_ms"]["p50"].as_f64() > Some(0.0), "{class}");
    }
    assert!(class["isolation"]["p99"]["ratio"].is_f64(), "{class}");
    assert!(class["sharing"]["p50"]["low"].is_f64(), "{class}");
    assert_eq!(class["alone"]["neighbour_tasks"], 0);
    assert_eq!(
        class["honest"]["neighbour_failures"],
        serde_json::json!({}),
        "{class}"
    );
    assert_eq!(class["ok"], false, "12 questions prove nothing: {class}");
}

#[test]
fn a_small_measurement_finds_no_harm_and_leaves_nothing() {
    let bench = Bench::new();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let (csv, plots) = (bench.path("questions.csv"), bench.path("plots"));
    let arguments = [
        "--json",
        "bench",
        "neighbour",
        "--class",
        "cpu,embedder",
        "--requests",
        "12",
        "--blocks",
        "2",
        "--rate",
        "10",
        "--csv",
        arg(&csv),
        "--plot",
        arg(&plots),
    ];
    let output = bench
        .command(&arguments)
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["workload"]["requests"], 12, "{said}");
    let classes = said["classes"].as_array().unwrap();
    let names: Vec<&Value> = classes.iter().map(|class| &class["class"]).collect();
    assert_eq!(names, ["cpu", "embedder"]);
    classes.iter().for_each(unharmed);
    let busy = |arm: &str| classes[0][arm]["busy"].as_f64().unwrap();
    assert!(busy("hostile") > busy("alone"), "{said}");
    let rows = std::fs::read_to_string(csv).unwrap();
    assert_eq!(
        rows.lines().next(),
        Some("class,arm,block,intended_ms,latency_ms,ok")
    );
    assert_eq!(rows.lines().count(), 1 + 2 * 3 * 12);
    let svg = std::fs::read_to_string(plots.join("neighbour.svg")).unwrap();
    assert!(svg.contains("embedder") && svg.contains("C beside an attack"));
    assert!(
        std::fs::read(plots.join("neighbour.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    let left = std::fs::read_dir(&temporary).unwrap().count();
    assert_eq!(left, 0, "temporary files are left");
    assert!(
        !bench.data().exists(),
        "the user's data folder is not touched"
    );
}

fn agents(of: impl Fn(Class, &Policy) -> Option<Guest>) -> Vec<(Class, Vec<u8>)> {
    let guest = |class: Class| Some((class, of(class, &default_policy())?.build().unwrap()));
    Class::ALL.into_iter().filter_map(guest).collect()
}

/// Asks an agent under the default policy, with time for a slow machine's embedder, and for its fuel to end before its CPU
/// where that is what the class is about.
fn ask(
    class: Class,
    component: &[u8],
    question: &str,
    small: &SmallIndex,
) -> (Result<Answer, Stop>, Usage) {
    let agent = stage().agent(component, Wasi::None).unwrap();
    let cpu = match class {
        Class::Cpu => "cpu_ms_max = 300_000",
        _ => "",
    };
    let patient = format!("[agent]\nwall_ms_max = 300_000\n{cpu}");
    let patient = Policy::from_toml("patient", &patient).unwrap();
    let task = stage().task(Kind::Query, &patient);
    let outcome = wait(stage().ask(&agent, &task, &small.index, question, &vec![]));
    let outcome = outcome.map_err(|error| match error {
        AgentError::Stop(stop) => stop,
        other @ AgentError::Index(_) => panic!("{other}"),
    });
    (outcome, task.usage())
}

#[test]
fn honest_neighbours_need_much_and_are_never_stopped() {
    let small = index(&["An apple a day.", "A pear."]);
    for (class, component) in agents(Class::honest) {
        let (answer, usage) = ask(class, &component, "a question", &small);
        assert!(answer.is_ok(), "{}: {answer:?}", class.as_str());
        let limits = default_policy().agent;
        let enough = match class {
            Class::Cpu => usage.fuel > limits.call.fuel_max / 5 * 4,
            Class::Memory => usage.memory_peak_bytes > (limits.call.memory_mib_max - 3) << 20,
            _ => {
                let half = limits.embed_tokens_max / 2;
                usage.searches == limits.searches_max && usage.embed_tokens > half
            }
        };
        assert!(enough, "{}: {usage:?}", class.as_str());
    }
}

#[test]
fn hostile_neighbours_are_stopped_once_they_are_told_to_attack() {
    let small = index(&["An apple a day.", "A pear."]);
    let hostile = agents(Class::hostile);
    assert_eq!(hostile.len(), 3);
    for (class, component) in hostile {
        let (tame, _) = ask(class, &component, "a question", &small);
        assert!(tame.is_ok(), "{}: {tame:?}", class.as_str());
        let (attack, usage) = ask(class, &component, "! a question", &small);
        let expected: &[Reason] = match class {
            Class::Cpu => &[Reason::Fuel],
            // Filling memory is cheap in fuel on some machines and dear in time on others.
            Class::Memory => &[Reason::Cpu, Reason::Fuel],
            _ => &[Reason::HostCalls],
        };
        let (reason, _, _) = stopped(attack);
        assert!(
            expected.contains(&reason),
            "{}: {reason:?}, {usage:?}",
            class.as_str()
        );
    }
}

#[test]
fn a_flood_has_several_times_the_documents_length_in_chunks() {
    let flood = Class::flooding_chunker().build().unwrap();
    let text = "word ".repeat(2_000);
    let (chunks, _) = chunk(&flood, "", &text);
    let bytes: u32 = chunks
        .unwrap()
        .iter()
        .map(|chunk| chunk.end - chunk.start)
        .sum();
    assert!(bytes as usize > 3 * text.len(), "{bytes}");
    let (whole, _) = chunk(&flood, "", "A short text.");
    assert_eq!(whole.unwrap().len(), 1, "it passes its trial");
}

#[test]
fn a_plugin_that_is_hard_to_compile_is_given_up_with_its_compiler() {
    let bomb = compile_bomb(20, 20_000).build().unwrap();
    let (one, other) = (distinct(&bomb, 1), distinct(&bomb, 2));
    assert_ne!(one, other);
    let guests = &stage().guests;
    let began = std::time::Instant::now();
    let load = async {
        tokio::select! {
            loaded = guests.load(one, Wasi::None) => loaded.map(drop),
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => Ok(()),
        }
    };
    wait(load).unwrap();
    // Compilations run one at a time: this one begins once the other's compiler is gone.
    let small = Guest::chunker(stockade::attack::WHOLE_TEXT).with("(global i32 (i32.const 77))");
    wait(guests.load(small.build().unwrap(), Wasi::None)).unwrap();
    let whole = CompileProfile::of(Wasi::None).wall;
    assert!(began.elapsed() < whole, "{:?}", began.elapsed());
}
