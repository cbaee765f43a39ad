//! `stockade eval`: tables or JSON.

use super::Session;
use super::args::EvalArguments;
use super::output::{Output, plural, printable, table};
use crate::api::{EvalJson, EvalMeasuresJson, ShadowJson};
use crate::error::{Exit, Failure};
use crate::runtime::{EvalRequest, Evaluation, MEASURES, read_queries};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

pub(super) async fn run(session: &Session, arguments: EvalArguments) -> Result<Exit, Failure> {
    let queries = read_queries(&arguments.queries)?;
    let interrupt = super::documents::interrupted_by_user();
    let (runtime, listening) = session.open_listening().await?;
    let request = EvalRequest {
        agents: arguments.agents,
        shadow: arguments.shadow,
        draws: arguments.draws as usize,
        seed: arguments.seed,
    };
    let bar = bar(&session.out, queries.len());
    let step = || bar.inc(1);
    let evaluating = runtime.evaluate(&arguments.tenant, &queries, &request, &step, &interrupt);
    let evaluation = evaluating.await;
    bar.finish_and_clear();
    listening.finish().await;
    let evaluation = evaluation?;
    let said = EvalJson::new(&evaluation, &request);
    session
        .out
        .answer(&said, |out| show(out, &evaluation, &said));
    let failed = said.agents.values().any(|agent| !agent.failures.is_empty());
    Ok(match said.interrupted {
        true => Exit::Interrupted,
        false if failed => Exit::Partial,
        false => Exit::Done,
    })
}

fn bar(out: &Output, questions: usize) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:30} {pos}/{len} questions  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(questions as u64).with_style(style)
}

fn show(out: &Output, evaluation: &Evaluation, said: &EvalJson) {
    let labels = evaluation.agents.iter().map(|agent| agent.label.as_str());
    let labels: Vec<&str> = labels.collect();
    if said.interrupted {
        let all = plural(said.questions as u64, "question");
        out.line(format!("Interrupted after {} of {all}.", said.asked));
    }
    if said.asked == 0 {
        return;
    }
    show_means(out, said, &labels);
    show_intervals(out, said, &labels);
    for label in &labels {
        for failure in said.agents[*label].failures.iter().take(5) {
            let (query, message) = (printable(&failure.query), &failure.error.message);
            out.line(format!("{label} failed on '{query}': {message}"));
        }
    }
    if let Some(shadow) = &said.shadow {
        show_shadow(out, said, shadow);
    }
}

fn header<'a>(columns: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let words = columns.into_iter();
    words
        .map(|word| word.to_uppercase().replace('_', " "))
        .collect()
}

fn show_table(out: &Output, header: &[String], rows: Vec<Vec<String>>) {
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let right: Vec<usize> = (1..header.len()).collect();
    out.line(table(&header, &right, rows));
}

fn show_means(out: &Output, said: &EvalJson, labels: &[&str]) {
    let rows = labels.iter().map(|label| {
        let agent = &said.agents[*label];
        let measures = agent
            .means
            .values()
            .into_iter()
            .map(|value| format!("{value:.3}"));
        let latency = &agent.latency_ms;
        [(*label).to_owned(), agent.queries.to_string()]
            .into_iter()
            .chain(measures)
            .chain([latency.p50, latency.p99].map(|ms| format!("{ms:.1}")))
            .collect()
    });
    let columns = ["agent", "queries"].into_iter().chain(MEASURES);
    let columns = header(columns.chain(["p50 ms", "p99 ms"]));
    show_table(out, &columns, rows.collect());
}

/// Where the means lie, and where the differences from the first agent do: those clear of zero are marked.
fn show_intervals(out: &Output, said: &EvalJson, labels: &[&str]) {
    let bootstrap = &said.bootstrap;
    out.line("");
    out.line(format!(
        "{:.0} % intervals by {} draws of the questions; of differences, * where it is clear of zero:",
        bootstrap.confidence * 100.0,
        bootstrap.draws
    ));
    let row = |name: String, intervals: &EvalMeasuresJson<[f64; 2]>, signed: bool| {
        let cells = intervals.values().map(|[low, high]| match signed {
            false => format!("{low:.3} to {high:.3}"),
            true if low > 0.0 || high < 0.0 => format!("{low:+.3} to {high:+.3} *"),
            true => format!("{low:+.3} to {high:+.3}  "),
        });
        [name].into_iter().chain(cells).collect::<Vec<String>>()
    };
    let means = labels
        .iter()
        .map(|label| row((*label).to_owned(), &said.agents[*label].intervals, false));
    let others = labels.iter().filter_map(|label| {
        let differences = said.differences.get(*label)?;
        Some(row(
            format!("{label} - {}", said.baseline),
            differences,
            true,
        ))
    });
    let columns = header(["agent"].into_iter().chain(MEASURES));
    show_table(out, &columns, means.chain(others).collect());
}

fn show_shadow(out: &Output, said: &EvalJson, shadow: &ShadowJson) {
    let answers = &shadow.answers;
    let times = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
    out.line("");
    out.line(format!(
        "answers    {} of {} the same in the first ten, {} in another order, {} with other passages",
        answers.same, answers.compared, answers.reordered, answers.other
    ));
    let latency = &shadow.latency_ratio;
    out.line(format!(
        "latency    p50 {}, p99 {}",
        times(latency.p50),
        times(latency.p99)
    ));
    let usage = shadow.usage_ratio.iter();
    let usage: Vec<String> = usage
        .map(|(meter, ratio)| format!("{meter} {}", times(*ratio)))
        .collect();
    out.line(format!("usage      {}", usage.join(", ")));
    let (was, now) = (
        &said.agents[&shadow.active],
        &said.agents[&shadow.candidate],
    );
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let shares = [
        ("empty", was.empty_share, now.empty_share),
        ("degraded", was.degraded_share, now.degraded_share),
        ("denied", was.denied_share, now.denied_share),
    ];
    let shares =
        shares.map(|(name, was, now)| format!("{name} {} -> {}", percent(was), percent(now)));
    out.line(format!("shares     {}", shares.join(", ")));
    out.line(format!(
        "verdict    {}: {}",
        out.bold(shadow.verdict),
        shadow.sentence
    ));
}
