//! The kill loop: the real program is killed at random times while it ingests, replaces, deletes, and while it
//! starts after a kill. An oracle that stands outside remembers what was meant and what was acknowledged, and
//! looks through everything that is left.
//!
//! `cargo xtask crash --kills N --seed S` runs it for longer. A run that fails keeps its folder.

mod oracle;
mod round;
mod world;

use round::Kills;

/// What CI can spare.
const KILLS: u64 = 50;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn d_01_d_15_no_kill_loses_doubles_or_tears_an_acknowledged_document() {
    let kills = number("STOCKADE_KILLS").unwrap_or(KILLS);
    let seed = number("STOCKADE_SEED").unwrap_or(1);
    let mut run = Kills::begin(seed);
    while run.tally.kills() < kills {
        run.round();
        if run.tally.rounds.is_multiple_of(50) {
            println!("{}", run.tally);
        }
    }
    println!("seed {seed}: {}", run.tally);
    println!("{}", run.tally.bound());
    assert!(run.tally.acknowledged > 0 && run.tally.unacknowledged > 0);
}
