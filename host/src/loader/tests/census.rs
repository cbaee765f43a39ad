//! The census as a property: whatever is in a folder, each thing is accounted for by its name, as often as there are
//! documents in it, and the plan knew how many items that would be.

use super::*;
use crate::statistics::SplitMix64;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

const FOLDERS: u64 = 30;
const ENTRIES: usize = 40;

const STEMS: [&[u8]; 6] = [
    b"note",
    b"sp ace",
    b"caf\xc3\xa9",
    b"caf\xe9",
    b"new\nline",
    b".hidden",
];
const ENDS: [&[u8]; 8] = [
    b".txt", b".md", b".html", b".jsonl", b".TXT", b".pdf", b"", b".htm",
];

/// What a file that is one document may hold: text, and what is none.
const CONTENTS: [&[u8]; 8] = [
    b"a text",
    b"",
    b" \n\t ",
    b"\x7fELF\0\0",
    b"caf\xe9",
    b"\xff\xfea\0b",
    b"\x01\x02\x03\x04",
    b"<p>a page</p>",
];

fn one<T: Clone>(random: &mut SplitMix64, of: &[T]) -> T {
    of[random.below(of.len())].clone()
}

/// A folder in the making, and what must become of it.
struct Hostile {
    folder: TempDir,
    outside: TempDir,
    random: SplitMix64,
    folders: Vec<PathBuf>,
    /// How many items each thing is, by its printable name.
    expected: BTreeMap<String, usize>,
    /// The file of each id that stands in a line.
    lines: HashMap<String, String>,
}

impl Hostile {
    fn new(seed: u64) -> Self {
        let mut hostile = Self {
            folder: folder(&[("target.txt", b"x")]),
            outside: folder(&[("secret.txt", b"secret")]),
            random: SplitMix64(seed),
            folders: vec![PathBuf::new()],
            expected: BTreeMap::from([("target.txt".to_owned(), 1)]),
            lines: HashMap::new(),
        };
        (0..ENTRIES).for_each(|number| hostile.add(number));
        hostile
    }

    fn add(&mut self, number: usize) {
        let mut name = one(&mut self.random, &STEMS).to_vec();
        let hidden = name.starts_with(b".");
        name.extend(number.to_string().bytes());
        name.extend(one(&mut self.random, &ENDS));
        let path = one(&mut self.random, &self.folders).join(OsStr::from_bytes(&name));
        let real = self.folder.path().join(&path);
        let shown = place::show(&path);
        let has_lines = name.ends_with(b".jsonl") && path.to_str().is_some() && !hidden;
        let items = match self.random.below(10) {
            0 | 1 => {
                fs::create_dir(&real).unwrap();
                if !hidden {
                    return self.folders.push(path);
                }
                fs::write(real.join("not-listed.txt"), "x").unwrap();
                1
            }
            2 => self.link(&real),
            3 => pipe(&real),
            _ if has_lines => self.write_lines(&real, &shown),
            _ => {
                let content = match self.random.below(9) {
                    8 => vec![b'x'; MAX as usize * 9],
                    some => CONTENTS[some].to_vec(),
                };
                fs::write(&real, content).unwrap();
                1
            }
        };
        self.expected.insert(shown, items);
    }

    fn link(&mut self, at: &Path) -> usize {
        let to = match self.random.below(6) {
            0 => self.outside.path().join("secret.txt"),
            1 => self.outside.path().to_owned(),
            2 => at.to_owned(),
            3 => PathBuf::from("nowhere"),
            4 => self.folder.path().to_owned(),
            _ => self.folder.path().join("target.txt"),
        };
        symlink(to, at).unwrap();
        1
    }

    /// Lines of every kind; how many items they are.
    fn write_lines(&mut self, at: &Path, shown: &str) -> usize {
        let (mut content, mut items) = (vec![], 0);
        for _ in 0..self.random.below(6) {
            let id = format!("line-{}", self.lines.len());
            let line = match self.random.below(8) {
                0 => b" \t".to_vec(),
                1 => vec![],
                2 => b"{".to_vec(),
                3 => b"{\"id\":\"caf\xe9\"}".to_vec(),
                4 => vec![b'{'; 4 << 20],
                5 => format!("{{\"id\":\"{id}\",\"text\":\" \"}}\r").into_bytes(),
                _ => format!("{{\"id\":\"{id}\",\"text\":\"x\"}}").into_bytes(),
            };
            items += usize::from(!line.trim_ascii().is_empty());
            self.lines.insert(id, shown.to_owned());
            content.extend(line);
            content.push(b'\n');
        }
        match self.random.below(6) {
            0 => {
                content.insert(0, 0);
                items = 1;
            }
            1 => drop(content.pop()),
            _ => {}
        }
        fs::write(at, content).unwrap();
        items
    }

    /// Whose item it is.
    fn owner(&self, loaded: &Loaded) -> String {
        let name = match loaded {
            Loaded::Document(document) => &document.id,
            Loaded::Failed { document, .. } => document,
            Loaded::Skipped { path, .. } => path,
        };
        if let Some(file) = self.lines.get(name) {
            return file.clone();
        }
        let own = format!("{}/", self.folder.path().display());
        let name = name.strip_prefix(&own).unwrap_or(name);
        let file = match name.rsplit_once(':') {
            Some((file, line)) if line.parse::<u64>().is_ok() => file,
            _ => name,
        };
        file.to_owned()
    }
}

fn pipe(at: &Path) -> usize {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at, fifo, mode, 0).unwrap();
    1
}

#[test]
fn everything_in_a_hostile_folder_is_accounted_for() {
    for seed in 0..FOLDERS {
        let hostile = Hostile::new(seed);
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for loaded in load(hostile.folder.path()) {
            *found.entry(hostile.owner(&loaded)).or_default() += 1;
        }
        let mut expected = hostile.expected.clone();
        expected.retain(|_, items| *items > 0);
        assert_eq!(found, expected, "seed {seed}");
    }
}
