//! The tour's script: what is said, what is typed, and what must come of it. It does not know how
//! anything is run. Paths are relative to the workspace's root.

use std::path::Path;

use super::folders::DATA;
use super::shell::Typed;

/// A stretch of the tour under one heading.
pub(super) struct Chapter {
    pub(super) heading: &'static str,
    pub(super) steps: &'static [Step],
}

/// One thing that happens in a chapter.
pub(super) enum Step {
    /// A sentence or two about what follows.
    Say(&'static str),
    /// A command.
    Type(Typed),
    /// [`QUESTIONS`] are asked without a word, and their answers kept.
    Remember,
    /// [`QUESTIONS`] are asked again; the answers must be those that were kept.
    Compare,
}

/// A command for afterwards, and what it is good for.
pub(super) struct Next {
    pub(super) what: &'static str,
    pub(super) typed: Typed,
}

use Step::{Compare, Remember, Say, Type};

/// A command that succeeds.
const fn done(line: &'static str) -> Typed {
    ends(line, 0, &[])
}

const fn ends(line: &'static str, exit: i32, says: &'static [&'static str]) -> Typed {
    Typed { line, exit, says }
}

pub(super) const TITLE: &str = "A tour of Stockade";

pub(super) const WELCOME: &str = "
Many tenants share one machine and one embedding model. Each brings plugins of its own, compiled to
WebAssembly: a chunker, which cuts its documents, and an agent, which finds the passages that answer
a question. Nobody trusts them, and nobody has to.

Every command below is run as it stands. The tour ends at once where an exit code or an answer is
not what it should be.";

const PLAIN: &str = "query acme --k 2 \\
    \"My stove was made in 2024 and its lot is 24-11. Is it safe, and what do I do with it?\"";

const FILTERED: &str = "query globex --k 2 \"What burned, and was anybody hurt?\" \\
    --filter '{\"and\": [{\"kind\": \"incident\"}, {\"year\": {\"gte\": 2024}}]}'";

const MEANING: &str = "query globex --k 2 \\
    \"Somebody saw private data of another firm. How did it come out?\"";

const BY_WORDS: &str = "query globex --k 1 --agent text \\
    \"Somebody saw private data of another firm. How did it come out?\"";

const AWAKE: &str = "query mallory \"Is anybody else still awake?\"";
const AWAKE_JSON: &str = "query mallory \"Is anybody else still awake?\" --json";

/// The questions whose answers must not change.
pub(super) const QUESTIONS: &[&str] = &[PLAIN, FILTERED, MEANING];

pub(super) const CHAPTERS: &[Chapter] = &[
    Chapter {
        heading: "Two tenants",
        steps: &[
            Say("acme makes outdoor gear; globex runs a port. Each is under a policy that the operator wrote: what
its plugins may use, and how much of it. globex gets a stricter one, as it brings its own code."),
            Type(done("tenant add acme --policy demo/policies/acme.toml")),
            Type(done("tenant add globex --policy demo/policies/globex.toml")),
        ],
    },
    Chapter {
        heading: "Their plugins",
        steps: &[
            Say("acme takes what comes with Stockade. Markdown is cut along its headings, unless told otherwise; text
and HTML shall be cut into chunks of 120 of the model's tokens. The agent stays `hybrid`, which
searches by meaning and by words at once."),
            Type(done("plugin use acme recursive --for txt,html \\
    --option unit=tokens --option size=120 --option overlap=20")),
            Say("globex has a chunker of its own: 70 lines in demo/plugins/globex/paragraphs.wat. A stranger's code
is looked at, compiled in a child process, and tried under the tenant's limits before it is let in."),
            Type(done("plugin check target/demo-plugins/paragraphs.wasm \\
    --policy demo/policies/globex.toml")),
            Type(done("plugin install globex target/demo-plugins/paragraphs.wasm")),
            Type(done("plugin use globex paragraphs")),
            Type(done("plugin use globex vector")),
            Type(done("plugin list globex")),
        ],
    },
    Chapter {
        heading: "Their documents",
        steps: &[
            Say("Markdown, HTML, plain text and JSON lines with metadata; every chunk goes through the one model."),
            Type(done("ingest acme demo/acme")),
            Type(done("ingest globex demo/globex")),
            Say("The same folder again: nothing has changed, so nothing is cut and nothing is embedded."),
            Type(ends("ingest acme demo/acme", 0, &["36 unchanged"])),
            Type(done("tenant list")),
        ],
    },
    Chapter {
        heading: "Three questions",
        steps: &[
            Say("A customer of acme is worried. The first passage has the answer; the second is the stove's own page."),
            Type(done(PLAIN)),
            Say("globex looks back, but not for ever: a filter over the metadata leaves incidents since 2024. (The
fire of 2023, which hurt two, would come second without it.)"),
            Type(done(FILTERED)),
            Say("This one needs meaning. The report says neither `private` nor `data of another firm`, so that an
agent which searches by words alone, `text`, finds a place to drop anchor:"),
            Type(done(BY_WORDS)),
            Say("globex's own choice, `vector`, finds the incident:"),
            Type(done(MEANING)),
            Remember,
        ],
    },
    Chapter {
        heading: "A bad neighbour",
        steps: &[
            Say("mallory comes with three plugins and the worst intentions: less than 30 lines each, to be read in
demo/plugins/mallory. Its policy allows a call 50 million instructions and 16 MiB of memory."),
            Type(done("tenant add mallory --policy demo/policies/mallory.toml")),
            Say("The first is a chunker that loops for ever. It does not survive its trial, and is not installed:"),
            Type(ends("plugin install mallory target/demo-plugins/eager.wasm", 2, &["fuel_max"])),
            Say("So the second one behaves while it is tried, and loops for ever on a real document. A trial cannot
find that out, which is why every later call runs under the same limits:"),
            Type(done("plugin install mallory target/demo-plugins/looper.wasm")),
            Type(done("plugin use mallory looper")),
            Type(ends("ingest mallory demo/mallory", 3, &["fuel_max"])),
            Say("The third is an agent that answers a question by taking memory until there is none left:"),
            Type(done("plugin install mallory target/demo-plugins/hoarder.wasm")),
            Type(done("plugin use mallory hoarder")),
            Type(ends(AWAKE, 3, &["memory_mib_max"])),
            Say("The same for a machine. It also says whose fault it was (`blame`), so that an operator need not
guess whether the plugin, the caller or Stockade is to be mended:"),
            Type(ends(AWAKE_JSON, 3, &["\"reason\":\"memory\"", "\"blame\":\"guest\""])),
            Say("With an honest agent mallory may ask what it likes: there is no way to name another's documents."),
            Type(ends("query mallory --agent text \"Ember Valve Recall\"", 0, &["Nothing found."])),
        ],
    },
    Chapter {
        heading: "And the neighbours?",
        steps: &[
            Say("The three questions once more, compared with the answers from before mallory came:"),
            Compare,
            Say("Their documents are as they were, and nothing of mallory's half-done work was kept:"),
            Type(done("tenant list")),
        ],
    },
];

/// What is worth a try, in this order.
pub(super) const NEXT: &[Next] = &[
    Next {
        what: "another question",
        typed: done("query acme \"Can a spare headlamp battery be sent by air on its own?\""),
    },
    Next {
        what: "three agents, measured on ten questions with known answers",
        typed: done("eval acme demo/acme.queries.jsonl --agent hybrid --agent vector --agent text"),
    },
    Next {
        what: "every limit, and the line of the policy that set it",
        typed: done("policy show mallory"),
    },
    Next {
        what: "the receipt of an answer: who was asked what, and what it cost",
        typed: done("query globex \"Do the masters of the ferries need a pilot?\" --json"),
    },
    Next {
        what: "enough of mallory",
        typed: done("tenant suspend mallory"),
    },
];

/// What was seen, what to try next, and where everything lies. The commands are written for a shell in
/// the workspace's root.
pub(super) fn farewell(stockade: &Path) -> String {
    let mut text = format!(
        "
acme and globex took in 67 documents under two policies and got their questions answered. A plugin
that never ends was turned away at its trial; one that hid it was stopped at its 50 millionth
instruction, and one that took memory at 16 MiB. The neighbours' answers are still the same.

To go on from here, in this folder:

  export PATH=\"{}:$PATH\" STOCKADE_DATA={DATA}
",
        stockade.parent().unwrap_or(stockade).display()
    );
    for Next { what, typed } in NEXT {
        text.push_str(&format!("\n  # {what}\n  stockade {}\n", typed.line));
    }
    text.push_str(&format!("\nThe data stays in {DATA} until the next demo."));
    text
}

#[cfg(test)]
mod tests {
    use super::super::line::words;
    use super::*;
    use crate::workspace::Workspace;

    /// Columns of the terminal that the tour is written for.
    const COLUMNS: usize = 100;

    fn steps() -> impl Iterator<Item = &'static Step> {
        CHAPTERS.iter().flat_map(|chapter| chapter.steps)
    }

    fn commands() -> Vec<&'static str> {
        let typed = steps().filter_map(|step| match step {
            Type(typed) => Some(typed.line),
            _ => None,
        });
        typed
            .chain(NEXT.iter().map(|next| next.typed.line))
            .collect()
    }

    #[test]
    fn every_command_can_be_typed() {
        for line in commands() {
            assert!(words(line).is_some_and(|words| words.len() > 1), "{line}");
        }
    }

    #[test]
    fn every_file_that_a_command_names_is_there() {
        let root = Workspace::find().unwrap();
        for word in commands().into_iter().filter_map(words).flatten() {
            if word.starts_with("demo/") {
                assert!(root.root().join(&word).exists(), "{word}");
            }
        }
    }

    #[test]
    fn the_tour_fits_its_terminal() {
        let said = steps().filter_map(|step| match step {
            Say(text) => Some(*text),
            _ => None,
        });
        let typed = commands()
            .into_iter()
            .map(|line| format!("$ stockade {line}"));
        let farewell = farewell(Path::new(
            "/some/where/.cache/stockade/target/release/stockade",
        ));
        let asked = QUESTIONS
            .iter()
            .map(|line| format!("$ stockade {line} --json"));
        let all = said
            .map(str::to_owned)
            .chain(asked)
            .chain(typed)
            .chain([WELCOME.to_owned(), farewell]);
        for text in all {
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(COLUMNS), "{text}");
        }
    }

    #[test]
    fn answers_are_kept_before_they_are_compared() {
        let order: Vec<bool> = steps()
            .filter_map(|step| match step {
                Remember => Some(false),
                Compare => Some(true),
                _ => None,
            })
            .collect();
        assert_eq!(order, [false, true]);
    }
}
