//! `stockade eval`: a table or JSON.

use super::Session;
use super::args::EvalArguments;
use super::output::table;
use crate::api::EvalJson;
use crate::error::{Exit, Failure};
use crate::runtime::read_queries;
use indicatif::ProgressBar;
use std::io::IsTerminal;

pub(super) async fn run(session: &Session, arguments: EvalArguments) -> Result<Exit, Failure> {
    let queries = read_queries(&arguments.queries)?;
    let interrupt = super::documents::interrupted_by_user();
    let (runtime, listening) = session.open_listening().await?;
    let bar = match !session.out.json && std::io::stderr().is_terminal() {
        true => ProgressBar::new((queries.len() * arguments.agents.len().max(1)) as u64),
        false => ProgressBar::hidden(),
    };
    let step = || bar.inc(1);
    let evaluating = runtime.evaluate(&arguments.tenant, &queries, &arguments.agents, &step);
    let evaluation = tokio::select! {
        evaluation = evaluating => Some(evaluation),
        () = interrupt.cancelled() => None,
    };
    bar.finish_and_clear();
    let Some(evaluation) = evaluation else {
        return Ok(Exit::Interrupted);
    };
    listening.finish().await;
    let evaluation = evaluation?;
    let said = EvalJson::from(&evaluation);
    let labels: Vec<&String> = evaluation.agents.iter().map(|agent| &agent.label).collect();
    session.out.answer(&said, |out| {
        let rows = labels.iter().filter_map(|label| {
            let agent = said.agents.get(*label)?;
            let measure = |value: f64| format!("{value:.3}");
            Some(vec![
                (*label).clone(),
                agent.queries.to_string(),
                measure(agent.ndcg_10),
                measure(agent.mrr_10),
                measure(agent.recall_5),
                measure(agent.recall_10),
                measure(agent.all_gold_5),
                measure(agent.all_gold_10),
                format!("{:.1}", agent.latency_ms.p50),
                format!("{:.1}", agent.latency_ms.p99),
            ])
        });
        let header = [
            "AGENT",
            "QUERIES",
            "NDCG@10",
            "MRR@10",
            "RECALL@5",
            "RECALL@10",
            "ALL GOLD@5",
            "ALL GOLD@10",
            "P50 MS",
            "P99 MS",
        ];
        out.line(table(&header, &[1, 2, 3, 4, 5, 6, 7, 8, 9], rows.collect()));
        for (label, agent) in &said.agents {
            for failure in agent.failures.iter().take(5) {
                out.line(format!(
                    "{label} failed on '{}': {}",
                    failure.query, failure.error.message
                ));
            }
        }
    });
    let failed = said.agents.values().any(|agent| !agent.failures.is_empty());
    Ok(if failed { Exit::Partial } else { Exit::Done })
}
