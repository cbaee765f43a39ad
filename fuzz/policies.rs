//! Policy files: any text is refused or read; what was read is within every range, stays what it is when
//! written and read again, and a tightened key never loosens another.

use crate::driver::Target;
use stockade::policy::{Kind, Policy, PolicySource, Value, keys};

pub(crate) struct Policies;

impl Target for Policies {
    fn name(&self) -> &'static str {
        "policies"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds: Vec<Vec<u8>> = ["default", "strict", "trusted", "python"]
            .iter()
            .filter_map(|name| Policy::shipped(name).ok())
            .map(|policy| policy.to_toml_flat().into_bytes())
            .collect();
        seeds.extend([
            b"extends = \"strict\"\n[chunker]\nfuel_max = 1_000_000\n".to_vec(),
            b"[chunker]\noverlap_ratio_max = 2.5\n[tenant]\nshare = 4\n".to_vec(),
            br#"{"name":"x","files":[{"name":"x","text":"wasi = \"none\""}]}"#.to_vec(),
        ]);
        seeds
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "[chunker]\n",
            "[agent]\n",
            "[tenant]\n",
            "[ingest]\n",
            "[breaker]\n",
            "extends = \"default\"\n",
            "extends = \"../x\"\n",
            "wasi = \"sandboxed\"\n",
            "fuel_max = ",
            "share = ",
            "memory_mib_max = ",
            "0",
            "-1",
            "1e3",
            "nan",
            "inf",
            "9223372036854775807",
            "18446744073709551616",
            "4.0",
            "\"64MB\"",
            "[[",
            "]]",
            "{",
            "}",
            "\"\"\"",
            "\n",
        ]
    }

    fn read(&self, input: &[u8]) -> String {
        let text = String::from_utf8_lossy(input);
        if text.starts_with('{') {
            let bundle =
                PolicySource::from_json(&text).and_then(|source| Policy::from_bundle(&source));
            return match bundle {
                Ok(policy) => holds(&policy),
                Err(error) => error.to_string(),
            };
        }
        match Policy::from_toml("fuzz.toml", &text) {
            Ok(policy) => holds(&policy),
            Err(error) => error.to_string(),
        }
    }

    fn short_run(&self) -> u64 {
        1_500
    }
}

fn holds(policy: &Policy) -> String {
    for key in keys() {
        let value = policy.value(&key.path());
        let within = match (value, key.kind) {
            (Some(Value::Count(n)), Kind::Count { min, max }) => n > 0 && (min..=max).contains(&n),
            (Some(Value::Ratio(r)), Kind::Ratio { min, max }) => {
                r > 0.0 && (min..=max).contains(&r)
            }
            (Some(Value::Word(word)), Kind::Word(words)) => words.contains(&word),
            _ => false,
        };
        assert!(within, "{} = {value:?}", key.path());
    }
    let again = Policy::from_toml("again.toml", &policy.to_toml_flat());
    let again = again.unwrap_or_else(|error| panic!("what was written cannot be read: {error}"));
    assert_eq!(again.digest_hex(), policy.digest_hex());
    let bundled = Policy::from_bundle(policy.bundle()).map(|policy| policy.digest_hex());
    assert_eq!(
        bundled.ok(),
        Some(policy.digest_hex()),
        "the stored copy differs"
    );
    let halved = keys().iter().filter(|key| tighten(policy, key)).count();
    match halved * 2 > keys().len() {
        true => "read, most keys can be halved".to_owned(),
        false => "read, few keys can be halved".to_owned(),
    }
}

/// Halves one key: refused for a relation to another key, or nothing else has changed.
fn tighten(policy: &Policy, key: &stockade::policy::Key) -> bool {
    let Some(Value::Count(value)) = policy.value(&key.path()) else {
        return false;
    };
    let Kind::Count { min, .. } = key.kind else {
        return false;
    };
    let half = (value / 2).max(min);
    let Ok(tight) = policy.with(
        "tight.toml",
        &format!("[{}]\n{} = {half}\n", key.section, key.name),
    ) else {
        return false;
    };
    for other in keys() {
        let (before, after) = (policy.value(&other.path()), tight.value(&other.path()));
        let expected = if other == key {
            Some(Value::Count(half))
        } else {
            before
        };
        assert_eq!(
            after,
            expected,
            "{} changed with {}",
            other.path(),
            key.path()
        );
    }
    true
}
