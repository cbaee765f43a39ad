//! `cargo xtask …`: set-up, demo, test, benchmark. This file turns arguments into one command and
//! an error into an exit code; it does not know how any command does its work.

mod baseline;
mod bench;
mod cache;
mod check;
mod demo;
mod durability;
mod fetch;
mod fuzz;
mod numbers;
mod peers;
mod process;
mod setup;
mod study;
mod ui;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::cache::Cache;
use crate::durability::Crash;
use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask COMMAND

  setup [--only STEP]…    bring and build what Stockade needs: onnxruntime, model, toolchain, guests, host;
                          only for tests: python-guest
  demo                    set up, then a tour: two tenants, their plugins, three questions, one bad neighbour
  test [--only STEP]…     set up, then check: fmt, clippy, deny, advisories, dockerfile, test, doc
  bench ARGUMENTS…        set up, then `stockade bench ARGUMENTS…` (see `cargo xtask bench --help`)
  bench --baseline REV    the micro-benchmarks of another commit and of this working tree, in turn; --rounds N
  study                   what the documents show of ingest, fairness and starts (about 35 minutes), and fill
                          them in; --without-peers, --rounds N, --only ingest|fairness|starts
  numbers                 fill the documents from the reports in docs/runs
  fuzz ARGUMENTS…         set up, then search for inputs that break what reads strangers' bytes (see `fuzz --help`)
  crash [--kills N] [--seed S]
                          set up, then kill the program again and again, and look whether anything is lost
  mutants                 set up, then break every law of a write in turn, and look whether a test notices
  peers                   the Python environment that `bench --peers` compares with (a few minutes, 6 GB)

Everything is kept in one cache folder, shared by all clones: $STOCKADE_CACHE, else
$XDG_CACHE_HOME/stockade, else ~/.cache/stockade. Each command takes up where an interrupted one stopped.
";

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Setup { only: Vec<String> },
    Demo,
    Test { only: Vec<String> },
    Bench { arguments: Vec<String> },
    Fuzz { arguments: Vec<String> },
    Crash(Crash),
    Mutants,
    Study { asked: study::Asked },
    Numbers,
    Peers,
}

/// The exit code of a wrong command line, as in `stockade` itself.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Ok(Command::Help) => {
            ui::line(HELP);
            ExitCode::SUCCESS
        }
        Ok(command) => run(&command).unwrap_or_else(|error| {
            ui::error(&error);
            ExitCode::FAILURE
        }),
        Err(complaint) => {
            ui::complain(&format!("{complaint}\n\n{HELP}"));
            ExitCode::from(USAGE)
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    let cache = Cache::from_env()?;
    let workspace = Workspace::find()?;
    match command {
        Command::Help => Ok(ExitCode::SUCCESS),
        Command::Setup { only } => setup::run(&cache, &workspace, only).map(|()| ExitCode::SUCCESS),
        Command::Demo => demo::run(&cache, &workspace),
        Command::Test { only } => check::run(&cache, &workspace, only),
        Command::Bench { arguments } => bench::run(&cache, &workspace, arguments),
        Command::Fuzz { arguments } => fuzz::run(&cache, &workspace, arguments),
        Command::Crash(crash) => durability::crash(&cache, &workspace, crash),
        Command::Mutants => durability::mutants(&cache, &workspace),
        Command::Study { asked } => study::run(&cache, &workspace, asked),
        Command::Numbers => numbers::run(&workspace).map(|()| ExitCode::SUCCESS),
        Command::Peers => peers::run(&cache).map(|()| ExitCode::SUCCESS),
    }
}

fn parse(arguments: &[String]) -> Result<Command, String> {
    let (name, rest) = arguments.split_first().ok_or("Which command?")?;
    match name.as_str() {
        "help" | "--help" | "-h" => Ok(Command::Help),
        "setup" => Ok(Command::Setup {
            only: parse_only(rest, &setup::names())?,
        }),
        "test" => Ok(Command::Test {
            only: parse_only(rest, &check::names())?,
        }),
        "bench" => Ok(Command::Bench {
            arguments: rest.to_vec(),
        }),
        "fuzz" => Ok(Command::Fuzz {
            arguments: rest.to_vec(),
        }),
        "crash" => Crash::parse(rest).map(Command::Crash),
        "mutants" => none(rest).map(|()| Command::Mutants),
        "demo" => none(rest).map(|()| Command::Demo),
        "study" => study::parse(rest).map(|asked| Command::Study { asked }),
        "numbers" => none(rest).map(|()| Command::Numbers),
        "peers" => none(rest).map(|()| Command::Peers),
        other => Err(format!("There is no command `{other}`.")),
    }
}

/// Reads `--only STEP` as often as it is given; an empty answer means every step.
fn parse_only(arguments: &[String], known: &[&str]) -> Result<Vec<String>, String> {
    let mut only = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument != "--only" {
            return Err(format!("`{argument}` is not understood here."));
        }
        let step = rest.next().ok_or("`--only` needs the name of a step.")?;
        if !known.contains(&step.as_str()) {
            return Err(format!(
                "There is no step `{step}`. The steps are: {}.",
                known.join(", ")
            ));
        }
        only.push(step.clone());
    }
    Ok(only)
}

fn none(arguments: &[String]) -> Result<(), String> {
    match arguments.first() {
        Some(argument) => Err(format!("`{argument}` is not understood here.")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments)
    }

    #[test]
    fn setup_without_steps_means_all_of_them() {
        assert_eq!(parsed("setup"), Ok(Command::Setup { only: vec![] }));
    }

    #[test]
    fn steps_can_be_chosen() {
        let only = vec!["model".to_owned(), "guests".to_owned()];
        assert_eq!(
            parsed("setup --only model --only guests"),
            Ok(Command::Setup { only })
        );
    }

    #[test]
    fn an_unknown_step_is_refused_by_name() {
        let complaint = parsed("test --only moon").unwrap_err();
        assert!(
            complaint.contains("moon") && complaint.contains("clippy"),
            "{complaint}"
        );
    }

    #[test]
    fn no_command_an_unknown_one_and_a_stray_word_are_refused() {
        for line in ["", "dance", "demo now", "setup model", "setup --only"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn kills_and_seed_have_defaults_and_must_be_numbers() {
        let crash = |kills, seed| Ok(Command::Crash(Crash { kills, seed }));
        assert_eq!(parsed("crash"), crash(1_000, 1));
        assert_eq!(parsed("crash --seed 7 --kills 20"), crash(20, 7));
        for line in [
            "crash --kills",
            "crash --kills many",
            "crash now",
            "mutants now",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_follows_bench_is_passed_on() {
        let arguments = vec![
            "ingest".to_owned(),
            "--peers".to_owned(),
            "threads".to_owned(),
        ];
        assert_eq!(
            parsed("bench ingest --peers threads"),
            Ok(Command::Bench { arguments })
        );
    }
}
