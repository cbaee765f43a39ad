//! `stockade plugin …`

use super::Session;
use super::args::PluginCommand;
use super::output::{Output, bytes, plural, table, thousands};
use super::projects;
use crate::api::{CheckJson, HealthJson, PluginJson};
use crate::config::Config;
use crate::corpus::TenantId;
use crate::embedder::Embedder;
use crate::error::{Exit, Failure};
use crate::plugin::OptionSpec;
use crate::runtime::{Guests, Runtime, RuntimeError, check_plugin, read_plugin};
use serde_json::json;
use std::path::Path;

pub(super) async fn run(session: &Session, command: PluginCommand) -> Result<Exit, Failure> {
    let out = &session.out;
    match command {
        PluginCommand::Check { file, policy } => check(session, &file, policy.as_deref()).await?,
        PluginCommand::New { dir, kind, name } => {
            projects::new(out, &dir, kind, name.as_deref())?;
        }
        PluginCommand::Build { dir } => projects::build(out, dir).await?,
        PluginCommand::Install {
            tenant,
            file,
            label,
        } => {
            let runtime = session.open()?;
            let (label, checked) = runtime
                .install_plugin(&tenant, &file, label.as_deref())
                .await?;
            let kind = checked.structure.kind;
            let said =
                json!({ "tenant": tenant, "label": label, "check": CheckJson::from(&checked) });
            out.answer(&said, |out| {
                let digest = checked.digest.short();
                out.line(format!(
                    "Installed {label} for {tenant} ({kind}, digest {digest})."
                ));
                out.line(format!(
                    "  Use it with `stockade plugin use {tenant} {label}`."
                ));
            });
        }
        PluginCommand::List { tenant } => {
            let plugins = session.open()?.all_plugins(&tenant).await?;
            let plugins: Vec<PluginJson> = plugins.into_iter().map(Into::into).collect();
            out.answer(&json!({ "plugins": plugins }), |out| list(out, &plugins));
        }
        PluginCommand::Rollback { tenant, label } => {
            let plugin = PluginJson::from(session.open()?.rollback_plugin(&tenant, &label)?);
            out.answer(&plugin, |out| {
                let digest = &plugin.digest[..12];
                out.line(format!(
                    "{label} is {digest} again. Documents keep the chunks they have."
                ));
            });
        }
        PluginCommand::Resume { tenant, label } => resume(session, &tenant, &label)?,
        PluginCommand::Remove { tenant, label } => {
            session.open()?.remove_plugin(&tenant, &label)?;
            out.answer(&json!({ "label": label, "removed": true }), |out| {
                out.line(format!("Removed {label} from {tenant}."));
            });
        }
        PluginCommand::Use {
            tenant,
            label,
            media_types,
            options,
        } => {
            let runtime = session.open()?;
            let roles = runtime
                .use_plugin(&tenant, &label, &media_types, &options)
                .await?;
            let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
            out.answer(&json!({ "label": label, "roles": roles }), |out| {
                out.line(format!("{tenant} uses {label} as {}.", roles.join(", ")));
            });
        }
    }
    Ok(Exit::Done)
}

fn resume(session: &Session, tenant: &TenantId, label: &str) -> Result<(), Failure> {
    let digest = session.open()?.resume_plugin(tenant, label)?;
    let said = json!({ "label": label, "digest": digest, "state": "active" });
    session.out.answer(&said, |out| {
        let digest = digest.short();
        out.line(format!(
            "{label} runs again as {digest}; its breaker is closed."
        ));
    });
    Ok(())
}

/// Without a data folder: compiled artefacts go into a temporary one.
async fn check(session: &Session, file: &Path, policy: Option<&str>) -> Result<(), Failure> {
    let policy = Runtime::find_policy(policy)?;
    let config = Config::load(&session.data)?;
    let scratch = tempfile::tempdir().map_err(|source| RuntimeError::Folder {
        path: std::env::temp_dir(),
        source,
    })?;
    let bytes = read_plugin(file, config.plugin_mib_max)?;
    let guests = Guests::start(&config, scratch.path())?;
    // What the bytes themselves show needs no model: a wrong file is refused at once.
    guests.loader.load(&bytes, policy.wasi)?;
    let embedder = Embedder::start(&config)?;
    let checked = check_plugin(&guests, &embedder, &bytes, &policy).await?;
    let said = CheckJson::from(&checked);
    session
        .out
        .answer(&said, |out| show_check(out, file, &said));
    Ok(())
}

fn show_check(out: &Output, file: &Path, check: &CheckJson) {
    out.line(out.bold(&file.display().to_string()));
    out.line(format!("  kind      {}", check.kind));
    out.line(format!("  digest    {}", &check.digest[..12]));
    out.line(format!(
        "  size      {}, {} functions, the largest {}",
        bytes(check.size_bytes),
        thousands(check.functions),
        bytes(check.largest_function_bytes)
    ));
    out.line(format!("  imports   {}", check.imports.join(", ")));
    out.line(format!("  exports   {}", check.exports.join(", ")));
    out.line(format!("  compiled  in {:.0} ms", check.compile_ms));
    let usage = &check.trial.usage;
    out.line(format!(
        "  trial     {}, {} fuel, {:.2} ms of CPU, {} of memory",
        plural(check.trial.results as u64, "result"),
        thousands(usage.fuel),
        usage.guest_cpu_ms,
        bytes(usage.memory_peak_bytes)
    ));
    show_options(out, &check.options);
    out.line("  ok");
}

fn show_options(out: &Output, options: &[OptionSpec]) {
    for option in options {
        let range = match option.range.as_str() {
            "" => String::new(),
            range => format!(" [{range}]"),
        };
        let default = match option.default.as_str() {
            "" => "empty",
            default => default,
        };
        out.line(format!(
            "  option    {} = {default}{range}: {}",
            option.name, option.help
        ));
    }
}

fn list(out: &Output, plugins: &[PluginJson]) {
    let row = |plugin: &PluginJson| {
        vec![
            plugin.label.clone(),
            plugin.kind.to_string(),
            plugin.digest[..12].to_owned(),
            if plugin.builtin {
                "built-in".to_owned()
            } else {
                plugin.versions.to_string()
            },
            plugin.used_for.join(", "),
            state(&plugin.health),
        ]
    };
    let header = ["LABEL", "KIND", "DIGEST", "VERSIONS", "USED AS", "STATE"];
    out.line(table(&header, &[], plugins.iter().map(row).collect()));
}

/// A plugin's health in a few words.
pub(super) fn state(health: &HealthJson) -> String {
    let mut words = match (&*health.state, health.retry_in_s) {
        ("open", Some(seconds)) => {
            let stops = plural(health.breaker_stops, "stop");
            format!("breaker open after {stops}, tries again in {seconds} s")
        }
        ("half-open", _) => "breaker half-open: the next task decides".to_owned(),
        ("active", _) => return "active".to_owned(),
        _ => String::new(),
    };
    if let Some(from) = &health.rolled_back_from {
        let comma = if words.is_empty() { "" } else { "; " };
        words = format!("{words}{comma}rolled back from {}", &from[..12]);
    }
    words
}
