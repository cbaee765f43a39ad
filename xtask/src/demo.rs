//! `cargo xtask demo`: a tour through `stockade` as a person would take it, command by command. It
//! runs the real binary on a data folder of its own and knows nothing that a user could not type.

mod answers;
mod folders;
mod line;
mod plugins;
mod shell;
mod tour;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::cache::Cache;
use crate::setup::{self, Scope};
use crate::ui;
use crate::workspace::Workspace;
use answers::Answer;
use folders::Folders;
use shell::Shell;
use tour::{CHAPTERS, QUESTIONS, Step};

/// Sets up and takes the tour; fails at the first command that ends otherwise than the tour says.
pub(crate) fn run(cache: &Cache, workspace: &Workspace) -> Result<ExitCode> {
    let folders = Folders::claim(workspace.root())?;
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, Scope::Only(&[]), &lock)?;
    let stockade = folders.hold(&cache.stockade())?;
    // From here on another clone may set up, and take its own tour.
    drop(lock);
    folders.renew()?;
    plugins::build(workspace, &folders.plugins())?;
    take(&Shell::new(
        &stockade.path,
        cache,
        workspace,
        &folders.data(),
    ))?;
    ui::line(&tour::farewell(&cache.stockade()));
    Ok(ExitCode::SUCCESS)
}

/// The tour itself.
fn take(shell: &Shell) -> Result<()> {
    let began = Instant::now();
    ui::heading(tour::TITLE);
    ui::line(tour::WELCOME);
    let mut guide = Guide {
        shell,
        earlier: Vec::new(),
    };
    for (number, chapter) in CHAPTERS.iter().enumerate() {
        ui::heading(&format!("── {}. {}", number + 1, chapter.heading));
        chapter.steps.iter().try_for_each(|step| guide.step(step))?;
    }
    ui::heading(&format!(
        "── The tour took {}",
        ui::seconds(began.elapsed())
    ));
    Ok(())
}

/// Takes the steps, and remembers what the later ones compare with.
struct Guide<'a> {
    shell: &'a Shell,
    /// The answers to [`QUESTIONS`] before the bad neighbour came.
    earlier: Vec<Answer>,
}

impl Guide<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Say(text) => ui::line(&format!("\n{text}")),
            Step::Type(typed) => self.shell.type_in(typed)?,
            Step::Remember => self.remember()?,
            Step::Compare => self.compare()?,
        }
        Ok(())
    }

    fn remember(&mut self) -> Result<()> {
        let answers = QUESTIONS.iter().map(|line| self.shell.answer(line));
        self.earlier = answers.collect::<Result<_>>()?;
        ui::line("\nThe three answers are kept, to be compared with later ones.");
        Ok(())
    }

    fn compare(&self) -> Result<()> {
        for (line, earlier) in QUESTIONS.iter().zip(&self.earlier) {
            shell::prompt(&format!("{line} --json"));
            let same = self.shell.answer(line)?.same_as(earlier);
            same.map_err(|what| self.shell.surprise(changed(line, &what), line))?;
            ui::line(&format!(
                "=> unchanged: the same {} passages in the same order, every score within 0.000001",
                earlier.len()
            ));
        }
        Ok(())
    }
}

fn changed(line: &str, what: &str) -> String {
    format!("the answer to `stockade {line}` has changed: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs what `cargo xtask setup` brings: the tour without the set-up, then what is to try next"]
    fn the_whole_tour() {
        let (cache, workspace) = (Cache::from_env().unwrap(), Workspace::find().unwrap());
        let folders = Folders::claim(workspace.root()).unwrap();
        let stockade = folders.hold(&cache.stockade()).unwrap();
        folders.renew().unwrap();
        plugins::build(&workspace, &folders.plugins()).unwrap();
        let shell = Shell::new(&stockade.path, &cache, &workspace, &folders.data());
        take(&shell).unwrap();
        ui::line(&tour::farewell(&cache.stockade()));
        for next in tour::NEXT {
            shell.type_in(&next.typed).unwrap();
        }
    }

    #[test]
    fn an_answer_that_changed_ends_the_tour() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let shell = Shell::new(
            "/bin/false".as_ref(),
            &cache,
            &Workspace::at(root.path()),
            root.path(),
        );
        let earlier = Answer::parse(r#"{"passages": []}"#).unwrap();
        let mut guide = Guide {
            shell: &shell,
            earlier: vec![earlier],
        };
        assert!(guide.step(&Step::Compare).is_err());
        assert!(changed("query", "it is shorter").contains("has changed: it is shorter"));
    }
}
