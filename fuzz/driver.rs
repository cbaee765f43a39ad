//! The search: takes an input from the pool, mutates it, runs the target, and keeps what behaved in a way
//! not seen before. A target's outcome is a short text, such as an error's code; new text is new behaviour.
//!
//! There is no coverage instrumentation: what guides the search is what a user could see.

use crate::mutate::{Random, mutate};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What reads strangers' bytes.
pub(crate) trait Target {
    fn name(&self) -> &'static str;

    /// Inputs to begin with.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Words that make an input interesting.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads an input: what came of it, in a few words. Panics where a property does not hold.
    fn read(&self, input: &[u8]) -> String;

    /// Cases of a run as a test.
    fn short_run(&self) -> u64;
}

/// When a search ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    Cases(u64),
    Cpu(Duration),
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Report {
    pub target: &'static str,
    pub replayed: usize,
    pub cases: u64,
    pub cpu: Duration,
    pub outcomes: usize,
    pub kept: usize,
    pub crashes: Vec<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            target,
            replayed,
            cases,
            outcomes,
            kept,
            crashes,
            ..
        } = self;
        let minutes = self.cpu.as_secs_f64() / 60.0;
        write!(
            f,
            "fuzz {target}: {replayed} kept inputs replayed, {cases} cases in {minutes:.1} CPU-minutes, \
             {outcomes} distinct outcomes, {kept} inputs kept, {} crashes",
            crashes.len()
        )?;
        crashes
            .iter()
            .try_for_each(|crash| write!(f, "\n  {crash}"))
    }
}

/// The largest input that is kept.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// Inputs that are kept of one target.
const KEPT_MAX: usize = 150;

/// Outcomes that are told apart: beyond it messages differ by what they quote.
const OUTCOMES_MAX: usize = 2_000;

/// Crashes after which a search ends.
const CRASHES_MAX: usize = 20;

struct Search<'a> {
    target: &'a dyn Target,
    keep: bool,
    /// Where the input is that is read now.
    current: PathBuf,
    pool: Vec<Vec<u8>>,
    outcomes: BTreeSet<String>,
    report: Report,
}

pub(crate) fn run(target: &dyn Target, budget: Budget, seed: u64) -> Report {
    std::panic::set_hook(Box::new(|_| {}));
    let report = Report {
        target: target.name(),
        replayed: 0,
        cases: 0,
        cpu: Duration::ZERO,
        outcomes: 0,
        kept: 0,
        crashes: vec![],
    };
    let keep = matches!(budget, Budget::Cpu(_));
    let mut search = Search {
        target,
        keep,
        current: memory().join(format!("stockade-fuzz-{}", target.name())),
        pool: vec![],
        outcomes: BTreeSet::new(),
        report,
    };
    search.replay();
    search.on(budget, seed);
    let _ = std::panic::take_hook();
    search.report.outcomes = search.outcomes.len();
    search.report
}

impl Search<'_> {
    fn replay(&mut self) {
        for input in kept(&folder("corpus", self.target.name())) {
            self.report.replayed += 1;
            self.case(input, false);
        }
        for seed in self.target.seeds() {
            self.case(seed, false);
        }
    }

    fn on(&mut self, budget: Budget, seed: u64) {
        let mut random = Random::new(seed);
        let began = cpu();
        let mut said = Instant::now();
        while match budget {
            Budget::Cases(cases) => self.report.cases < cases,
            Budget::Cpu(limit) => self.report.cpu < limit,
        } && self.report.crashes.len() < CRASHES_MAX
        {
            let input = mutate(&mut random, &self.pool, self.target.words());
            self.report.cases += 1;
            self.case(input, self.keep);
            if self.report.cases.is_multiple_of(64) {
                self.report.cpu = cpu().saturating_sub(began);
            }
            if self.keep && said.elapsed() > Duration::from_secs(30) {
                said = Instant::now();
                self.report.outcomes = self.outcomes.len();
                eprintln!("{}", self.report);
            }
        }
        self.report.cpu = cpu().saturating_sub(began);
    }

    /// What is read now is in a file, so that it is not lost with a process that overflows its stack.
    fn case(&mut self, input: Vec<u8>, keep: bool) {
        if self.keep {
            let _ = std::fs::write(&self.current, &input);
        }
        match catch_unwind(AssertUnwindSafe(|| self.target.read(&input))) {
            Ok(outcome) => {
                let new =
                    self.outcomes.len() < OUTCOMES_MAX && self.outcomes.insert(normal(&outcome));
                if new || self.pool.is_empty() {
                    self.remember(input, keep);
                }
            }
            Err(panic) => self.crash(&input, &message(panic.as_ref())),
        }
    }

    fn remember(&mut self, input: Vec<u8>, keep: bool) {
        if keep
            && input.len() <= KEPT_BYTES_MAX
            && self.report.replayed + self.report.kept < KEPT_MAX
        {
            write(&folder("corpus", self.target.name()), &input);
            self.report.kept += 1;
        }
        self.pool.push(input);
    }

    fn crash(&mut self, input: &[u8], why: &str) {
        let file = write(&folder("crashes", self.target.name()), input);
        self.report
            .crashes
            .push(format!("{}: {why}", file.display()));
    }
}

/// A folder in memory where there is one: a search writes thousands of files a second.
fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    }
}

/// The plain words of a message's first line: numbers, names and places differ from input to input.
fn normal(outcome: &str) -> String {
    let line = outcome.lines().next().unwrap_or_default();
    let mut quoted = false;
    let plain = |c: char| {
        quoted ^= matches!(c, '\'' | '"' | '`');
        if quoted { '\'' } else { c }
    };
    let text: String = line.chars().map(plain).collect();
    let word = |word: &&str| {
        let word = word.trim_end_matches([',', ':', '.', ';']);
        word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let words: Vec<&str> = text.split_whitespace().filter(word).take(14).collect();
    words.join(" ")
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// CPU time of this process and of its children that ended.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(4)
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz")
        .join(kind)
        .join(target)
}

fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(files) = std::fs::read_dir(folder) else {
        return vec![];
    };
    let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| std::fs::read(path).ok())
        .collect()
}

/// Writes an input under its own digest.
fn write(folder: &Path, input: &[u8]) -> PathBuf {
    let path = folder.join(stockade::plugin::Digest::of(input).short());
    let _ = std::fs::create_dir_all(folder);
    let _ = std::fs::write(&path, input);
    path
}
