//! Fuzzing: random and mutated bytes against what reads strangers' bytes. Without arguments it replays the
//! kept inputs and searches for a moment, as a test; with `--minutes` it goes on, and keeps what was new.
//!
//! It does not know what a target reads: each target says that of itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool for developers: what it cannot go on without is its own mistake"
)]

mod driver;
mod filters;
mod mutate;
mod plugins;
mod policies;
mod spans;

use driver::{Budget, Target};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
cargo xtask fuzz [--target plugins|spans|filters|policies] [--minutes CPU-MINUTES] [--seed N]

Without --minutes: replays fuzz/corpus and searches for a moment; inputs are not kept.
With --minutes: searches for so many minutes of CPU a target (0.5 is half a minute), and keeps inputs that
showed something new in fuzz/corpus, and inputs that panicked in fuzz/crashes.
";

/// What the command line asked for.
struct Asked {
    target: Option<String>,
    minutes: Option<f64>,
    seed: u64,
}

fn main() -> ExitCode {
    if let Some(status) = stockade::plugin::compile_if_asked() {
        return ExitCode::from(status);
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words) {
        Ok(Some(asked)) => run(&asked),
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!("{complaint}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// Words that cargo's own test runner adds are let through.
fn parse(words: &[String]) -> Result<Option<Asked>, String> {
    let mut asked = Asked {
        target: None,
        minutes: None,
        seed: 1,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .cloned()
                .ok_or(format!("{word} needs a value."))
        };
        match word.as_str() {
            "--help" => return Ok(None),
            "--target" => asked.target = Some(value()?),
            "--minutes" => asked.minutes = Some(number(word, &value()?)?),
            "--seed" => asked.seed = number(word, &value()?)?,
            _ => {}
        }
    }
    Ok(Some(asked))
}

fn number<T: std::str::FromStr>(word: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{word}: '{text}' is no number."))
}

fn targets() -> Vec<Box<dyn Target>> {
    vec![
        Box::new(spans::Spans),
        Box::new(filters::Filters),
        Box::new(policies::Policies),
        Box::new(plugins::Plugins::default()),
    ]
}

fn run(asked: &Asked) -> ExitCode {
    let chosen = |target: &dyn Target| {
        asked
            .target
            .as_deref()
            .is_none_or(|name| name == target.name())
    };
    let targets: Vec<_> = targets()
        .into_iter()
        .filter(|target| chosen(target.as_ref()))
        .collect();
    if targets.is_empty() {
        eprintln!("There is no such target.\n\n{HELP}");
        return ExitCode::from(2);
    }
    let mut failed = 0;
    for target in &targets {
        let budget = match asked.minutes {
            Some(minutes) => Budget::Cpu(Duration::from_secs_f64(minutes.clamp(0.0, 1e6) * 60.0)),
            None => Budget::Cases(target.short_run()),
        };
        let report = driver::run(target.as_ref(), budget, asked.seed);
        println!("{report}");
        failed += usize::from(!report.crashes.is_empty());
    }
    println!(
        "test result: {}. {} passed; {failed} failed",
        if failed == 0 { "ok" } else { "FAILED" },
        targets.len() - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
