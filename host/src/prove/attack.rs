//! An attack on one key: what it does in a sentence, what must come of it, and what does it, once over the
//! limit and once just under it.
//!
//! It judges what came of both sides. It does not know where they run.

use super::ground::Ground;
use crate::attack::Guest;
use crate::error::{Blame, Failure};
use crate::plugin::PluginKind;
use crate::policy::{Policy, PolicyError, Value};
use crate::task::{Reason, Stop, Usage, count};
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// An attack on one key.
pub(super) struct Attack {
    /// The key's path.
    pub key: String,
    /// What it does, in plain words.
    pub sentence: &'static str,
    /// What must come of it.
    pub expected: Expected,
    /// The highest value at which it is tried: where the policy says more, it is lowered to this.
    pub most: u64,
    /// What does it.
    pub means: Means,
}

/// What does it.
#[derive(Clone, Copy)]
pub(super) enum Means {
    /// A guest that breaks the limit and one that just obeys it, each called on the stage.
    Guests(fn(&Target) -> Pair),
    /// Work for the host as a whole: many tasks, many documents.
    Flood(for<'a> fn(&'a Ground, &'a Target) -> Flood<'a>),
}

/// A flood on its way.
pub(super) type Flood<'a> = Pin<Box<dyn Future<Output = Result<Sides, Failure>> + Send + 'a>>;

/// Two guests, and the text that chunkers get.
pub(super) struct Pair {
    /// Breaks the limit.
    pub over: Guest,
    /// Stays just under it.
    pub under: Guest,
    /// What is to be cut.
    pub text: String,
}

/// What is attacked.
#[derive(Clone)]
pub(super) struct Target {
    /// The key's path.
    pub key: String,
    /// Of the guests that the key is for.
    pub kind: PluginKind,
    /// The limit, in the key's unit.
    pub value: Value,
    /// Chunks in the generated corpus.
    pub corpus: u64,
    /// The policy that is proven.
    pub policy: Policy,
}

impl Target {
    /// The limit of a key that counts.
    pub(super) fn limit(&self) -> u64 {
        match self.value {
            Value::Count(limit) => limit,
            Value::Ratio(_) | Value::Word(_) => 0,
        }
    }

    /// The limit of a key that is a ratio.
    pub(super) fn ratio(&self) -> f64 {
        match self.value {
            Value::Ratio(ratio) => ratio,
            Value::Count(limit) => count(limit),
            Value::Word(_) => 0.0,
        }
    }

    /// The policy with this key alone, and `besides` as given.
    pub(super) fn alone(&self, besides: &[(&str, Value)]) -> Result<Policy, PolicyError> {
        super::alone::alone(&self.policy, &self.key, self.value, besides)
    }
}

/// What must come of an attack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expected {
    /// The task is stopped.
    Stop(Reason, Blame),
    /// The call is denied, the task goes on, and the receipt says so.
    Denied,
    /// The log is cut and counted, the task goes on.
    Cut,
    /// What the words say; the flood itself judges.
    Words(&'static str),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop(reason, blame) => write!(f, "stop {} ({blame})", reason.as_str()),
            Self::Denied => f.write_str("denied, the task goes on"),
            Self::Cut => f.write_str("cut and counted, the task goes on"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// What came of both sides.
#[derive(Debug)]
pub(super) struct Sides {
    /// Of the side that breaks the limit.
    pub over: Side,
    /// Of the side that obeys it.
    pub under: Side,
    /// From the limit, or where it is none of time from the attack's begin, until its place was free.
    pub free: Option<Duration>,
}

/// What came of one side.
#[derive(Debug)]
pub(super) struct Side {
    /// In plain words.
    pub got: String,
    /// It is what was expected.
    pub held: bool,
    /// What was used, in the key's unit.
    pub used: Option<f64>,
}

/// What came of one guest call.
#[derive(Debug)]
pub(super) struct Tried {
    pub stop: Option<Stop>,
    pub degraded: Vec<String>,
    pub usage: Usage,
    pub log_kept: u64,
    /// From the call to its place being free.
    pub took: Duration,
    /// The part of it after the stop was known.
    pub late: Duration,
}

impl Expected {
    /// The side that breaks the limit.
    pub(super) fn over(self, target: &Target, tried: &Tried) -> Side {
        match self {
            Self::Stop(reason, blame) => stopped(target, tried, reason, blame),
            Self::Denied => denied(target, tried),
            Self::Cut => cut(target, tried),
            Self::Words(_) => side(false, "no flood".to_owned(), None),
        }
    }

    /// The side that obeys it: nothing may be stopped, denied or cut.
    pub(super) fn under(self, target: &Target, tried: &Tried) -> Side {
        let used = spent(target, tried);
        if let Some(stop) = &tried.stop {
            return side(false, stop.to_string(), used);
        }
        if let Some(denied) = tried.degraded.iter().find(|said| said.contains("is spent")) {
            return side(false, denied.clone(), used);
        }
        if self == Self::Cut && tried.log_kept < tried.usage.log_bytes {
            return side(false, "cut".to_owned(), used);
        }
        side(true, "went on".to_owned(), used)
    }

    /// See [`Sides::free`].
    pub(super) fn free(self, target: &Target, tried: &Tried) -> Option<Duration> {
        let limit = Duration::from_millis(target.limit());
        match self {
            Self::Stop(Reason::Wall, _) => Some(tried.took.saturating_sub(limit)),
            Self::Stop(Reason::Cpu, _) => {
                let used = Duration::from_secs_f64(tried.usage.guest_cpu_ms / 1e3);
                Some(used.saturating_sub(limit) + tried.late)
            }
            Self::Stop(..) => Some(tried.took),
            _ => None,
        }
    }
}

fn stopped(target: &Target, tried: &Tried, reason: Reason, blame: Blame) -> Side {
    let Some(stop) = &tried.stop else {
        return side(false, "went on".to_owned(), spent(target, tried));
    };
    let limit = target.ratio();
    let same = stop.reason == reason && stop.blame == blame;
    let held = same && (stop.limit.0 - limit).abs() <= limit * 1e-9;
    let got = match same {
        true if held => format!("stop {} ({})", stop.reason.as_str(), stop.blame),
        _ => stop.to_string(),
    };
    side(held, got, Some(stop.used.0))
}

fn denied(target: &Target, tried: &Tried) -> Side {
    let used = spent(target, tried);
    if let Some(stop) = &tried.stop {
        return side(false, stop.to_string(), used);
    }
    let name = target.key.rsplit('.').next().unwrap_or_default();
    let said = tried.degraded.iter().any(|said| said.contains(name));
    let within = used.is_some_and(|used| used <= target.ratio());
    let got = match (said, within) {
        (true, true) => "denied, the task went on",
        (true, false) => "denied too late",
        (false, _) => "not denied",
    };
    side(said && within, got.to_owned(), used)
}

fn cut(target: &Target, tried: &Tried) -> Side {
    let (kept, counted) = (tried.log_kept, tried.usage.log_bytes);
    let limit = target.limit() * 1024;
    let got = format!("kept {} of {} KiB", kept / 1024, counted / 1024);
    let held = tried.stop.is_none() && kept <= limit && kept > 0 && counted > limit;
    let got = tried.stop.as_ref().map_or(got, Stop::to_string);
    side(held, got, Some(count(kept) / 1024.0))
}

/// What the usage says of the key's meter, in the key's unit.
fn spent(target: &Target, tried: &Tried) -> Option<f64> {
    let usage = &tried.usage;
    let name = target.key.rsplit('.').next()?;
    Some(match name {
        "fuel_max" => count(usage.fuel),
        "cpu_ms_max" => usage.guest_cpu_ms,
        "wall_ms_max" => usage.wall_ms,
        "memory_mib_max" => count(usage.memory_peak_bytes) / f64::from(1 << 20),
        "boundary_kib_max" => count(usage.boundary_bytes) / 1024.0,
        "output_kib_max" => count(usage.output_bytes) / 1024.0,
        "log_kib_max" => count(tried.log_kept) / 1024.0,
        "host_calls_max" => count(usage.host_calls),
        "embed_tokens_max" => count(usage.embed_tokens),
        "searches_max" => count(usage.searches),
        "vectors_scanned_max" => count(usage.vectors_scanned),
        "read_kib_max" => count(usage.read_bytes) / 1024.0,
        _ => return None,
    })
}

/// One side, as judged.
pub(super) fn side(held: bool, got: String, used: Option<f64>) -> Side {
    Side { got, held, used }
}
