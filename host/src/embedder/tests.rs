//! The embedder as a whole: with the real model for what it answers, with made-up models for what happens
//! when one fails.

use super::*;
use crate::corpus::DIMENSIONS;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::time::Duration;

/// Texts, their tokens and the first numbers of their vectors, by sentence-transformers in fp32.
const GOLDEN: [(&str, u32, [f32; 8]); 7] = [
    (
        "",
        2,
        [
            -0.1188384, 0.0482986, -0.0025481, -0.0110112, 0.0519507, 0.0102918, 0.1154333,
            0.0007008,
        ],
    ),
    (
        "\0",
        2,
        [
            -0.1188384, 0.0482986, -0.0025481, -0.0110112, 0.0519507, 0.0102918, 0.1154333,
            0.0007008,
        ],
    ),
    (
        "naïve café",
        4,
        [
            0.0084002, -0.0126559, -0.0249083, 0.0239164, 0.0254555, 0.0199945, 0.0748832,
            -0.0959399,
        ],
    ),
    (
        "你好，世界",
        7,
        [
            -0.0349801, 0.1387322, 0.0333733, -0.0127486, 0.0340585, 0.0105028, 0.0489358,
            -0.0088182,
        ],
    ),
    (
        "😀🚀 emoji",
        6,
        [
            -0.0376843, 0.033531, 0.0785099, -0.0031653, 0.0037341, -0.0991495, 0.117918,
            -0.0088674,
        ],
    ),
    (
        "UPPER lower MiXeD",
        5,
        [
            0.0127343, -0.0136907, 0.0744628, 0.0093166, -0.0382666, -0.0615184, -0.0099413,
            0.0971204,
        ],
    ),
    (
        "Jeffrey",
        3,
        [
            -0.0105863, -0.0183996, 0.0408207, -0.0244779, -0.0399002, -0.0219494, 0.0778296,
            0.0021694,
        ],
    ),
];

static REAL: LazyLock<Embedder> = LazyLock::new(|| {
    let config = Config::default();
    onnx::import(&config.model_dir).unwrap();
    Embedder::start(&config).unwrap()
});

fn lane(priority: Priority) -> Lane {
    let tenant = TenantId::new("acme").unwrap();
    Lane {
        tenant,
        share: 1,
        priority,
        cancel: CancellationToken::new(),
    }
}

async fn vectors(texts: &[&str]) -> Vec<Embedding> {
    let tokens = texts.iter().map(|t| REAL.tokenize(t)).collect();
    let answers = REAL.embed(&lane(Priority::Bulk), tokens).await.unwrap();
    answers.into_iter().map(Result::unwrap).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[tokio::test]
async fn vectors_are_those_of_sentence_transformers() {
    let texts = GOLDEN.map(|g| g.0);
    for ((text, tokens, expected), vector) in GOLDEN.iter().zip(vectors(&texts).await) {
        assert_eq!(REAL.tokenize(text).full(), *tokens, "{text}");
        assert!(
            difference(&vector.values()[..8], expected) <= 1e-5,
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_text_has_the_same_vector_alone_and_among_others() {
    let long = "a longer text with many words, so that the others are padded ".repeat(8);
    let texts = [
        "",
        "short",
        "two words",
        "été",
        "some more words than before",
        &long,
    ];
    let together = vectors(&texts).await;
    for (text, among_others) in texts.iter().zip(together) {
        let alone = &vectors(&[text]).await[0];
        assert!(
            difference(alone.values(), among_others.values()) <= 1e-6,
            "{text}"
        );
    }
}

#[tokio::test]
async fn only_the_first_256_tokens_count() {
    let text = "word ".repeat(254);
    let longer = format!("{text} and then something quite different");
    let both = vectors(&[&text, &longer]).await;
    assert!(difference(both[0].values(), both[1].values()) <= 1e-6);
}

#[test]
fn a_model_that_was_not_imported_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        model_dir: dir.path().to_owned(),
        ..Config::default()
    };
    let error = Embedder::start(&config).err().unwrap();
    let hint = crate::error::Explain::hint(&error).unwrap();
    assert!(hint.contains("cargo xtask setup"), "{hint}");
}

/// A model that does what a closure says with the first id of each text.
struct Fake<F>(F);

impl<F: FnMut(&[&[u32]]) -> Result<Vec<Vec<f32>>, String> + Send> Model for Fake<F> {
    fn embed(&mut self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        (self.0)(texts)
    }
}

/// A unit vector that says how long the text was.
fn vector_of(text: &[u32]) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    vector[text.len()] = 1.0;
    vector
}

fn vectors_of(texts: &[&[u32]]) -> Vec<Vec<f32>> {
    texts.iter().map(|t| vector_of(t)).collect()
}

/// An embedder with one worker that runs this model, and a queue of so many tokens.
fn with_model<F>(model: F, queue: usize) -> Embedder
where
    F: FnMut(&[&[u32]]) -> Result<Vec<Vec<f32>>, String> + Send + 'static,
{
    with_models(vec![Box::new(Fake(model))], vec![], queue)
}

fn with_models(
    models: Vec<Box<dyn Model>>,
    express: Vec<Box<dyn Model>>,
    queue: usize,
) -> Embedder {
    let config = Config::default();
    let tokenizer = Tokenizer::load(&config.model_dir.join(manifest::TOKENIZER)).unwrap();
    let (name, digest) = (String::new(), String::new());
    let info = ModelInfo {
        name,
        digest,
        dimensions: DIMENSIONS,
        max_tokens: MAX_TOKENS,
    };
    Embedder::with_models(models, express, tokenizer, info, Queue::new(256, queue)).unwrap()
}

fn texts(lengths: &[usize]) -> Vec<Tokens> {
    lengths.iter().map(|&l| Tokens::fake(l)).collect()
}

/// Fails or panics whenever a text of seven tokens is in the batch.
fn hates_seven(texts: &[&[u32]], how: impl Fn()) -> Result<Vec<Vec<f32>>, String> {
    if texts.iter().any(|t| t.len() == 7) {
        how();
        return Err("seven".to_owned());
    }
    Ok(vectors_of(texts))
}

#[tokio::test]
async fn a_text_that_the_model_fails_on_fails_alone() {
    let embedder = with_model(|texts| hates_seven(texts, || ()), 1_000_000);
    let answers = embedder
        .embed(&lane(Priority::Bulk), texts(&[6, 7, 8]))
        .await
        .unwrap();
    assert_eq!(answers[1], Err(EmbedError::Model("seven".to_owned())));
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(embedder.stats().errors, 1);
}

#[tokio::test]
async fn a_panic_fails_its_text_and_the_worker_goes_on() {
    let embedder = with_model(|texts| hates_seven(texts, || panic!("seven")), 1_000_000);
    for _ in 0..2 {
        let answers = embedder
            .embed(&lane(Priority::Bulk), texts(&[6, 7]))
            .await
            .unwrap();
        assert_eq!(answers[1], Err(EmbedError::Model("it panicked".to_owned())));
        assert!(answers[0].is_ok());
    }
}

#[tokio::test]
async fn an_unusable_vector_is_its_texts_error() {
    let numbers = |text: &[u32]| match text.len() {
        3 => vec![f32::NAN; DIMENSIONS],
        4 => vec![0.0; DIMENSIONS],
        5 => vec![1.0],
        _ => vector_of(text),
    };
    let embedder = with_model(
        move |texts| Ok(texts.iter().map(|t| numbers(t)).collect()),
        1_000_000,
    );
    let answers = embedder
        .embed(&lane(Priority::Bulk), texts(&[3, 4, 5, 6]))
        .await
        .unwrap();
    assert!(
        answers[..3]
            .iter()
            .all(|a| matches!(a, Err(EmbedError::Vector(_))))
    );
    assert!(answers[3].is_ok());
}

#[tokio::test]
async fn a_missing_vector_is_not_taken_from_a_neighbour() {
    let embedder = with_model(|texts| Ok(vectors_of(&texts[1..])), 1_000_000);
    let answers = embedder
        .embed(&lane(Priority::Bulk), texts(&[3, 4]))
        .await
        .unwrap();
    assert!(
        answers
            .iter()
            .all(|a| matches!(a, Err(EmbedError::Model(_))))
    );
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_texts() {
    let embedder = with_model(|texts| Ok(vectors_of(texts)), 10_000);
    let lengths: Vec<usize> = (0..2_000).map(|i| 2 + (i * 37) % 255).collect();
    let answers = embedder
        .embed(&lane(Priority::Bulk), texts(&lengths))
        .await
        .unwrap();
    for (length, answer) in lengths.iter().zip(answers) {
        assert_eq!(answer.unwrap().values()[*length], 1.0);
    }
}

/// An embedder whose worker waits for a word before each batch, and the way to give it.
fn held(queue: usize) -> (Embedder, mpsc::Sender<()>) {
    let (go, gate) = mpsc::channel::<()>();
    let model = move |texts: &[&[u32]]| {
        // Without a sender the gate stands open.
        gate.recv().ok();
        Ok(vectors_of(texts))
    };
    (with_model(model, queue), go)
}

/// Waits until the queue holds so many bulk tokens.
async fn until_bulk_waits(embedder: &Embedder, tokens: usize) {
    let watchdog = std::time::Instant::now() + Duration::from_secs(60);
    while embedder.stats().bulk_tokens_waiting != tokens {
        let late = std::time::Instant::now() > watchdog;
        assert!(!late, "{:?} instead of {tokens}", embedder.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once_even_inside_a_batch() {
    let (embedder, go) = held(1_000_000);
    let lane = lane(Priority::Bulk);
    let cancel = lane.cancel.clone();
    let (caller, call_lane) = (embedder.clone(), lane);
    let call = tokio::spawn(async move { caller.embed(&call_lane, texts(&[200; 10])).await });
    until_bulk_waits(&embedder, 1_800).await;
    cancel.cancel();
    assert_eq!(call.await.unwrap(), Err(EmbedError::Cancelled));
    assert_eq!(embedder.stats().bulk_tokens_waiting, 0);
    drop(go);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_queue() {
    let (embedder, go) = held(1_000_000);
    let caller = embedder.clone();
    let lane = lane(Priority::Bulk);
    let call = tokio::spawn(async move { caller.embed(&lane, texts(&[200; 10])).await });
    until_bulk_waits(&embedder, 1_800).await;
    call.abort();
    until_bulk_waits(&embedder, 0).await;
    drop(go);
}

#[tokio::test]
async fn bulk_waits_for_room_and_interactive_is_refused() {
    let (embedder, go) = held(10_000);
    let caller = embedder.clone();
    let bulk = lane(Priority::Bulk);
    let call = tokio::spawn(async move { caller.embed(&bulk, texts(&[100; 200])).await });
    // A line holds 2,000 tokens, a quarter of 8,125. One line's are in the window, without the batch that the
    // worker holds, and as many are in line again.
    until_bulk_waits(&embedder, 3_800).await;
    let urgent = lane(Priority::Interactive);
    let refused = embedder.embed(&urgent, texts(&[200; 10])).await;
    assert_eq!(refused, Err(EmbedError::Overloaded { waiting: 0 }));
    drop(go);
    assert!(embedder.embed(&urgent, texts(&[200])).await.unwrap()[0].is_ok());
    assert_eq!(call.await.unwrap().unwrap().len(), 200);
}

#[tokio::test]
async fn closing_fails_what_waits_and_every_later_call() {
    let (embedder, go) = held(10_000);
    let caller = embedder.clone();
    let bulk = lane(Priority::Bulk);
    let call = tokio::spawn(async move { caller.embed(&bulk, texts(&[100; 200])).await });
    until_bulk_waits(&embedder, 3_800).await;
    embedder.close();
    drop(go);
    assert_eq!(call.await.unwrap(), Err(EmbedError::Ended));
    let late = embedder
        .embed(&lane(Priority::Interactive), texts(&[3]))
        .await;
    assert_eq!(late, Err(EmbedError::Ended));
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_workers() {
    let embedder = with_model(|texts| Ok(vectors_of(texts)), 10_000);
    let shared = Arc::downgrade(&embedder.inner.shared);
    let clone = embedder.clone();
    drop(embedder);
    assert!(
        clone
            .embed(&lane(Priority::Bulk), texts(&[3]))
            .await
            .is_ok()
    );
    drop(clone);
    assert_eq!(shared.strong_count(), 0);
}

#[test]
fn damaged_weights_are_refused_by_file_and_hash() {
    let from = Config::default().model_dir;
    onnx::import(&from).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for name in [manifest::MANIFEST, manifest::GRAPH, manifest::TOKENIZER] {
        std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    let mut weights = std::fs::read(from.join(manifest::DATA)).unwrap();
    weights[40_000_000] ^= 1;
    std::fs::write(dir.path().join(manifest::DATA), weights).unwrap();
    let config = Config {
        model_dir: dir.path().to_owned(),
        ..Config::default()
    };
    let error = Embedder::start(&config).err().unwrap();
    let EmbedderError::Model(ModelError::Unexpected {
        path,
        expected,
        found,
        ..
    }) = error
    else {
        panic!("{error}")
    };
    assert_eq!(path, dir.path().join(manifest::DATA));
    assert_ne!(expected, found);
}

/// A model that counts how often it was prepared, and cannot be where `refuse` says why.
struct Prepared {
    times: Arc<AtomicU64>,
    refuse: Option<&'static str>,
}

impl Model for Prepared {
    fn prepare(&mut self) -> Result<(), String> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.refuse.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn embed(&mut self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        match self.refuse {
            None => Ok(vectors_of(texts)),
            Some(why) => Err(why.to_owned()),
        }
    }
}

/// A worker of every text that has to prepare, and one of short interactive texts that has, and waits for a word before
/// each batch; with the way to give it, and how often the first has prepared.
fn with_express(refuse: Option<&'static str>) -> (Embedder, mpsc::Sender<()>, Arc<AtomicU64>) {
    let times = Arc::new(AtomicU64::new(0));
    let any = Prepared {
        times: times.clone(),
        refuse,
    };
    let (go, gate) = mpsc::channel();
    let express = Fake(move |texts: &[&[u32]]| {
        gate.recv().ok();
        Ok(vectors_of(texts))
    });
    let embedder = with_models(vec![Box::new(any)], vec![Box::new(express)], 10_000);
    (embedder, go, times)
}

#[tokio::test]
async fn a_worker_prepares_when_there_is_work_for_more_than_the_one_of_questions() {
    let (embedder, go, times) = with_express(None);
    let question = lane(Priority::Interactive);
    // One after the other, without a pause, they are never two.
    let questions = 2_000;
    for _ in 0..questions {
        go.send(()).unwrap();
        assert!(embedder.embed(&question, texts(&[9])).await.unwrap()[0].is_ok());
    }
    assert_eq!(times.load(Ordering::SeqCst), 0);
    // The one of questions waits for a word: the second question is another's.
    let (caller, first) = (embedder.clone(), question.clone());
    let first = tokio::spawn(async move { caller.embed(&first, texts(&[9])).await });
    while embedder.stats().batches <= questions {
        tokio::task::yield_now().await;
    }
    assert!(embedder.embed(&question, texts(&[10])).await.unwrap()[0].is_ok());
    go.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    assert_eq!(times.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_worker_prepares_when_somebody_asks_and_once() {
    let (embedder, _go, times) = with_express(None);
    embedder.prepare().unwrap();
    embedder.prepare().unwrap();
    let bulk = lane(Priority::Bulk);
    assert!(embedder.embed(&bulk, texts(&[9])).await.unwrap()[0].is_ok());
    assert_eq!(times.load(Ordering::SeqCst), 1);
    embedder.close();
    assert_eq!(embedder.prepare(), Err(EmbedError::Ended));
}

#[tokio::test]
async fn where_no_worker_can_prepare_the_one_of_questions_reads_every_text() {
    let (embedder, go, times) = with_express(Some("no memory"));
    let why = EmbedError::Model("no memory".to_owned());
    for asked in 1..=2 {
        assert_eq!(embedder.prepare(), Err(why.clone()));
        assert_eq!(times.load(Ordering::SeqCst), asked);
    }
    // Without a sender the gate stands open.
    drop(go);
    let texts = texts(&[9, 200, 100]);
    let vectors = embedder.embed(&lane(Priority::Bulk), texts).await.unwrap();
    assert!(vectors.iter().all(Result::is_ok));
}
