//! What is measured on, as the operating system tells it.

use crate::api::BenchMachineJson;

/// This machine. What it does not tell is left empty.
pub(super) fn this() -> BenchMachineJson {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = value(&cpus, "model name").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = value(&memory, "MemTotal");
    let kib = kib.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    BenchMachineJson {
        processor,
        vectors: vectors(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: kib.unwrap_or(0) / 1024,
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    match () {
        () if is_x86_feature_detected!("avx512f") => "AVX-512",
        () if is_x86_feature_detected!("avx2") => "AVX2",
        () => "",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    ""
}

/// In one line, as reports say it.
pub(super) fn words(machine: &BenchMachineJson) -> String {
    let BenchMachineJson {
        processor,
        vectors,
        cores,
        memory_mib,
    } = machine;
    let mut processor = match processor.as_str() {
        "" => "an unnamed processor".to_owned(),
        name => name.to_owned(),
    };
    if !vectors.is_empty() {
        processor.push_str(&format!(" with {vectors}"));
    }
    let gib = *memory_mib as f64 / 1024.0;
    format!("{processor}, {cores} cores, {gib:.0} GiB of memory")
}

fn value(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_cores_and_memory() {
        let machine = this();
        assert!(machine.cores >= 1 && machine.memory_mib > 256);
        assert!(words(&machine).contains("cores"));
    }
}
