//! What can be typed.

use crate::corpus::TenantId;
use crate::plugin::PluginKind;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// One embedding model, many tenants, each tenant's plugins sandboxed in WebAssembly.
#[derive(Debug, Parser)]
#[command(
    name = "stockade",
    version,
    max_term_width = 100,
    propagate_version = false
)]
pub(super) struct Arguments {
    /// Folder for tenants, plugins and indexes
    #[arg(
        long,
        global = true,
        env = "STOCKADE_DATA",
        default_value = "stockade-data"
    )]
    pub(super) data: PathBuf,
    /// Answer in JSON, for machines
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say more: what plugins log, then what the engine does
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add, list, change and remove tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Check and show policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Check, install and choose plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Bring documents in: files and folders of .txt .md .html, .jsonl lines, or - for standard input
    Ingest(IngestArguments),
    /// Delete documents
    Delete {
        /// The tenant
        tenant: TenantId,
        /// Ids of documents
        #[arg(required = true)]
        documents: Vec<String>,
    },
    /// Ask a question
    Query(QueryArguments),
    /// Ask a receipt's question again, and say whether answer and fuel are the same, or what changed
    Replay {
        /// What `query --json` printed, or its receipt alone; - for standard input
        #[arg(value_name = "RECEIPT.json")]
        file: PathBuf,
    },
    /// Embed JSON lines {"text": …}
    Embed {
        /// A file, or - for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Measure retrieval on questions with known answers
    Eval(EvalArguments),
    /// List tasks that are queued or running
    Ps,
    /// End tasks, or all tasks of a tenant, which suspends it
    Kill(super::tasks::KillArguments),
    /// Every limit of a policy against the guest that breaks it, beside a well-behaved tenant
    Prove(super::prove::ProveArguments),
    /// Measure speed
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Write all that is a tenant's into one file, also while others work
    Backup(super::transfer::BackupArguments),
    /// Make a tenant of what `backup` wrote
    Restore(super::transfer::RestoreArguments),
    /// Look whether everything is there and whole
    Doctor {
        /// Make anew what can be made of what is whole; damaged files stay beside the new ones
        #[arg(long)]
        repair: bool,
    },
    #[command(subcommand, hide = true)]
    Model(ModelCommand),
    /// Print a shell's completions
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Add a tenant
    Add {
        /// 1 to 63 of a-z, 0-9 and '-'
        name: TenantId,
        /// A shipped policy (default, strict, trusted, python) or a file
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
    },
    /// Put another policy in force; running tasks keep theirs
    Policy {
        /// The tenant
        name: TenantId,
        /// A shipped policy or a file
        file: String,
    },
    /// List tenants
    List,
    /// Show one tenant
    Show {
        /// The tenant
        name: TenantId,
    },
    /// Remove a tenant with its documents and plugins
    Remove {
        /// The tenant
        name: TenantId,
    },
    /// End a tenant's tasks and admit no new ones
    Suspend {
        /// The tenant
        name: TenantId,
    },
    /// Admit a suspended tenant's tasks again
    Resume {
        /// The tenant
        name: TenantId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Check policy files
    Check {
        /// Files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show effective values and where each came from
    Show {
        /// A tenant, a shipped policy or a file
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Check a component: kind, imports, exports, options, compile time, a trial run under limits
    Check {
        /// The component
        file: PathBuf,
        /// Check it under this policy: a shipped one or a file
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
    },
    /// Write a plugin's project: Cargo.toml, a page of Rust, its test, and all that they need of Stockade
    New {
        /// A folder that is not there yet, or an empty one
        dir: PathBuf,
        /// What the plugin does
        #[arg(long, value_parser = kind, value_name = "chunker|agent")]
        kind: PluginKind,
        /// What to call it; default: like the folder
        #[arg(long)]
        name: Option<String>,
    },
    /// Compile a plugin's project to a component, beside its Cargo.toml
    Build {
        /// The project's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Check a component and make it a tenant's plugin
    Install {
        /// The tenant
        tenant: TenantId,
        /// The component
        file: PathBuf,
        /// What to call it; default: the file's name
        #[arg(long = "as", value_name = "LABEL")]
        label: Option<String>,
    },
    /// List what a tenant can use
    List {
        /// The tenant
        tenant: TenantId,
    },
    /// Put the version before the one in use back
    Rollback {
        /// The tenant
        tenant: TenantId,
        /// The plugin's label
        label: String,
    },
    /// Close a plugin's breaker, and use the newest version again where the breaker put an earlier one back
    Resume {
        /// The tenant
        tenant: TenantId,
        /// The plugin's label
        label: String,
    },
    /// Remove a plugin with its history
    Remove {
        /// The tenant
        tenant: TenantId,
        /// The plugin's label
        label: String,
    },
    /// Choose a chunker, for all or some media types, or the default agent
    Use {
        /// The tenant
        tenant: TenantId,
        /// The plugin's label
        label: String,
        /// Media types: txt, md, html, or in full
        #[arg(long = "for", value_delimiter = ',', value_name = "TYPES")]
        media_types: Vec<String>,
        /// An option of the plugin
        #[arg(long = "option", value_name = "K=V", value_parser = option)]
        options: Vec<(String, String)>,
    },
}

#[derive(Debug, Args)]
pub(super) struct IngestArguments {
    /// The tenant
    pub(super) tenant: TenantId,
    /// Files, folders, or - for standard input
    #[arg(required = true)]
    pub(super) paths: Vec<PathBuf>,
    /// Name of the source, put before every id
    #[arg(long)]
    pub(super) source: Option<String>,
    /// Delete the source's documents that are no longer there
    #[arg(long, requires = "source")]
    pub(super) sync: bool,
    /// Write a JSON line for every document, as soon as what became of it is on disk; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) acks: Option<PathBuf>,
    /// Embed texts again although the tenant has their vectors
    #[arg(long, hide = true)]
    pub(super) no_reuse: bool,
    /// Try documents again that were set aside since they stopped their chunker twice
    #[arg(long)]
    pub(super) retry_quarantined: bool,
    /// Read texts as this that are not UTF-8 and have no byte-order mark: windows-1252, shift_jis, utf-16le, …
    #[arg(long)]
    pub(super) encoding: Option<crate::loader::Encoding>,
}

#[derive(Debug, Args)]
pub(super) struct QueryArguments {
    /// The tenant
    pub(super) tenant: TenantId,
    /// The question
    pub(super) question: String,
    /// The agent; default: the tenant's
    #[arg(long, value_name = "LABEL")]
    pub(super) agent: Option<String>,
    /// Passages wanted
    #[arg(long, default_value_t = 5)]
    pub(super) k: usize,
    /// Only documents whose metadata match, such as '{"year": {"gte": 2020}}'
    #[arg(long, value_name = "JSON")]
    pub(super) filter: Option<String>,
    /// An option of the agent
    #[arg(long = "option", value_name = "K=V", value_parser = option)]
    pub(super) options: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(super) struct EvalArguments {
    /// The tenant
    pub(super) tenant: TenantId,
    /// JSON lines {id, query, relevant}
    pub(super) queries: PathBuf,
    /// An agent; may be given several times, the first is the one that others are compared with; default: the
    /// tenant's
    #[arg(long = "agent", value_name = "LABEL")]
    pub(super) agents: Vec<String>,
    /// Compare a candidate with the agent in use, before it is: another label, or a component's file
    #[arg(long, value_name = "LABEL|FILE.wasm")]
    pub(super) shadow: Option<String>,
    /// Draws of the bootstrap
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=100_000))]
    pub(super) draws: u32,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub(super) seed: u64,
}

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Documents a second, CPU and memory of ingest, beside what could be used instead
    Ingest(super::bench::BenchIngestArguments),
    /// What a small tenant's questions wait while a large one ingests, and whether shares hold
    Fairness(super::bench::BenchFairnessArguments),
    /// From a command's start to its answer
    Starts(super::bench::BenchStartsArguments),
    /// Time from a kill to a free place, start-up, sameness, and what many hostile tasks leave behind
    Sandbox(super::bench::SandboxArguments),
    /// What questions take on a generated index of any size
    Query(super::bench::BenchQueryArguments),
    /// What it costs that a document is on disk before it is acknowledged
    Durability(super::bench::DurabilityArguments),
    /// Many documents, and all of them again, unchanged: speed and memory
    Reingest(super::bench::ReingestArguments),
    /// What a tenant notices of its neighbours, honest and hostile
    Neighbour(super::bench::BenchNeighbourArguments),
    /// Filling, opening and searching an index of many chunks, and its write-ahead log
    Index(super::bench::BenchIndexArguments),
    /// Memory, open files and start-up with many tenants
    Tenants(super::bench::BenchTenantsArguments),
    #[command(subcommand, hide = true)]
    Part(super::bench::PartCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Write the ONNX graph of a sentence-transformers folder
    Import {
        /// The folder
        folder: PathBuf,
    },
}

fn kind(text: &str) -> Result<PluginKind, String> {
    match text {
        "chunker" => Ok(PluginKind::Chunker),
        "agent" => Ok(PluginKind::Agent),
        _ => Err("a plugin is a chunker or an agent".to_owned()),
    }
}

fn option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an option is written NAME=VALUE".to_owned()),
    }
}
