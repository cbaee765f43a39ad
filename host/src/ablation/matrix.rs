//! The matrix guard x attack: run, judged, and compared with the one in docs/threat-model.md.

use super::child::Job;
use super::{Attack, Outcome, attacks};
use crate::guard::Guard;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Children at a time.
const CHILDREN: usize = 4;

/// No child takes nearly as long, however busy the machine is.
const WATCHDOG: Duration = Duration::from_secs(600);

type Row = HashMap<String, Outcome>;

/// Outcomes by the guards that were away.
struct Matrix {
    attacks: Vec<Attack>,
    cells: BTreeMap<Vec<&'static str>, Row>,
}

fn key(without: &[Guard]) -> Vec<&'static str> {
    without.iter().map(|guard| guard.word()).collect()
}

#[test]
fn every_attack_succeeds_without_its_guards_and_the_published_matrix_is_true() {
    let matrix = Matrix::run();
    let (table, findings) = (matrix.table(), matrix.findings());
    assert!(findings.is_empty(), "{}\n\n{table}", findings.join("\n"));
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/threat-model.md");
    let published = std::fs::read_to_string(page).unwrap();
    assert!(
        published.contains(&table),
        "the matrix in docs/threat-model.md is not what was seen; it should be:\n\n{table}"
    );
}

impl Matrix {
    fn run() -> Self {
        let attacks = attacks();
        let all: Vec<&'static str> = attacks.iter().map(|attack| attack.name).collect();
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        // The first one compiles the guests for all.
        let mut cells = BTreeMap::from([(vec![], child(folder.path(), &cache, &[], &all))]);
        let mut jobs: Vec<(Vec<Guard>, Vec<&'static str>)> = vec![];
        for guard in Guard::ALL {
            jobs.push((vec![*guard], all.clone()));
        }
        for attack in attacks.iter().filter(|attack| attack.against.len() > 1) {
            let without = attack.against.to_vec();
            match jobs.iter_mut().find(|(guards, _)| *guards == without) {
                Some((_, names)) => names.push(attack.name),
                None => jobs.push((without, vec![attack.name])),
            }
        }
        let jobs = Mutex::new(jobs);
        let done = Mutex::new(&mut cells);
        std::thread::scope(|scope| {
            for _ in 0..CHILDREN {
                scope.spawn(|| {
                    loop {
                        let Some((guards, names)) = jobs.lock().unwrap().pop() else {
                            return;
                        };
                        let row = child(folder.path(), &cache, &guards, &names);
                        done.lock().unwrap().insert(key(&guards), row);
                    }
                });
            }
        });
        Self { attacks, cells }
    }

    fn cell(&self, without: &[Guard], attack: &str) -> &Outcome {
        &self.cells[&key(without)][attack]
    }

    /// What is wrong: an attack that succeeds through every guard, or is stopped without its own; a guard
    /// that no attack needs.
    fn findings(&self) -> Vec<String> {
        let mut findings = vec![];
        for Attack { name, against, .. } in &self.attacks {
            if *self.cell(&[], name) == Outcome::Succeeds {
                findings.push(format!("{name} succeeds with every guard"));
            }
            let open = self.cell(against, name);
            if *open != Outcome::Succeeds {
                findings.push(format!("{name} without its guards: {open:?}"));
            }
        }
        let needs = |guard: &Guard| self.attacks.iter().any(|a| a.against.contains(guard));
        let idle = Guard::ALL.iter().filter(|guard| !needs(guard));
        findings.extend(idle.map(|guard| format!("no attack needs {guard:?}")));
        findings
    }

    /// As docs/threat-model.md has to show it.
    fn table(&self) -> String {
        let mut table = "| attack | what it does | all guards | guards away |\n".to_owned();
        table.push_str("|---|---|---|---|\n");
        for Attack {
            name,
            what,
            against,
            ..
        } in &self.attacks
        {
            let mut away = vec![];
            let alone = |guard: &&Guard| *self.cell(&[**guard], name) != *self.cell(&[], name);
            let mut guards: Vec<&Guard> = Guard::ALL.iter().filter(alone).collect();
            guards.extend(against.iter().filter(|guard| !alone(guard)));
            for guard in guards {
                away.push(format!(
                    "`{}`: {}",
                    guard.word(),
                    self.word(&[*guard], name)
                ));
            }
            if against.len() > 1 {
                let words = key(against).join("` and `");
                away.push(format!("`{words}`: {}", self.word(against, name)));
            }
            let (whole, away) = (self.word(&[], name), away.join("; "));
            writeln!(table, "| `{name}` | {what} | {whole} | {away} |").unwrap();
        }
        table.push_str(&self.grid());
        table
    }

    fn word(&self, without: &[Guard], attack: &str) -> String {
        match self.cell(without, attack) {
            Outcome::Succeeds => "**succeeds**".to_owned(),
            Outcome::Stopped(by) => format!("stopped: {by}"),
        }
    }

    /// One character a cell.
    fn grid(&self) -> String {
        let mut grid = "\n```text\n".to_owned();
        let width = self
            .attacks
            .iter()
            .map(|attack| attack.name.len())
            .max()
            .unwrap();
        for digit in [10, 1] {
            let digits = (1..=Guard::ALL.len()).map(|number| (number / digit % 10).to_string());
            writeln!(grid, "{:width$} {}", "", digits.collect::<String>()).unwrap();
        }
        for Attack { name, .. } in &self.attacks {
            let mark = |guard: &Guard| match self.cell(&[*guard], name) {
                Outcome::Succeeds => 'X',
                stopped if stopped == self.cell(&[], name) => '.',
                _ => 'o',
            };
            let marks: String = Guard::ALL.iter().map(mark).collect();
            writeln!(grid, "{name:width$} {marks}").unwrap();
        }
        grid.push_str("```\n\n");
        let numbered = (1..)
            .zip(Guard::ALL)
            .map(|(n, guard)| format!("{n} `{}`", guard.word()));
        writeln!(grid, "{}.", numbered.collect::<Vec<_>>().join(", ")).unwrap();
        grid
    }
}

/// Runs attacks in a child. One that ends its process has succeeded; the others go on in another child.
fn child(folder: &Path, cache: &Path, without: &[Guard], attacks: &[&'static str]) -> Row {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let mut row = Row::new();
    let mut left = attacks;
    while !left.is_empty() {
        let job = Job {
            without,
            attacks: left,
            folder: folder.path(),
            cache,
        };
        let died = watch(&job);
        let (outcomes, begun) = job.outcomes();
        row.extend(outcomes);
        if !died {
            break;
        }
        let begun = begun.expect("a child died before its first attack");
        let at = left.iter().position(|name| *name == begun).unwrap();
        row.insert(begun, Outcome::Succeeds);
        left = &left[at + 1..];
    }
    row
}

/// Waits for a child; whether a signal ended it.
fn watch(job: &Job<'_>) -> bool {
    let mut child = job.start();
    let deadline = Instant::now() + WATCHDOG;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!(
                "a child took too long without {:?}: {:?}",
                job.without,
                job.outcomes().1
            );
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a child tells of its end by no channel"
        )]
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = std::fs::read_to_string(job.errors()).unwrap();
    let (by_signal, begun) = (status.signal().is_some(), job.outcomes().1);
    assert!(
        status.success() || by_signal,
        "{begun:?} without {:?}: {said}",
        job.without
    );
    by_signal
}
