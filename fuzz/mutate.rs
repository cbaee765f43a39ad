//! Random bytes and mutations of bytes, the same for the same seed. It does not know what they mean.

/// A generator of random numbers: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        match end {
            0 => 0,
            _ => usize::try_from(self.next() % end as u64).unwrap_or(0),
        }
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// The longest input made.
const BYTES_MAX: usize = 64 << 10;

/// A new input: one of the pool, mutated a few times; now and then bytes from nowhere.
pub(crate) fn mutate(random: &mut Random, pool: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    if pool.is_empty() || random.below(50) == 0 {
        let length = random.below(400);
        return random.bytes(length);
    }
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(6) {
        once(random, &mut input, pool, words);
    }
    input.truncate(BYTES_MAX);
    input
}

/// Values at which arithmetic goes wrong.
const EDGES: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    u64::MAX,
];

fn once(random: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str]) {
    let at = random.below(input.len() + 1);
    let until = at + random.below((input.len() - at).min(64) + 1);
    match random.below(9) {
        0 => flip(random, input),
        1 => drop(input.drain(at..until)),
        2 => insert(
            input,
            at,
            &random.next().to_le_bytes()[..1 + random.below(7)],
        ),
        3 => {
            let piece = input[at..until].to_vec();
            let times = 1 + random.below(4);
            insert(input, at, &piece.repeat(times));
        }
        4 => {
            let value = EDGES[random.below(EDGES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            overwrite(input, at, &value[..width]);
        }
        5 => {
            let other = &pool[random.below(pool.len())];
            let from = random.below(other.len() + 1);
            let to = from + random.below((other.len() - from).min(256) + 1);
            insert(input, at, &other[from..to]);
        }
        6 => input.truncate(at),
        7 => {
            let other = random.below(input.len() + 1);
            let piece = input[at..until].to_vec();
            overwrite(input, other, &piece);
        }
        _ if words.is_empty() => flip(random, input),
        _ => insert(input, at, words[random.below(words.len())].as_bytes()),
    }
}

fn flip(random: &mut Random, input: &mut [u8]) {
    let (at, bit) = (random.below(input.len()), random.below(8));
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

fn overwrite(input: &mut [u8], at: usize, piece: &[u8]) {
    input
        .iter_mut()
        .skip(at)
        .zip(piece)
        .for_each(|(byte, &new)| *byte = new);
}
