//! One process after the other: what it is told to do, when it is killed, what it acknowledged until then.
//!
//! Every choice comes from the seed. What the clock adds to it is in the journal, beside the data.

use super::oracle::Oracle;
use super::world::{IDS, Random, SOURCE, Tenant, Version, full_id};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TENANTS: [&str; 3] = ["acme", "beta", "gamma"];

/// Documents of one command, at most.
const BATCH: u64 = 10;

/// No command takes nearly as long.
const WATCHDOG: Duration = Duration::from_secs(120);

/// What was tried and what came of it.
#[derive(Debug, Default)]
pub struct Tally {
    pub rounds: u64,
    pub while_working: u64,
    pub while_starting: u64,
    pub whole: u64,
    pub acknowledged: u64,
    pub unacknowledged: u64,
    /// Not acknowledged, and there all the same: committed right before the end.
    pub unsaid: u64,
}

impl Tally {
    pub fn kills(&self) -> u64 {
        self.while_working + self.while_starting
    }

    /// What that many trials without a failure say, and no more.
    pub fn bound(&self) -> String {
        let percent = 300.0 / self.kills().max(1) as f64;
        format!(
            "0 failures in {} kills: at most {percent:.2} % fail, at 95 % confidence",
            self.kills()
        )
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} kills ({} while working, {} while starting), {} commands that came to their end; {} changes \
             acknowledged, {} not ({} of them were there)",
            self.kills(),
            self.while_working,
            self.while_starting,
            self.whole,
            self.acknowledged,
            self.unacknowledged,
            self.unsaid
        )
    }
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// So long after so many acknowledgements.
    Acks(usize, Duration),
    Never,
}

/// A command, and what it means for the documents of one tenant.
#[derive(Debug, Clone)]
struct Order {
    tenant: usize,
    arguments: Vec<String>,
    /// `None`: to be deleted.
    meant: BTreeMap<u64, Option<Version>>,
    ingests: bool,
}

/// A run of the loop.
pub struct Kills {
    folder: tempfile::TempDir,
    journal: File,
    random: Random,
    tenants: [Tenant; 3],
    oracle: Oracle,
    /// Versions made so far.
    versions: u64,
    /// What was cut short, to be tried again.
    interrupted: Option<Order>,
    pub tally: Tally,
}

impl Kills {
    pub fn begin(seed: u64) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("stockade-crash-")
            .tempdir()
            .unwrap();
        println!("seed {seed}, in {}", folder.path().display());
        let mut run = Self {
            journal: File::create(folder.path().join("journal.jsonl")).unwrap(),
            folder,
            random: Random(seed),
            tenants: Default::default(),
            oracle: Oracle::default(),
            versions: 0,
            interrupted: None,
            tally: Tally::default(),
        };
        for name in TENANTS {
            let added = run.command(&["tenant", "add", name]).status().unwrap();
            assert!(added.success());
        }
        // The chunker is compiled from here on: what follows is about documents.
        for tenant in 0..TENANTS.len() {
            let order = run.ingest(tenant);
            run.carry_out(&order, Moment::Never);
        }
        run
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
        command
            .arg("--data")
            .arg(self.data())
            .args(arguments)
            .env("ORT_DISABLE_TELEMETRY", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.folder.path().join("errors")).unwrap());
        command
    }

    /// Fsynced before anything else happens.
    fn note(&mut self, what: &Value) {
        writeln!(self.journal, "{what}").unwrap();
        self.journal.sync_data().unwrap();
    }

    /// One command, killed; perhaps another that is killed while it starts; then all that is there is looked at.
    pub fn round(&mut self) {
        self.tally.rounds += 1;
        let order = self.next_order();
        let moment = self.moment(&order);
        self.carry_out(&order, moment);
        if self.random.below(3) == 0 {
            let after = Duration::from_micros(self.random.below(90_000));
            let order = self.next_order();
            self.carry_out(&order, Moment::After(after));
        }
        if self.tally.rounds.is_multiple_of(10) {
            self.ask_the_program();
        }
    }

    fn next_order(&mut self) -> Order {
        let again = self
            .interrupted
            .take()
            .filter(|_| self.random.below(2) == 0);
        if let Some(again) = again {
            return again;
        }
        let tenant = self.random.below(3) as usize;
        match self.random.below(4) {
            0 => self.delete(tenant),
            _ => self.ingest(tenant),
        }
    }

    fn moment(&mut self, order: &Order) -> Moment {
        let soon = Duration::from_micros(self.random.below(40_000));
        match self.random.below(8) {
            0 => Moment::Never,
            1 | 2 => Moment::After(Duration::from_micros(self.random.below(1_200_000))),
            3..=6 if order.ingests => {
                let acks = self.random.below(order.meant.len() as u64) as usize;
                Moment::Acks(acks.max(1), soon)
            }
            _ => Moment::After(Duration::from_micros(self.random.below(150_000))),
        }
    }

    /// Some documents, new or in another's place; one time in five the others of the source are to go.
    fn ingest(&mut self, tenant: usize) -> Order {
        let mut meant = BTreeMap::new();
        for _ in 0..=self.random.below(BATCH) {
            self.versions += 1;
            let id = self.random.below(IDS);
            let version = Version::new(id, self.versions, &mut self.random);
            meant.insert(id, Some(version));
        }
        let lines: Vec<String> = meant.values().flatten().map(Version::line).collect();
        let file = self
            .folder
            .path()
            .join(format!("batch-{}.jsonl", self.versions));
        std::fs::write(&file, lines.join("\n")).unwrap();
        let mut arguments = vec!["ingest".to_owned(), TENANTS[tenant].to_owned()];
        arguments.push(file.to_str().unwrap().to_owned());
        arguments.extend(["--source", SOURCE].map(str::to_owned));
        if self.random.below(5) == 0 {
            arguments.push("--sync".to_owned());
            for id in self.tenants[tenant].present() {
                meant.entry(id).or_insert(None);
            }
        }
        Order {
            tenant,
            arguments,
            meant,
            ingests: true,
        }
    }

    fn delete(&mut self, tenant: usize) -> Order {
        let mut meant = BTreeMap::new();
        for _ in 0..=self.random.below(4) {
            meant.insert(self.random.below(IDS), None);
        }
        let mut arguments = vec!["delete".to_owned(), TENANTS[tenant].to_owned()];
        arguments.extend(meant.keys().map(|id| full_id(*id)));
        Order {
            tenant,
            arguments,
            meant,
            ingests: false,
        }
    }

    fn carry_out(&mut self, order: &Order, moment: Moment) {
        let acks = self.folder.path().join("acks.jsonl");
        let _ = std::fs::remove_file(&acks);
        let meant: BTreeMap<_, _> = order
            .meant
            .iter()
            .map(|(id, version)| (full_id(*id), version.as_ref().map(|version| version.number)))
            .collect();
        self.note(
            &json!({ "command": order.arguments, "meant": meant, "kill": format!("{moment:?}") }),
        );
        for (id, version) in &order.meant {
            self.tenants[order.tenant].mean(*id, version.clone());
        }
        let mut arguments: Vec<&str> = order.arguments.iter().map(String::as_str).collect();
        if order.ingests {
            arguments.extend(["--acks", acks.to_str().unwrap()]);
        }
        let mut child = self.command(&arguments).spawn().unwrap();
        let ended = kill_at(&mut child, moment, &acks);
        let acknowledged = self.acknowledged(order, &acks, ended);
        self.note(&json!({ "acknowledged": acknowledged, "ended": format!("{ended:?}") }));
        for id in &acknowledged {
            self.tenants[order.tenant].acknowledge(*id);
        }
        self.tally.acknowledged += acknowledged.len() as u64;
        self.tally.unacknowledged += (order.meant.len() - acknowledged.len()) as u64;
        self.count(moment, ended, acknowledged.is_empty());
        if ended.is_none() {
            self.interrupted = Some(order.clone());
        }
        self.look();
    }

    fn count(&mut self, moment: Moment, ended: Option<i32>, nothing_said: bool) {
        match (ended, moment) {
            (Some(_), _) => self.tally.whole += 1,
            (None, Moment::After(after)) if nothing_said && after.as_millis() < 150 => {
                self.tally.while_starting += 1;
            }
            (None, _) => self.tally.while_working += 1,
        }
    }

    /// Which ids the process said it was done with.
    fn acknowledged(&self, order: &Order, acks: &Path, ended: Option<i32>) -> Vec<u64> {
        if !order.ingests {
            // A deletion is acknowledged when the command ends.
            let done = matches!(ended, Some(0 | 3));
            assert!(done || ended.is_none(), "{ended:?}: {}", self.errors());
            return order.meant.keys().copied().filter(|_| done).collect();
        }
        assert!(
            matches!(ended, None | Some(0)),
            "{ended:?}: {}",
            self.errors()
        );
        let said = std::fs::read_to_string(acks).unwrap_or_default();
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        let documents: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut acknowledged = vec![];
        for (id, version) in &order.meant {
            let full = full_id(*id);
            let Some(ack) = documents.iter().find(|ack| ack["document"] == full) else {
                // What was to go and was not there is not worth a word.
                let gone = version.is_none() && ended.is_some();
                assert!(gone || ended.is_none(), "{full} was never acknowledged");
                acknowledged.extend(gone.then_some(*id));
                continue;
            };
            let outcome = ack["outcome"].as_str().unwrap();
            let deleted = outcome == "deleted";
            assert_eq!(deleted, version.is_none(), "{ack}");
            assert_ne!(outcome, "failed", "{ack}");
            acknowledged.push(*id);
        }
        acknowledged
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }

    /// All tenants, on a copy: the program alone repairs what it left.
    fn look(&mut self) {
        let data = self.data();
        for (name, tenant) in TENANTS.iter().zip(&mut self.tenants) {
            let copy = tempfile::tempdir().unwrap();
            if !copied(&data.join("tenants").join(name), copy.path()) {
                assert!(tenant.present().is_empty(), "{name} has no index");
                continue;
            }
            let found = self.oracle.look(copy.path(), name, tenant);
            self.tally.unsaid += tenant.settle(&found);
        }
    }

    /// The program itself finds as many documents as there are.
    fn ask_the_program(&mut self) {
        for (name, tenant) in TENANTS.iter().zip(&self.tenants) {
            let shown = self
                .command(&["--json", "tenant", "show", name])
                .stdout(Stdio::piped())
                .output();
            let shown: Value = serde_json::from_slice(&shown.unwrap().stdout).unwrap();
            assert_eq!(shown["documents"], tenant.present().len(), "{shown}");
        }
    }
}

impl Drop for Kills {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            println!("kept: {}", self.folder.path().display());
        }
    }
}

/// Copies a tenant's files; whether there are any.
fn copied(from: &Path, to: &Path) -> bool {
    let Ok(files) = std::fs::read_dir(from) else {
        return false;
    };
    let mut any = false;
    for file in files
        .map(Result::unwrap)
        .filter(|file| file.path().is_file())
    {
        // A shared-memory index that a dead process left is built again by whoever opens the copy.
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        any = true;
    }
    any
}

/// Kills the process at that moment; its exit code where it came to its end before.
fn kill_at(child: &mut Child, moment: Moment, acks: &Path) -> Option<i32> {
    let began = Instant::now();
    let mut deadline = match moment {
        Moment::After(after) => Some(began + after),
        Moment::Acks(..) | Moment::Never => None,
    };
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or(-1));
        }
        if let (None, Moment::Acks(wanted, after)) = (deadline, moment) {
            let said = std::fs::read(acks).unwrap_or_default();
            let lines = said.iter().filter(|byte| **byte == b'\n').count();
            deadline = (lines >= wanted).then(|| Instant::now() + after);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        assert!(began.elapsed() < WATCHDOG, "a command that never ends");
        std::thread::park_timeout(Duration::from_micros(300));
    }
}
