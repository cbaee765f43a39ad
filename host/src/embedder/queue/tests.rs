//! The queue by itself: who goes first, how much each gets, and what leaves it.

use super::*;
use crate::embedder::tokens::Tokens;
use tokio::sync::oneshot::Receiver;
use tokio_util::sync::CancellationToken;

const BATCH: usize = 256;

struct Arena {
    queue: Queue,
    /// Kept, since a text whose answer nobody awaits is withdrawn.
    waiting: Vec<Receiver<batch::Answer>>,
    owners: HashMap<u64, String>,
}

impl Arena {
    fn new() -> Self {
        let queue = Queue::new(BATCH, 1_000_000);
        Self {
            queue,
            waiting: vec![],
            owners: HashMap::new(),
        }
    }

    /// Queues texts of these lengths as one call; how many there was no room for.
    fn put(&mut self, lane: &Lane, lengths: impl IntoIterator<Item = usize>) -> usize {
        let call = self.owners.len() as u64;
        self.owners.insert(call, lane.tenant.to_string());
        let mut items = VecDeque::new();
        for length in lengths {
            let (item, answer) = Item::new(call, Tokens::fake(length), lane.cancel.clone());
            items.push_back(item);
            self.waiting.push(answer);
        }
        self.queue.offer(lane, call, &mut items);
        items.len()
    }

    /// The next batch as (owner, length) of each text.
    fn take(&mut self) -> Vec<(String, usize)> {
        self.draw(Draw::Any)
    }

    /// The next batch for such a worker.
    fn draw(&mut self, draw: Draw) -> Vec<(String, usize)> {
        let batch = self.queue.take(draw).unwrap_or_default();
        batch
            .iter()
            .map(|i| (self.owners[&i.call()].clone(), i.cost()))
            .collect()
    }

    /// Tokens served to each owner over the next batches.
    fn serve(&mut self, batches: usize) -> HashMap<String, usize> {
        let mut served = HashMap::new();
        for (owner, length) in (0..batches).flat_map(|_| self.take()) {
            *served.entry(owner).or_default() += length;
        }
        served
    }
}

fn lane(tenant: &str, share: u32, priority: Priority) -> Lane {
    let tenant = TenantId::new(tenant).unwrap();
    Lane {
        tenant,
        share,
        priority,
        cancel: CancellationToken::new(),
    }
}

fn bulk(tenant: &str) -> Lane {
    lane(tenant, 1, Priority::Bulk)
}

fn interactive(tenant: &str) -> Lane {
    lane(tenant, 1, Priority::Interactive)
}

/// Text lengths that repeat every seventh.
fn mixed(count: usize) -> impl Iterator<Item = usize> {
    [12, 120, 250, 33, 180, 7, 90]
        .into_iter()
        .cycle()
        .take(count)
}

#[test]
fn weights_are_obeyed_within_five_percent() {
    let mut arena = Arena::new();
    for (tenant, share) in [("one", 1), ("two", 2), ("four", 4)] {
        arena.put(&lane(tenant, share, Priority::Bulk), mixed(1_500));
    }
    let served = arena.serve(500);
    let total: usize = served.values().sum();
    for (tenant, share) in [("one", 1.0), ("two", 2.0), ("four", 4.0)] {
        let got = served[tenant] as f64 / total as f64;
        let due = share / 7.0;
        assert!(
            (got / due - 1.0).abs() < 0.05,
            "{tenant}: {got} instead of {due}"
        );
    }
}

#[test]
fn a_flood_of_many_texts_gives_way_to_few() {
    let mut arena = Arena::new();
    arena.put(&bulk("flood"), mixed(2_000));
    arena.serve(50);
    arena.put(&bulk("victim"), [100, 100]);
    let served = arena.serve(14);
    assert_eq!(served["victim"], 200);
}

#[test]
fn short_texts_gain_nothing_over_long_ones() {
    let mut arena = Arena::new();
    arena.put(&bulk("short"), std::iter::repeat_n(5, 20_000));
    arena.put(&bulk("long"), std::iter::repeat_n(250, 400));
    let served = arena.serve(300);
    let ratio = served["short"] as f64 / served["long"] as f64;
    assert!((0.95..1.05).contains(&ratio), "{ratio}");
}

#[test]
fn batches_stay_within_the_budget_and_nothing_is_lost() {
    let mut arena = Arena::new();
    for tenant in ["a", "b", "c"] {
        assert_eq!(arena.put(&bulk(tenant), mixed(500)), 0);
    }
    let (mut texts, mut tokens, mut padded) = (0, 0, 0);
    loop {
        let batch = arena.take();
        let Some(longest) = batch.iter().map(|t| t.1).max() else {
            break;
        };
        assert!(batch.len() * longest <= BATCH, "{batch:?}");
        texts += batch.len();
        tokens += batch.iter().map(|t| t.1).sum::<usize>();
        padded += batch.len() * longest;
    }
    assert_eq!(texts, 1_500);
    assert!(padded - tokens < tokens / 20, "{padded} for {tokens}");
    assert_eq!(arena.queue.tokens(Priority::Bulk), 0);
}

#[test]
fn only_short_texts_are_padded() {
    let mut arena = Arena::new();
    arena.put(&bulk("a"), [100, 10, 101, 63, 100, 64, 30]);
    let lengths = |batch: Vec<(String, usize)>| batch.iter().map(|t| t.1).collect::<Vec<_>>();
    assert_eq!(lengths(arena.take()), [100, 100]);
    assert_eq!(lengths(arena.take()), [10, 63, 30]);
    assert_eq!(lengths(arena.take()), [101]);
    assert_eq!(lengths(arena.take()), [64]);
}

#[test]
fn a_text_longer_than_the_budget_goes_alone() {
    let mut arena = Arena::new();
    arena.queue = Queue::new(100, 1_000_000);
    arena.put(&bulk("a"), [250, 20]);
    assert_eq!(arena.take(), [("a".to_owned(), 250)]);
    assert_eq!(arena.take(), [("a".to_owned(), 20)]);
}

#[test]
fn interactive_goes_before_bulk_that_came_first() {
    let mut arena = Arena::new();
    arena.put(&bulk("a"), mixed(100));
    arena.take();
    arena.put(&interactive("b"), [10]);
    assert_eq!(arena.take(), [("b".to_owned(), 10)]);
}

#[test]
fn the_express_worker_reads_short_interactive_texts_alone() {
    let mut arena = Arena::new();
    arena.put(&bulk("a"), [10, 250]);
    arena.put(&interactive("b"), [EXPRESS_TOKENS + 1]);
    assert!(arena.draw(Draw::Express).is_empty());
    arena.put(&interactive("c"), [EXPRESS_TOKENS, 20]);
    assert_eq!(
        arena.draw(Draw::Express),
        [("c".to_owned(), EXPRESS_TOKENS)]
    );
    assert_eq!(arena.draw(Draw::Express), [("c".to_owned(), 20)]);
    assert!(arena.draw(Draw::Express).is_empty());
}

#[test]
fn a_short_question_waits_for_no_more_than_two_small_batches_of_a_neighbour() {
    let mut arena = Arena::new();
    arena.put(&interactive("busy"), [20; 100]);
    let first = arena.draw(Draw::Express);
    assert!(first.iter().all(|(tenant, _)| tenant == "busy"));
    arena.put(&interactive("victim"), [20]);
    let before_it = arena.draw(Draw::Express);
    let second = arena.draw(Draw::Express);
    let victim = ("victim".to_owned(), 20);
    assert!(before_it.contains(&victim) || second.contains(&victim));
}

#[test]
fn a_short_question_goes_before_long_ones_that_came_first() {
    let mut arena = Arena::new();
    arena.put(&interactive("flood"), [256; 16]);
    arena.put(&interactive("victim"), [20]);
    assert_eq!(arena.take(), [("victim".to_owned(), 20)]);
    assert_eq!(arena.take(), [("flood".to_owned(), 256)]);
}

#[test]
fn a_call_of_short_and_long_texts_is_counted_and_withdrawn_whole() {
    let mut arena = Arena::new();
    let lane = interactive("a");
    arena.put(&lane, [20, 200, 30]);
    assert_eq!(arena.queue.tokens(Priority::Interactive), 250);
    arena.queue.withdraw(&lane, 0);
    assert_eq!(arena.queue.tokens(Priority::Interactive), 0);
    assert!(arena.take().is_empty());
}

#[test]
fn bulk_keeps_a_quarter_under_endless_interactive() {
    let mut arena = Arena::new();
    arena.put(&bulk("bulk"), std::iter::repeat_n(128, 1_000));
    for tenant in ["a", "b", "c", "d"] {
        arena.put(&interactive(tenant), std::iter::repeat_n(16, 500));
    }
    let served = arena.serve(100);
    let (bulk, all) = (served["bulk"], served.values().sum::<usize>());
    assert!((4 * bulk).abs_diff(all) <= 4 * BATCH, "{bulk} of {all}");
}

#[test]
fn one_tenant_fills_a_quarter_of_the_queue_at_most() {
    let mut arena = Arena::new();
    assert_ne!(arena.put(&bulk("flood"), mixed(3_000)), 0);
    assert!(arena.queue.tokens(Priority::Bulk) <= 812_500 / 4);
    assert_eq!(arena.put(&bulk("victim"), mixed(1_000)), 0);
    assert_eq!(arena.put(&interactive("flood"), mixed(100)), 0);
}

#[test]
fn however_many_flood_the_queue_there_is_room_for_one_more() {
    let mut arena = Arena::new();
    arena.queue = Queue::new(BATCH, 100_000);
    let floods: Vec<Lane> = (0..10).map(|n| bulk(&format!("flood-{n}"))).collect();
    for _ in 0..500 {
        for flood in &floods {
            arena.put(flood, mixed(100));
        }
        arena.take();
    }
    assert_eq!(arena.put(&bulk("victim"), mixed(30)), 0);
}

#[test]
fn a_cancelled_call_leaves_and_makes_room() {
    let mut arena = Arena::new();
    let cancelled = bulk("a");
    arena.put(&cancelled, mixed(500));
    arena.take();
    arena.put(&bulk("b"), [9]);
    cancelled.cancel.cancel();
    assert_eq!(arena.take(), [("b".to_owned(), 9)]);
    assert!(arena.take().is_empty());
    assert_eq!(arena.queue.tokens(Priority::Bulk), 0);
}

#[test]
fn a_withdrawn_call_leaves_at_once_and_its_tenants_others_stay() {
    let mut arena = Arena::new();
    let lane = bulk("a");
    arena.put(&lane, mixed(500));
    arena.put(&lane, [9, 9]);
    arena.take();
    arena.queue.withdraw(&lane, 0);
    assert_eq!(arena.queue.tokens(Priority::Bulk), 18);
    assert_eq!(arena.take().len(), 2);
}

#[test]
fn texts_that_nobody_awaits_are_dropped() {
    let mut arena = Arena::new();
    arena.put(&bulk("a"), mixed(500));
    arena.waiting.clear();
    assert!(arena.take().is_empty());
    assert_eq!(arena.queue.tokens(Priority::Bulk), 0);
}
