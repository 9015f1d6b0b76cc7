//! Where a command prints, asks and reads.

use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::Failure;

/// The terminal, or what stands in for it.
pub(super) struct Console {
    /// Results.
    out: Box<dyn Write + Send>,
    /// Questions and remarks: not what a script reads.
    notes: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    /// Whether somebody is there to answer a question.
    answers: bool,
    /// How wide the terminal is that results go to; none if they go elsewhere.
    columns: Option<usize>,
}

impl Console {
    /// That of the process.
    pub(super) fn of_process() -> Self {
        Self {
            columns: columns(),
            answers: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            out: Box::new(BufWriter::new(std::io::stdout())),
            notes: Box::new(std::io::stderr()),
            input: Box::new(BufReader::new(std::io::stdin())),
        }
    }

    #[cfg(test)]
    pub(super) fn new(
        out: impl Write + Send + 'static,
        notes: impl Write + Send + 'static,
        answers: Option<&'static str>,
    ) -> Self {
        Self {
            out: Box::new(out),
            notes: Box::new(notes),
            input: Box::new(answers.unwrap_or_default().as_bytes()),
            answers: answers.is_some(),
            columns: None,
        }
    }

    pub(super) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// Prints lines of the result.
    pub(super) fn print<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) -> Result<(), Failure> {
        for line in lines {
            writeln!(self.out, "{}", line.as_ref())?;
        }
        Ok(())
    }

    /// Brings what was printed to whoever reads it.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Says something beside the result.
    pub(super) fn note(&mut self, text: &str) {
        // What was printed before comes first. If nobody reads it, the next flush says so.
        let _ = self.out.flush();
        // Nobody can be told that nobody can be told.
        let _ = writeln!(self.notes, "{text}");
    }

    /// Goes on if somebody says yes, or said so beforehand.
    pub(super) fn confirm(&mut self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.answers {
            return Err(Failure::NobodyToAsk { question: question.to_owned() });
        }
        self.flush()?;
        write!(self.notes, "{question} [y/N] ")?;
        self.notes.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::NotConfirmed),
        }
    }
}

/// A bar on the terminal; nothing where there is none.
pub(super) fn progress_bar(what: &'static str) -> ProgressBar {
    // The template is a constant: it is right, or the bar looks plain.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style).with_message(what)
}

/// Says on the terminal how much was found of what may take long to find.
pub(super) fn search_spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} searching, {pos} found")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

fn columns() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    Some(size.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(DEFAULT_COLUMNS))
}

/// Of a terminal that does not know.
const DEFAULT_COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    fn asked(answers: Option<&'static str>, yes: bool) -> Result<(), Failure> {
        Console::new(std::io::sink(), std::io::sink(), answers).confirm("Delete group orders?", yes)
    }

    #[test]
    fn only_a_yes_confirms() {
        for answer in ["y\n", "Y\n", "yes\n", " Yes \n"] {
            assert!(asked(Some(answer), false).is_ok(), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "no\n", "yy\n", "ok\n"] {
            let refused = asked(Some(answer), false).unwrap_err();
            assert_eq!(refused.exit(), Exit::Precondition, "{answer:?}");
        }
    }

    #[test]
    fn where_nobody_can_answer_it_takes_the_flag() {
        let refused = asked(None, false).unwrap_err();
        assert_eq!(refused.exit(), Exit::Config);
        assert_eq!(
            refused.to_string(),
            "Delete group orders? Nobody is here to answer; give --yes to do it without asking"
        );
        assert!(asked(None, true).is_ok());
    }
}
