//! The demo as it is seen: on a terminal a picture that is drawn over and over, elsewhere plain lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use super::handler::What;

/// Who has what, and what is worth telling.
pub(super) struct View {
    terminal: bool,
    /// How many lines of the last picture are to be drawn over.
    drawn: usize,
    groups: Vec<Column>,
    /// By key.
    chats: BTreeMap<String, Vec<Cell>>,
    /// The latest, oldest first.
    news: Vec<String>,
    /// Why the last of what was printed did not get out.
    unprinted: Option<std::io::Error>,
}

struct Column {
    group: String,
    consumers: BTreeMap<String, Consumer>,
}

#[derive(Default)]
struct Consumer {
    handled: u64,
    dead: bool,
}

/// One chat in one group.
#[derive(Clone, Default)]
struct Cell {
    owner: String,
    in_hand: Option<i64>,
}

/// How far the demo is.
pub(super) struct Standing {
    pub(super) seconds: f64,
    pub(super) of_seconds: f64,
    pub(super) sent: u64,
}

impl View {
    pub(super) fn new(groups: &[&str]) -> Self {
        let column = |group: &&str| Column { group: (*group).to_owned(), consumers: BTreeMap::new() };
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
            groups: groups.iter().map(column).collect(),
            chats: BTreeMap::new(),
            news: Vec::new(),
            unprinted: None,
        }
    }

    /// Takes in what a handler did; says so at once if it is something special.
    pub(super) fn did(&mut self, seconds: f64, group: &str, consumer: &str, what: &What) {
        let width = self.groups.len();
        let Some(index) = self.groups.iter().position(|column| column.group == group) else { return };
        let Some(column) = self.groups.get_mut(index) else { return };
        let known = column.consumers.entry(consumer.to_owned()).or_default();
        match what {
            What::Joined => {
                let again = std::mem::take(&mut known.dead);
                let text = if again { "is back in" } else { "joined" };
                self.tell(seconds, &format!("{consumer} {text} group {group}"));
            }
            What::Took { update_id, key, attempt, .. } => {
                let row = self.chats.entry(key.clone()).or_insert_with(|| vec![Cell::default(); width]);
                let Some(cell) = row.get_mut(index) else { return };
                let before = std::mem::replace(&mut cell.owner, consumer.to_owned());
                cell.in_hand = Some(*update_id);
                if *attempt > 1 {
                    let news = format!(
                        "update {update_id} of {key} came again: {before} had it, now {consumer} has"
                    );
                    self.tell(seconds, &news);
                }
            }
            What::Handled { key, .. } => {
                known.handled += 1;
                if let Some(cell) = self.chats.get_mut(key).and_then(|row| row.get_mut(index)) {
                    cell.in_hand = None;
                }
            }
        }
    }

    /// What a consumer is working on: updates by key.
    pub(super) fn in_hand(&self, consumer: &str) -> Vec<(String, i64)> {
        let cells = self.chats.iter().flat_map(|(key, row)| row.iter().map(move |cell| (key, cell)));
        cells
            .filter(|(_, cell)| cell.owner == consumer)
            .filter_map(|(key, cell)| Some((key.clone(), cell.in_hand?)))
            .collect()
    }

    pub(super) fn died(&mut self, consumer: &str) {
        for column in &mut self.groups {
            if let Some(known) = column.consumers.get_mut(consumer) {
                known.dead = true;
            }
        }
    }

    /// Something worth a line.
    pub(super) fn tell(&mut self, seconds: f64, text: &str) {
        let line = format!("{seconds:5.1} s  {text}");
        if self.terminal {
            self.news.push(line);
            if self.news.len() > NEWS_LINES {
                self.news.remove(0);
            }
        } else {
            self.print(&format!("{line}\n"));
        }
    }

    /// Draws the picture anew, or prints one line about it.
    pub(super) fn draw(&mut self, standing: &Standing) {
        if self.terminal {
            let picture = self.picture(standing, &Size::of_terminal());
            let over = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
            self.drawn = picture.lines().count();
            self.print(&format!("{over}{picture}"));
        } else {
            self.print(&self.line(standing));
        }
    }

    /// Prints as it is.
    pub(super) fn print(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.unprinted = Some(error);
        }
    }

    /// Whether everything so far was printed.
    pub(super) fn printed(&mut self) -> std::io::Result<()> {
        self.unprinted.take().map_or(Ok(()), Err)
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn line(&self, standing: &Standing) -> String {
        let mut line = format!("{:5.1} s  {} sent", standing.seconds, standing.sent);
        for (index, column) in self.groups.iter().enumerate() {
            let _ = write!(line, "; {}:", column.group);
            for (name, consumer) in &column.consumers {
                let chats = self.chats.values().filter_map(|row| row.get(index));
                let owned = chats.filter(|cell| cell.owner == *name).count();
                let state = if consumer.dead { ", dead" } else { "" };
                let _ = write!(line, " {name} {} handled ({owned} chats{state})", consumer.handled);
            }
        }
        line + "\n"
    }

    /// The picture, with no line wider than the terminal and no more lines than it has: what wraps or scrolls away
    /// cannot be drawn over.
    fn picture(&self, standing: &Standing, size: &Size) -> String {
        let mut picture = format!(
            "{:4.1} s of {:.0} s    {} updates from the simulated Telegram\n\n{:<KEY_WIDTH$}",
            standing.seconds, standing.of_seconds, standing.sent, "chat"
        );
        for column in &self.groups {
            let _ = write!(picture, "{:<CELL_WIDTH$}", format!("group {}", column.group));
        }
        picture.push('\n');
        let room = size.lines.saturating_sub(LINES_BESIDE_CHATS + self.news.len());
        let shown = if self.chats.len() > room { room.saturating_sub(1) } else { room };
        for (key, row) in self.chats.iter().take(shown) {
            let _ = write!(picture, "{key:<KEY_WIDTH$}");
            for (cell, column) in row.iter().zip(&self.groups) {
                picture.push_str(&cell.shown(column));
            }
            picture.push('\n');
        }
        if self.chats.len() > shown {
            let _ = writeln!(picture, "and {} more", self.chats.len() - shown);
        }
        let _ = write!(picture, "{:<KEY_WIDTH$}", "handled");
        for column in &self.groups {
            let counts: Vec<_> =
                column.consumers.values().map(|consumer| consumer.handled.to_string()).collect();
            let _ = write!(picture, "{:<CELL_WIDTH$}", counts.join(" + "));
        }
        picture.push_str("\n\n");
        for news in &self.news {
            let _ = writeln!(picture, "{news}");
        }
        picture.lines().map(|line| clipped(line, size.columns) + "\n").collect()
    }
}

/// How much a terminal shows.
struct Size {
    columns: usize,
    lines: usize,
}

impl Size {
    /// Asked for each time, since it can change. A terminal that does not know shows everything.
    fn of_terminal() -> Self {
        let known = |number: u16| if number == 0 { usize::MAX } else { usize::from(number) };
        match rustix::termios::tcgetwinsize(std::io::stdout()) {
            Ok(size) => Self { columns: known(size.ws_col), lines: known(size.ws_row) },
            Err(_) => Self { columns: usize::MAX, lines: usize::MAX },
        }
    }
}

/// The line's first so many characters. Escape sequences take no room, and all stay, so that colours end.
fn clipped(line: &str, columns: usize) -> String {
    let mut clipped = String::with_capacity(line.len());
    let (mut taken, mut in_escape) = (0, false);
    for character in line.chars() {
        if in_escape || character == '\x1b' {
            clipped.push(character);
            // The sequences here are ESC, `[`, digits and a letter.
            in_escape = !character.is_ascii_alphabetic();
        } else if taken < columns {
            clipped.push(character);
            taken += 1;
        }
    }
    clipped
}

impl Cell {
    fn shown(&self, column: &Column) -> String {
        let dead = column.consumers.get(&self.owner).is_some_and(|consumer| consumer.dead);
        let text = match (self.in_hand, dead) {
            (Some(update), true) => format!("{} ✗ {update}", self.owner),
            (Some(update), false) => format!("{} ▶ {update}", self.owner),
            (None, true) => format!("{} ✗", self.owner),
            (None, false) => self.owner.clone(),
        };
        let text = format!("{text:<CELL_WIDTH$}");
        match (column.consumers.keys().position(|name| *name == self.owner), dead) {
            (_, true) => format!("\x1b[31m{text}\x1b[0m"),
            // Green, yellow, blue, magenta, cyan.
            (Some(place), false) => format!("\x1b[3{}m{text}\x1b[0m", 2 + place % 5),
            (None, false) => text,
        }
    }
}

/// The title, the heads, the sums, two empty lines, and the one that the cursor is left in.
const LINES_BESIDE_CHATS: usize = 6;
const NEWS_LINES: usize = 8;
const KEY_WIDTH: usize = 24;
const CELL_WIDTH: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn took(update_id: i64, attempt: i32) -> What {
        What::Took { update_id, sequence: update_id, key: "chat:1".into(), attempt }
    }

    #[test]
    fn the_picture_shows_who_has_which_chat_and_who_died() {
        let mut view = View { terminal: true, ..View::new(&["orders", "audit"]) };
        view.did(0.0, "orders", "orders-1", &What::Joined);
        view.did(0.1, "orders", "orders-1", &took(7, 1));
        assert_eq!(view.in_hand("orders-1"), [("chat:1".to_owned(), 7)]);
        view.died("orders-1");
        let standing = Standing { seconds: 1.0, of_seconds: 20.0, sent: 3 };
        let size = Size { columns: 120, lines: 40 };
        let picture = view.picture(&standing, &size);
        assert!(picture.contains("orders-1 ✗ 7"), "{picture}");
        view.did(2.0, "orders", "orders-2", &took(7, 2));
        let picture = view.picture(&standing, &size);
        assert!(picture.contains("orders-2 ▶ 7"), "{picture}");
        assert!(picture.contains("came again: orders-1 had it, now orders-2 has"), "{picture}");
    }

    #[test]
    fn a_line_is_clipped_to_the_terminal_by_what_is_seen_and_its_colours_end() {
        assert_eq!(clipped("a\x1b[31mb▶✗\x1b[0m c", 3), "a\x1b[31mb▶\x1b[0m");
        assert_eq!(clipped("abc", 3), "abc");
        assert_eq!(clipped("", 3), "");
    }

    #[test]
    fn the_picture_fits_a_small_terminal() {
        let mut view = View { terminal: true, ..View::new(&["orders", "audit"]) };
        view.did(0.0, "orders", "orders-1", &What::Joined);
        for chat in 0..30 {
            let key = format!("chat:{chat:02}");
            let took = What::Took { update_id: chat, sequence: chat, key, attempt: 2 };
            view.did(0.1, "orders", "orders-1", &took);
        }
        let standing = Standing { seconds: 1.0, of_seconds: 20.0, sent: 30 };
        let picture = view.picture(&standing, &Size { columns: 40, lines: 24 });
        // The cursor stands in a line of its own.
        assert_eq!(picture.lines().count(), 23, "{picture}");
        assert!(picture.contains("and 21 more\n"), "{picture}");
        for line in picture.lines() {
            let plain = line.replace("\x1b[32m", "").replace("\x1b[0m", "");
            assert!(plain.chars().count() <= 40, "{line}");
        }
    }
}
