//! The proof of a policy: every key against the attack that it must stop, and against the guest that just obeys
//! it, on the real host, beside a well-behaved tenant.
//!
//! For each key the others are raised as far as they may be, so that exactly this one must hold. It prints
//! nothing and knows no command line.

mod alone;
mod attack;
mod attacks;
mod ground;
mod victim;

pub use victim::Seen;

use crate::error::Failure;
use crate::memory;
use crate::plugin::PluginKind;
use crate::policy::{Policy, Value, keys};
use crate::runtime::RuntimeError;
use attack::{Attack, Expected, Means, Sides, Target, side};
use ground::Ground;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use victim::Victim;

/// How long the victim is watched alone, at first.
const ALONE: Duration = Duration::from_secs(3);

/// Rounds of the victim that an attack must last for; a shorter one is begun again.
const ROUNDS: usize = 3;

/// A key whose proof takes longer has none.
const WATCHDOG: Duration = Duration::from_secs(180);

/// What was proven.
#[derive(Debug, Clone)]
pub struct Report {
    /// The policy's name.
    pub policy: String,
    /// A row a key, in the order of the policy's file.
    pub rows: Vec<Row>,
    /// The victim, before anything was done.
    pub alone: Seen,
    /// Somebody ended it before the last key.
    pub interrupted: bool,
}

impl Report {
    /// Every key held, and nobody ended it before.
    pub fn ok(&self) -> bool {
        !self.interrupted && self.rows.iter().all(|row| row.ok)
    }
}

/// What came of one key.
#[derive(Debug, Clone)]
pub struct Row {
    /// The key's path.
    pub key: String,
    /// What the attack does.
    pub attack: &'static str,
    /// What must come of it.
    pub expected: String,
    /// What came of it.
    pub got: String,
    /// The limit stopped what broke it, let pass what obeyed it, and the victim noticed nothing but time.
    pub ok: bool,
    /// The attack got what was expected.
    pub violated_ok: bool,
    /// What stayed just under the limit was left alone.
    pub obeyed_ok: bool,
    /// What became of that.
    pub obeyed: String,
    /// The policy's value.
    pub limit: Value,
    /// The value at which it was tried, where that is lower.
    pub lowered_to: Option<Value>,
    /// What the attack used, in the key's unit.
    pub used: Option<f64>,
    /// From the limit, or where it is none of time from the attack's begin, until its place was free.
    pub limit_to_free: Option<Duration>,
    /// Resident memory of the process after the attack, in MB of 10^6 bytes.
    pub rss_after_mb: f64,
    /// The victim during the attack.
    pub victim: Seen,
}

/// Proves `policy` on a host configured as the one over `data`, in a folder of its own that is gone
/// afterwards: the keys in `only`, or all where that is empty. `begin` hears of every key, with its number from 1 and how many there are. `interrupt` ends
/// it between two steps.
pub async fn prove(
    policy: &Policy,
    only: &[String],
    data: &Path,
    begin: &(dyn Fn(&str, usize, usize) + Sync),
    interrupt: &CancellationToken,
) -> Result<Report, Failure> {
    let attacks = chosen(only)?;
    let mut report = Report {
        policy: policy.name.clone(),
        rows: vec![],
        alone: Seen::default(),
        interrupted: false,
    };
    let proving = all(policy, &attacks, data, begin, &mut report);
    let ended = tokio::select! {
        biased;
        () = interrupt.cancelled() => None,
        proven = proving => Some(proven),
    };
    match ended {
        Some(proven) => proven?,
        None => report.interrupted = true,
    }
    Ok(report)
}

async fn all(
    policy: &Policy,
    attacks: &[Attack],
    data: &Path,
    begin: &(dyn Fn(&str, usize, usize) + Sync),
    report: &mut Report,
) -> Result<(), Failure> {
    begin("the victim alone", 0, attacks.len());
    let ground = Ground::prepare(data).await?;
    let victim = Victim::settle(&ground).await?;
    let since = Instant::now();
    tokio::time::sleep(ALONE).await;
    report.alone = victim.seen(since);
    for (number, attack) in attacks.iter().enumerate() {
        begin(&attack.key, number + 1, attacks.len());
        report
            .rows
            .push(one(&ground, &victim, policy, attack).await?);
    }
    Ok(())
}

/// The attacks on these keys, or on all, in the order of the policy's file.
fn chosen(only: &[String]) -> Result<Vec<Attack>, Failure> {
    let unknown = |key: &&String| keys().iter().all(|known| known.path() != **key);
    if let Some(key) = only.iter().find(unknown) {
        let message = format!("'{key}' is no key of a policy; see `stockade policy show default`");
        return Err(RuntimeError::Argument(message).into());
    }
    let mut all = attacks::all();
    let place = |path: &str| keys().iter().position(|key| key.path() == path);
    all.retain(|attack| only.is_empty() || only.contains(&attack.key));
    all.sort_by_key(|attack| place(&attack.key));
    Ok(all)
}

/// Attacks one key until the victim has lived through some rounds, and at least once. What came of the first
/// attack counts, unless a later one got something else than expected.
async fn one(
    ground: &Ground,
    victim: &Victim,
    policy: &Policy,
    attack: &Attack,
) -> Result<Row, Failure> {
    let (target, limit, lowered_to) = target(policy, attack);
    let since = Instant::now();
    let mut sides = both_sides(ground, attack, &target).await;
    let waits = |seen: &Seen| seen.rounds < ROUNDS && since.elapsed() < WATCHDOG;
    while sides.over.held && sides.under.held && waits(&victim.seen(since)) {
        let again = both_sides(ground, attack, &target).await;
        if !(again.over.held && again.under.held) {
            sides = again;
        }
    }
    let victim = victim.seen(since);
    Ok(Row {
        key: attack.key.clone(),
        attack: attack.sentence,
        expected: attack.expected.to_string(),
        ok: sides.over.held && sides.under.held && victim.wrong == 0,
        violated_ok: sides.over.held,
        obeyed_ok: sides.under.held,
        got: sides.over.got,
        obeyed: sides.under.got,
        limit,
        lowered_to,
        used: sides.over.used,
        limit_to_free: sides.free,
        rss_after_mb: memory::resident() as f64 / 1e6,
        victim,
    })
}

/// What is attacked, the policy's value, and the value tried where that is lower.
fn target(policy: &Policy, attack: &Attack) -> (Target, Value, Option<Value>) {
    let limit = policy.value(&attack.key).unwrap_or(Value::Count(0));
    let value = match limit {
        Value::Count(limit) => Value::Count(limit.min(attack.most)),
        other => other,
    };
    let kind = match attack.key.starts_with("agent.") {
        true => PluginKind::Agent,
        false => PluginKind::Chunker,
    };
    let target = Target {
        key: attack.key.clone(),
        kind,
        value,
        corpus: ground::CORPUS,
        policy: policy.clone(),
    };
    (target, limit, (value != limit).then_some(value))
}

/// What came of both sides. A failure of the host is one of the proof too.
async fn both_sides(ground: &Ground, attack: &Attack, target: &Target) -> Sides {
    let work = async {
        match attack.means {
            Means::Guests(_) => calls(ground, attack, target).await,
            Means::Flood(run) => run(ground, target).await,
        }
    };
    let outcome = tokio::time::timeout(WATCHDOG, work).await;
    let failed = |what: String| Sides {
        over: side(false, what, None),
        under: side(false, "not tried".to_owned(), None),
        free: None,
    };
    match outcome {
        Ok(Ok(sides)) => sides,
        Ok(Err(failure)) => failed(failure.message),
        Err(_) => failed(format!("nothing ended it in {} s", WATCHDOG.as_secs())),
    }
}

async fn calls(ground: &Ground, attack: &Attack, target: &Target) -> Result<Sides, Failure> {
    let Means::Guests(pair) = attack.means else {
        return Ok(Sides {
            over: side(false, "no guests".to_owned(), None),
            under: side(false, "no guests".to_owned(), None),
            free: None,
        });
    };
    let (pair, policy) = (pair(target), target.alone(&[])?);
    let over = ground.call(&policy, &pair.over, &pair.text);
    let under = ground.call(&policy, &pair.under, &pair.text);
    // Guests that only wait may wait side by side; others would take the core from each other.
    let (over, under) = match attack.expected {
        Expected::Stop(crate::task::Reason::Wall, _) => tokio::try_join!(over, under)?,
        _ => (over.await?, under.await?),
    };
    Ok(Sides {
        free: attack.expected.free(target, &over),
        over: attack.expected.over(target, &over),
        under: attack.expected.under(target, &under),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_attack() {
        let mut attacked: Vec<String> = attacks::all().into_iter().map(|a| a.key).collect();
        let mut all: Vec<String> = keys().iter().map(crate::policy::Key::path).collect();
        attacked.sort();
        all.sort();
        assert_eq!(attacked, all);
    }
}
