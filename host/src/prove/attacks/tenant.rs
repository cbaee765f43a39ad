//! The keys of `[tenant]`: what a tenant may use over all its tasks, shown with floods of them.

use super::{ANY, TRIES, flood};
use crate::attack::{Guest, NO_PASSAGES, WHOLE_TEXT};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::index::IndexError;
use crate::policy::Value;
use crate::prove::attack::{Attack, Side, Sides, Target, side};
use crate::prove::ground::{Ground, WAITING, filler};
use crate::runtime::IngestReport;
use crate::task::count;
use std::time::{Duration, Instant};

const ONE_PLACE: &[(&str, Value)] = &[("tenant.tasks_running_max", Value::Count(1))];

/// Documents that are stored and not embedded: what counts here is that they are there.
const NO_CHUNKS: &str = NO_PASSAGES;

/// Questions beyond what a queue holds.
const TOO_MANY: u64 = 20;

/// How long the embedder's shares are watched at least and at most, and until how many tokens, since documents come
/// several at a time; and how far from the promised share they may be.
const WATCHED: Duration = Duration::from_secs(5);
const WATCHED_MAX: Duration = Duration::from_secs(90);
const WATCHED_TOKENS: u64 = 20_000;
const SHARE_TOLERANCE: f64 = 0.05;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        flood(
            "tenant.tasks_running_max",
            "asks two questions more than may be answered at once",
            "they wait",
            16,
            |ground, target| Box::pin(tasks_running(ground, target)),
        ),
        flood(
            "tenant.tasks_queued_max",
            "asks twenty questions more than may wait, all at once",
            "stop tasks-queued, for all twenty",
            256,
            |ground, target| Box::pin(tasks_queued(ground, target)),
        ),
        flood(
            "tenant.queue_ms_max",
            "waits for a place that never becomes free",
            "stop queue",
            1_000,
            |ground, target| Box::pin(queue(ground, target)),
        ),
        flood(
            "tenant.documents_max",
            "brings three times as many documents as allowed, at once",
            "stop documents, for the rest",
            20,
            |ground, target| Box::pin(documents(ground, target)),
        ),
        flood(
            "tenant.storage_mib_max",
            "brings more text than there is room for, at once",
            "stop storage, for the rest",
            2,
            |ground, target| Box::pin(storage(ground, target)),
        ),
        flood(
            "tenant.plugins_max",
            "installs one plugin more than allowed",
            "refused: plugins",
            32,
            |ground, target| Box::pin(plugins(ground, target)),
        ),
        flood(
            "tenant.share",
            "ingests as fast as it can, against a tenant of another share",
            "its share of the embedder",
            ANY,
            |ground, target| Box::pin(share(ground, target)),
        ),
    ]
}

async fn tasks_running(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let tenant = ground.tenant("running", &target.alone(&[])?)?;
    ground.install(&tenant, "waits", &WAITING.guest()).await?;
    let limit = target.limit();
    let asked: Vec<_> = (0..limit + 2).map(|_| ground.ask(&tenant)).collect();
    let full = ground
        .wait_for(|| ground.tasks(&tenant) == (limit, 2))
        .await;
    let mut most = 0;
    for _ in 0..20 {
        most = most.max(ground.tasks(&tenant).0);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    ground.end_one(&tenant);
    let next = ground.wait_for(|| ground.tasks(&tenant).1 < 2).await;
    let free = Some(began.elapsed());
    ground.end_all(&tenant, asked).await;
    let got = format!("{most} ran, 2 waited");
    Ok(Sides {
        over: side(full && next && most <= limit, got, Some(count(most))),
        under: side(
            full && most == limit,
            format!("{most} ran at once"),
            Some(count(most)),
        ),
        free,
    })
}

async fn tasks_queued(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let tenant = ground.tenant("queued", &target.alone(ONE_PLACE)?)?;
    ground.install(&tenant, "waits", &WAITING.guest()).await?;
    let limit = target.limit();
    let began = Instant::now();
    let asked: Vec<_> = (0..1 + limit + TOO_MANY)
        .map(|_| ground.ask(&tenant))
        .collect();
    let refused = || asked.iter().filter(|asked| asked.is_finished()).count() as u64;
    let full = ground.wait_for(|| ground.tasks(&tenant) == (1, limit) && refused() >= TOO_MANY);
    let full = full.await;
    let free = Some(began.elapsed());
    let (waiting, turned_away) = (ground.tasks(&tenant).1, refused());
    let stops = ground.end_all(&tenant, asked).await;
    let right = stops
        .iter()
        .filter(|reason| *reason == "tasks-queued")
        .count() as u64;
    let got = format!("{waiting} waited, {turned_away} were refused");
    let held = full && waiting <= limit && right == TOO_MANY;
    Ok(Sides {
        over: side(held, got, Some(count(waiting))),
        under: side(
            waiting == limit,
            format!("{waiting} waited"),
            Some(count(waiting)),
        ),
        free,
    })
}

async fn queue(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let tenant = ground.tenant("queue", &target.alone(ONE_PLACE)?)?;
    ground.install(&tenant, "waits", &WAITING.guest()).await?;
    let limit = Duration::from_millis(target.limit());
    // In vain: the place is taken for good.
    let holder = ground.ask(&tenant);
    ground.wait_for(|| ground.tasks(&tenant) == (1, 0)).await;
    let began = Instant::now();
    let in_vain = ground.ask(&tenant).await;
    let waited = began.elapsed();
    let over = match in_vain {
        Ok(Err(failure)) => by_stop(&failure, "queue"),
        _ => side(false, "it was answered".to_owned(), None),
    };
    ground.end_all(&tenant, vec![holder]).await;
    let mut under = side(false, "never ran".to_owned(), None);
    for _ in 0..TRIES {
        let (runs, in_time) = waits_half(ground, &tenant, limit).await;
        let got = format!("ran after {} ms", (limit / 2).as_millis());
        under = side(runs, got, Some(count(target.limit() / 2)));
        if runs || in_time {
            break;
        }
    }
    Ok(Sides {
        over,
        under,
        free: Some(waited.saturating_sub(limit)),
    })
}

/// With success: the place becomes free after half of the limit. Whether it ran, and whether the place was free in time.
async fn waits_half(ground: &Ground, tenant: &TenantId, limit: Duration) -> (bool, bool) {
    let holder = ground.ask(tenant);
    ground.wait_for(|| ground.tasks(tenant) == (1, 0)).await;
    let began = Instant::now();
    let patient = ground.ask(tenant);
    ground.wait_for(|| ground.tasks(tenant) == (1, 1)).await;
    tokio::time::sleep(limit / 2).await;
    ground.end_one(tenant);
    let in_time = began.elapsed() < limit;
    let decided = || ground.tasks(tenant) == (1, 0) || patient.is_finished();
    let runs = ground.wait_for(decided).await && !patient.is_finished();
    ground.end_all(tenant, vec![holder, patient]).await;
    (runs, in_time)
}

async fn documents(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let policy = target.alone(&[])?;
    let limit = target.limit();
    let texts: Vec<String> = (0..limit * 3).map(|n| filler(n, 64)).collect();
    let flood = ground.tenant("documents", &policy)?;
    ground
        .use_chunker(&flood, &Guest::chunker(NO_CHUNKS))
        .await?;
    let began = Instant::now();
    let report = ground.ingest(&flood, "flood", &texts).await?;
    let free = Some(began.elapsed());
    let stored = ground.runtime.tenant(&flood)?.documents;
    let modest = ground.tenant("modest", &policy)?;
    ground
        .use_chunker(&modest, &Guest::chunker(NO_CHUNKS))
        .await?;
    let few = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .min(texts.len());
    let obeyed = ground.ingest(&modest, "few", &texts[..few]).await?;
    let mut over = rest_stopped(&report, "documents");
    over.held &= (limit / 2..=limit).contains(&stored);
    over.got = format!("{}; {stored} stored", over.got);
    over.used = Some(count(stored));
    Ok(Sides {
        over,
        under: all_added(&obeyed),
        free,
    })
}

async fn storage(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let policy = target.alone(&[])?;
    let limit = target.limit() << 20;
    let text = |n| filler(n, 64 << 10);
    let texts: Vec<String> = (0..target.limit() * 32).map(text).collect();
    let flood = ground.tenant("storage", &policy)?;
    ground
        .use_chunker(&flood, &Guest::chunker(NO_CHUNKS))
        .await?;
    let began = Instant::now();
    let report = ground.ingest(&flood, "flood", &texts).await?;
    let free = Some(began.elapsed());
    // The write-ahead log is bounded apart: what the key bounds is the database.
    let database = ground.runtime.index(&flood)?;
    let stored = database.database().bytes().map_err(IndexError::from)?;
    let modest = ground.tenant("thrifty", &policy)?;
    ground
        .use_chunker(&modest, &Guest::chunker(NO_CHUNKS))
        .await?;
    let few = usize::try_from(target.limit() * 2)
        .unwrap_or(usize::MAX)
        .min(texts.len());
    let obeyed = ground.ingest(&modest, "few", &texts[..few]).await?;
    let mut over = rest_stopped(&report, "storage");
    over.held &= stored <= limit;
    let used = count(stored >> 10) / 1024.0;
    over.got = format!("{}; {used:.2} MiB stored", over.got);
    over.used = Some(used);
    Ok(Sides {
        over,
        under: all_added(&obeyed),
        free,
    })
}

async fn plugins(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let tenant = ground.tenant("plugins", &target.alone(&[])?)?;
    let guest = Guest::agent(NO_PASSAGES);
    for number in 0..target.limit() {
        let installed = ground
            .install(&tenant, &format!("plugin-{number}"), &guest)
            .await;
        if let Err(failure) = installed {
            let under = side(false, failure.message, Some(count(number)));
            let over = side(false, "not tried".to_owned(), None);
            return Ok(Sides {
                over,
                under,
                free: None,
            });
        }
    }
    let began = Instant::now();
    let over = match ground.install(&tenant, "one-more", &guest).await {
        Err(failure) => by_stop(&failure, "plugins"),
        Ok(()) => side(false, "it was installed".to_owned(), None),
    };
    let free = Some(began.elapsed());
    let used = count(ground.runtime.plugins_of(&tenant)?.len() as u64);
    let under = side(true, format!("{used} are installed"), Some(used));
    Ok(Sides { over, under, free })
}

/// Two tenants with more to embed than can be done. The attacker has no more than its share, and no less.
async fn share(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let own = target.limit();
    let other = if own <= 500 { own * 2 } else { own / 2 };
    let rival = Value::Count(other);
    let rival = super::super::alone::alone(&target.policy, "tenant.share", rival, &[])?;
    let greedy = ground.tenant("greedy", &target.alone(&[])?)?;
    let rival = ground.tenant("rival", &rival)?;
    let texts: Vec<String> = (0..2_000).map(|n| filler(n, 2_048)).collect();
    for tenant in [&greedy, &rival] {
        ground
            .use_chunker(tenant, &Guest::chunker(WHOLE_TEXT))
            .await?;
    }
    let (greedy, rival) = (
        ground.stream(&greedy, &texts)?,
        ground.stream(&rival, &texts)?,
    );
    let both = || greedy.tokens().min(rival.tokens()) > 2_000;
    let going = ground.wait_for(both).await;
    let before = (greedy.tokens(), rival.tokens());
    let since = || (greedy.tokens() - before.0, rival.tokens() - before.1);
    let began = Instant::now();
    tokio::time::sleep(WATCHED).await;
    while since().0 + since().1 < WATCHED_TOKENS && began.elapsed() < WATCHED_MAX {
        tokio::time::sleep(WATCHED / 10).await;
    }
    let (mine, theirs) = since();
    greedy.end().await;
    rival.end().await;
    let promised = count(own) / count(own + other);
    let given = count(mine) / count((mine + theirs).max(1));
    let got = format!("{given:.3} of the tokens, {promised:.3} promised");
    Ok(Sides {
        over: side(
            going && given <= promised + SHARE_TOLERANCE,
            got.clone(),
            Some(given),
        ),
        under: side(
            going && given >= promised - SHARE_TOLERANCE,
            got,
            Some(given),
        ),
        free: None,
    })
}

/// A failure that must be a stop for this reason.
fn by_stop(failure: &Failure, reason: &str) -> Side {
    let stop = failure.stop.as_deref();
    let used = stop.and_then(|stop| stop["used"].as_f64());
    match stop.and_then(|stop| stop["reason"].as_str()) {
        Some(found) if found == reason => {
            side(true, format!("stop {reason} ({})", failure.blame), used)
        }
        _ => side(false, failure.message.clone(), used),
    }
}

/// Whatever did not get in was stopped for this reason.
fn rest_stopped(report: &IngestReport, reason: &str) -> Side {
    let other = report
        .failures
        .iter()
        .find(|failed| !by_stop(&failed.failure, reason).held);
    if let Some(other) = other {
        return side(false, other.failure.message.clone(), None);
    }
    let (added, failed) = (report.added, report.failed);
    side(
        failed > 0,
        format!("{added} got in, {failed} stopped"),
        None,
    )
}

fn all_added(report: &IngestReport) -> Side {
    let failed = report.failures.first();
    let got = failed.map_or_else(
        || format!("{} got in", report.added),
        |failed| failed.failure.message.clone(),
    );
    side(
        report.failed == 0 && report.added > 0,
        got,
        Some(count(report.added)),
    )
}
