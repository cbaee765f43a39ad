//! The keys of `[breaker]`: when a plugin that keeps being stopped is switched off, and for how long.

use super::{TRIES, flood};
use crate::attack::Guest;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::Value;
use crate::prove::attack::{Attack, Side, Sides, Target, side};
use crate::prove::ground::Ground;
use std::time::{Duration, Instant};

/// Traps on a text that begins with `x`, and otherwise makes no chunks.
const BAD_ON_X: &str = "
    (if (i32.eq (i32.load8_u (local.get 6)) (i32.const 0x78)) (then unreachable))
    (i32.const 32)";

const OPEN: &str = "breaker-open";
const EXPECTED: &str = "refused: breaker-open";

/// Whatever the ratio is.
const ANY_RATIO: (&str, Value) = ("breaker.stops_ratio_max", Value::Ratio(0.01));
const ONE_DAY: (&str, Value) = ("breaker.window_s", Value::Count(86_400));

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        flood(
            "breaker.stops_max",
            "fails on one document after another",
            EXPECTED,
            20,
            |ground, target| Box::pin(stops(ground, target)),
        ),
        flood(
            "breaker.stops_ratio_max",
            "fails on a larger part of its documents than allowed",
            EXPECTED,
            20,
            |ground, target| Box::pin(stops_ratio(ground, target)),
        ),
        flood(
            "breaker.window_s",
            "fails three times within the window",
            EXPECTED,
            1,
            |ground, target| Box::pin(window(ground, target)),
        ),
        flood(
            "breaker.cooldown_s",
            "is used again right after the breaker opened",
            EXPECTED,
            1,
            |ground, target| Box::pin(cooldown(ground, target)),
        ),
    ]
}

/// A tenant with the bad chunker, and how many documents it got so far.
struct Patient<'a> {
    ground: &'a Ground,
    tenant: TenantId,
    number: u32,
}

impl<'a> Patient<'a> {
    async fn new(
        ground: &'a Ground,
        target: &Target,
        besides: &[(&str, Value)],
    ) -> Result<Self, Failure> {
        let tenant = ground.tenant("breaker", &target.alone(besides)?)?;
        ground
            .use_chunker(&tenant, &Guest::chunker(BAD_ON_X))
            .await?;
        Ok(Self {
            ground,
            tenant,
            number: 0,
        })
    }

    /// The code of the document's failure; `None` where it got in.
    async fn document(&mut self, first: &str) -> Result<Option<String>, Failure> {
        self.number += 1;
        let name = format!("d{}", self.number);
        let texts = [format!("{first}{}", self.number)];
        match self.ground.ingest(&self.tenant, &name, &texts).await {
            Ok(report) => Ok(report
                .failures
                .first()
                .map(|failed| failed.failure.code.to_string())),
            Err(failure) if failure.code == OPEN => Ok(Some(OPEN.to_owned())),
            Err(failure) => Err(failure),
        }
    }

    async fn good(&mut self, times: u64) -> Result<(), Failure> {
        for _ in 0..times {
            self.document("a").await?;
        }
        Ok(())
    }

    async fn bad(&mut self, times: u64) -> Result<(), Failure> {
        for _ in 0..times {
            self.document("x").await?;
        }
        Ok(())
    }

    /// Whether the plugin is switched off.
    async fn refused(&mut self) -> Result<Side, Failure> {
        let code = self.document("a").await?;
        let open = code.as_deref() == Some(OPEN);
        let got = code.map_or_else(|| "it ran".to_owned(), |code| format!("refused: {code}"));
        Ok(side(open, got, None))
    }

    /// Whether it is still in use.
    async fn runs(&mut self) -> Result<Side, Failure> {
        let mut side = self.refused().await?;
        side.held = side.got == "it ran";
        Ok(side)
    }
}

async fn stops(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let besides = [ANY_RATIO, ONE_DAY];
    let mut obeys = Patient::new(ground, target, &besides).await?;
    obeys.bad(target.limit() - 1).await?;
    let under = obeys.runs().await?;
    let mut breaks = Patient::new(ground, target, &besides).await?;
    let began = Instant::now();
    breaks.bad(target.limit()).await?;
    let over = breaks.refused().await?;
    Ok(Sides {
        over,
        under,
        free: Some(began.elapsed()),
    })
}

/// After twenty good documents: of the last twenty one fewer than the ratio, and exactly as many.
async fn stops_ratio(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let besides = [("breaker.stops_max", Value::Count(1)), ONE_DAY];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio is from 0.01 to 1"
    )]
    let most = (target.ratio() * 20.0).ceil() as u64;
    let mut obeys = Patient::new(ground, target, &besides).await?;
    obeys.good(20).await?;
    obeys.bad(most - 1).await?;
    let under = obeys.runs().await?;
    let mut breaks = Patient::new(ground, target, &besides).await?;
    breaks.good(20).await?;
    let began = Instant::now();
    breaks.bad(most).await?;
    let over = breaks.refused().await?;
    let free = Some(began.elapsed());
    Ok(Sides { over, under, free })
}

async fn window(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let besides = [ANY_RATIO, ("breaker.stops_max", Value::Count(3))];
    let mut slow = Patient::new(ground, target, &besides).await?;
    slow.bad(2).await?;
    tokio::time::sleep(Duration::from_millis(target.limit() * 1_000 + 300)).await;
    slow.bad(2).await?;
    let under = slow.runs().await?;
    let (over, took) = quickly(ground, target, &besides, 3).await?;
    Ok(Sides {
        over,
        under,
        free: Some(took),
    })
}

async fn cooldown(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let besides = [ANY_RATIO, ONE_DAY, ("breaker.stops_max", Value::Count(2))];
    let (over, took) = quickly(ground, target, &besides, 2).await?;
    let mut patient = Patient::new(ground, target, &besides).await?;
    patient.bad(2).await?;
    tokio::time::sleep(Duration::from_millis(target.limit() * 1_000 + 300)).await;
    let under = patient.runs().await?;
    Ok(Sides {
        over,
        under,
        free: Some(took),
    })
}

/// So many bad documents, and then one that must be refused; how long that took. Tried again where it took longer than
/// the limit.
async fn quickly(
    ground: &Ground,
    target: &Target,
    besides: &[(&str, Value)],
    number: u64,
) -> Result<(Side, Duration), Failure> {
    let limit = Duration::from_secs(target.limit());
    let mut tries = 1;
    loop {
        let mut patient = Patient::new(ground, target, besides).await?;
        let began = Instant::now();
        patient.bad(number).await?;
        let over = patient.refused().await?;
        let took = began.elapsed();
        if over.held || took < limit || tries == TRIES {
            return Ok((over, took));
        }
        tries += 1;
    }
}
