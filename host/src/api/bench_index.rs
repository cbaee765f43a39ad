//! What `bench index` and `bench tenants` say.

use serde::Serialize;

/// What `bench index` says.
#[derive(Debug, Serialize)]
pub struct BenchIndexJson {
    /// Chunks in the index.
    pub chunks: u64,
    /// Their documents.
    pub documents: u64,
    /// Bytes on disk.
    pub index_bytes: u64,
    /// Memory that vectors may take.
    pub cache_bytes: u64,
    /// How fast it was filled; null where it was there.
    pub fill_chunks_per_s: Option<f64>,
    /// From a closed file to an index that can be asked.
    pub open_ms: f64,
    /// The first vector search, which reads the vectors.
    pub first_search_ms: f64,
    /// Vector searches.
    pub vector: BenchSearchJson,
    /// Text searches.
    pub text: BenchSearchJson,
    /// Both, fused.
    pub hybrid: BenchSearchJson,
    /// Vectors that a vector search goes through.
    pub vector_gb_per_s: f64,
    /// A simple loop of one thread over as much memory, in the same run.
    pub memory_gb_per_s: f64,
    /// The first divided by the second.
    pub vector_share: f64,
    /// The same loop by a thread for each core at once.
    pub machine_gb_per_s: f64,
    /// The first divided by that.
    pub machine_share: f64,
    /// Memory after the searches less that before the index was filled.
    pub resident_growth_bytes: u64,
    /// The largest write-ahead log while documents were written and two readers never paused.
    pub log_peak_bytes: u64,
    /// Documents that were written meanwhile.
    pub log_writes: u64,
}

/// Many searches of one kind. Milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct BenchSearchJson {
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// Nine in ten.
    pub p90_ms: f64,
}

impl BenchSearchJson {
    /// Of times in any order; 0 for none.
    pub fn of(times: &mut [f64]) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |hundredths: usize| {
            let place = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
            times.get(place).copied().unwrap_or_default()
        };
        Self {
            p50_ms: at(50),
            p90_ms: at(90),
        }
    }
}

/// What `bench tenants` says.
#[derive(Debug, Serialize)]
pub struct BenchTenantsJson {
    /// Tenants.
    pub tenants: u64,
    /// From nothing to a host that can be asked.
    pub start_ms: f64,
    /// A list of all tenants.
    pub list_ms: f64,
    /// Memory that a further tenant costs which has been asked and rests.
    pub bytes_per_tenant: u64,
    /// Memory of the process when all had been asked.
    pub resident_bytes: u64,
    /// The most files that were open.
    pub open_files_peak: u64,
    /// Indexes that are kept open.
    pub open_indexes: u64,
}
