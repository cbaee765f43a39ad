//! `cargo xtask bench --baseline REV`: the micro-benchmarks of two commits, built apart and run in turn on this
//! machine, and how their medians compare. It does not know what they measure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow};

use crate::cache::Cache;
use crate::process;
use crate::setup::{self, Scope};
use crate::ui::{self, OrTodo as _};
use crate::workspace::{Workspace, parse_toml};

/// The name of the benchmark target, and of its file's package.
const TARGET: &str = "micro";
const PACKAGE: &str = "stockade";

/// Rounds where none are asked for.
const ROUNDS: u32 = 5;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    revision: String,
    rounds: u32,
}

/// Reads what follows `bench`; nothing where no baseline is named.
pub(crate) fn parse(arguments: &[String]) -> Result<Option<Asked>> {
    if arguments.first().map(String::as_str) != Some("--baseline") {
        return Ok(None);
    }
    let usage = || anyhow!("cargo xtask bench --baseline REV [--rounds N]");
    let revision = arguments.get(1).ok_or_else(usage)?.clone();
    let rounds = match &arguments[2..] {
        [] => ROUNDS,
        [name, number] if name == "--rounds" => {
            let number = number.parse().ok().filter(|rounds| *rounds > 0);
            number.ok_or_else(usage)?
        }
        _ => return Err(usage()),
    };
    Ok(Some(Asked { revision, rounds }))
}

/// Builds both, runs both, compares. The lock is held to the end, as for any measurement.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, asked: &Asked) -> Result<ExitCode> {
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, Scope::Only(&[]), &lock)?;
    let revision = commit(workspace, &asked.revision)?;
    let place = Place::in_cache(cache);
    place.check_out(workspace, &revision)?;
    let theirs = Workspace::at(&place.tree);
    setup::run_locked(cache, &theirs, Scope::Only(&["guests".to_owned()]), &lock)?;
    place.copy_target(cache)?;
    ui::heading("== building the micro-benchmarks of both");
    let now = build(workspace.cargo(cache))?;
    let mut other = theirs.cargo(cache);
    other.env("CARGO_TARGET_DIR", &place.target);
    // Cargo has set for this process what this tree wants to be built with; the other may want something else.
    for name in cargo_environment(workspace)? {
        other.env_remove(name);
    }
    let then = build(other).or_todo(
        format!("the benchmarks of {} were not built", asked.revision),
        "name a commit that has benches/micro.rs",
    )?;
    let mut medians = [Medians::new(), Medians::new()];
    for round in 1..=asked.rounds {
        ui::heading(&format!("== round {round} of {}", asked.rounds));
        // Nobody always comes first.
        let order = if round % 2 == 1 { [0, 1] } else { [1, 0] };
        for side in order {
            let program = [&then, &now][side];
            for (name, nanoseconds) in measured(program, cache)? {
                medians[side].entry(name).or_default().push(nanoseconds);
            }
        }
    }
    place.remove_tree(workspace)?;
    ui::heading(&format!("== {} against this working tree", asked.revision));
    ui::line(&comparison(&medians[0], &medians[1]));
    Ok(ExitCode::SUCCESS)
}

/// Nanoseconds of each benchmark, one number a round.
type Medians = BTreeMap<String, Vec<f64>>;

fn commit(workspace: &Workspace, revision: &str) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(workspace.root())
        .args(["rev-parse", "--verify", "--end-of-options"])
        .arg(format!("{revision}^{{commit}}"));
    let said = process::output(&mut git).or_todo(
        format!("there is no commit `{revision}`"),
        "git log --oneline",
    )?;
    Ok(said.trim().to_owned())
}

/// The variables that a tree's cargo sets.
fn cargo_environment(workspace: &Workspace) -> Result<Vec<String>> {
    let config = parse_toml(&workspace.root().join(".cargo/config.toml"))?;
    let set = config.get("env").and_then(toml::Value::as_table);
    Ok(set
        .into_iter()
        .flat_map(toml::Table::keys)
        .cloned()
        .collect())
}

/// Where the other commit is built.
struct Place {
    folder: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Place {
    fn in_cache(cache: &Cache) -> Self {
        let folder = cache.root().join("baseline");
        Self {
            tree: folder.join("tree"),
            target: folder.join("target"),
            folder,
        }
    }

    fn check_out(&self, workspace: &Workspace, revision: &str) -> Result<()> {
        self.remove_tree(workspace)?;
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let mut git = Command::new("git");
        git.current_dir(workspace.root())
            .args(["worktree", "add", "--detach"])
            .arg(&self.tree)
            .arg(revision);
        process::run(&mut git)
    }

    /// Removes what an interrupted comparison left, too.
    fn remove_tree(&self, workspace: &Workspace) -> Result<()> {
        if self.tree.exists() {
            fs::remove_dir_all(&self.tree)
                .with_context(|| format!("cannot remove {}", self.tree.display()))?;
        }
        let mut git = Command::new("git");
        git.current_dir(workspace.root())
            .args(["worktree", "prune"]);
        process::run(&mut git)
    }

    /// A target folder of its own, which has every dependency compiled that both have.
    fn copy_target(&self, cache: &Cache) -> Result<()> {
        if self.target.exists() {
            return Ok(());
        }
        let partial = self.folder.join("target.partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"])
            .arg(cache.target())
            .arg(&partial);
        process::run(&mut copy)?;
        fs::rename(&partial, &self.target)
            .with_context(|| format!("cannot make {}", self.target.display()))
    }
}

/// Builds the benchmarks: their program.
fn build(mut cargo: Command) -> Result<PathBuf> {
    cargo.args(["build", "--release", "--locked", "--package", PACKAGE]);
    cargo.args([
        "--bench",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ]);
    let said = process::output(&mut cargo)?;
    let program = said.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == TARGET;
        let program = message["executable"].as_str().filter(|_| ours)?;
        Some(Path::new(program).to_owned())
    });
    program.ok_or_else(|| anyhow!("cargo built no program `{TARGET}`"))
}

/// Runs the benchmarks once.
fn measured(program: &Path, cache: &Cache) -> Result<Vec<(String, f64)>> {
    let mut command = Command::new(program);
    // Without it the benchmarks are listed, and none is run.
    command.arg("--bench").env("STOCKADE_CACHE", cache.root());
    let rows = table(&process::output(&mut command)?);
    match rows.is_empty() {
        true => Err(anyhow!("{} measured nothing", program.display())),
        false => Ok(rows),
    }
}

/// The medians of a table that divan printed: `├─ name  fastest │ slowest │ median │ …`.
fn table(text: &str) -> Vec<(String, f64)> {
    let row = |line: &str| {
        let line = line.trim_start_matches(['├', '╰', '─', '│', ' ']);
        let name = line.split_whitespace().next()?;
        let median = line.split('│').nth(2)?;
        Some((name.to_owned(), nanoseconds(median.trim())?))
    };
    text.lines().filter_map(row).collect()
}

/// `65.49 µs`.
fn nanoseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit {
        "ns" => 1.0,
        "µs" | "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

/// A line a benchmark: both medians, and the median of the rounds' ratios with the least and the most.
fn comparison(then: &Medians, now: &Medians) -> String {
    let mut lines = vec![format!(
        "{:<24} {:>12} {:>12}   {}",
        "benchmark", "before", "now", "now / before (least to most of the rounds)"
    )];
    for (name, now) in now {
        let line = match then.get(name) {
            None => format!("{name:<24} {:>12} {:>12}", "-", shown(middle(now))),
            Some(then) => {
                let ratios: Vec<f64> = now.iter().zip(then).map(|(n, t)| n / t).collect();
                let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
                let most = ratios.iter().copied().fold(0.0, f64::max);
                format!(
                    "{name:<24} {:>12} {:>12}   {:.3} ({least:.3} to {most:.3})",
                    shown(middle(then)),
                    shown(middle(now)),
                    middle(&ratios)
                )
            }
        };
        lines.push(line);
    }
    lines.join("\n")
}

fn middle(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (even, half) if even % 2 == 0 => f64::midpoint(sorted[half - 1], sorted[half]),
        (_, half) => sorted[half],
    }
}

fn shown(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} us", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Timer precision: 12 ns
micro                    fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ batch_forming         65.49 µs      │ 91.4 µs       │ 66.1 µs       │ 67.02 µs      │ 100     │ 100
├─ fusion                812.5 ns      │ 1.1 µs        │ 820.1 ns      │ 830 ns        │ 100     │ 3200
╰─ transaction           1.2 ms        │ 9.8 ms        │ 1.25 ms       │ 1.4 ms        │ 100     │ 100
";

    fn parsed(line: &str) -> Result<Option<Asked>> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments)
    }

    #[test]
    fn medians_are_read_from_the_printed_table() {
        let rows = table(PRINTED);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert_eq!(rows[0], ("batch_forming".to_owned(), 66_100.0));
        assert_eq!(rows[1], ("fusion".to_owned(), 820.1));
        assert_eq!(rows[2], ("transaction".to_owned(), 1_250_000.0));
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let medians = |numbers: &[f64]| Medians::from([("scan".to_owned(), numbers.to_vec())]);
        let text = comparison(
            &medians(&[100.0, 200.0, 100.0]),
            &medians(&[110.0, 220.0, 90.0]),
        );
        assert!(text.contains("1.100 (0.900 to 1.100)"), "{text}");
        let mut now = medians(&[1.0]);
        now.insert("new".to_owned(), vec![2_500.0]);
        assert!(comparison(&medians(&[1.0]), &now).contains("2.50 us"));
    }

    #[test]
    fn other_benchmarks_are_not_meant() {
        assert_eq!(parsed("ingest --rounds 3").unwrap(), None);
        let asked = parsed("--baseline HEAD~1 --rounds 2").unwrap().unwrap();
        assert_eq!((asked.revision.as_str(), asked.rounds), ("HEAD~1", 2));
        for line in ["--baseline", "--baseline x --rounds 0", "--baseline x y"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
