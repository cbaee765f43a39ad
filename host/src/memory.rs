//! How much memory this process has, as the kernel says it.
//!
//! It does not know what the memory is for.

/// Bytes that are resident now; 0 where the system does not tell.
pub(crate) fn resident() -> u64 {
    bytes("VmRSS:")
}

/// The most bytes that were ever resident; 0 where the system does not tell.
pub(crate) fn resident_peak() -> u64 {
    bytes("VmHWM:")
}

fn bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_resident_and_remembered() {
        // Other tests of this process free memory meanwhile: only what is held here is known.
        const HELD: u64 = 64 << 20;
        let block = std::hint::black_box(vec![1_u8; HELD as usize]);
        let with = resident();
        drop(block);
        let peak = resident_peak();
        assert!(with >= HELD && peak >= HELD, "{with} and {peak}");
    }
}
