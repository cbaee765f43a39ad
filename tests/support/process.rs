//! What a process holds, and tests that need a process of their own to measure it.

use std::process::Command;

const ALONE: &str = "STOCKADE_TEST_ALONE";

/// Runs `test` in a process of its own, where nothing else moves what it measures. `name` is the test's full name.
pub fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// What a process holds of what can leak.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub resident_kib: u64,
    pub peak_kib: u64,
    pub threads: u64,
    pub files: usize,
    pub mappings: usize,
}

impl Held {
    /// By this process, now.
    pub fn now() -> Self {
        Self::by("self")
    }

    /// By another process, now.
    pub fn by(process: &str) -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap();
        let status = read("status");
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            resident_kib: field("VmRSS:"),
            peak_kib: field("VmHWM:"),
            threads: field("Threads:"),
            files: std::fs::read_dir(format!("/proc/{process}/fd"))
                .unwrap()
                .count(),
            mappings: read("maps").lines().count(),
        }
    }
}
