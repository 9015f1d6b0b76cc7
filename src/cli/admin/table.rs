//! Tables and lists of facts for a terminal.

use crate::cli::text::{clipped, printable};

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    title: String,
    right: bool,
    elastic: bool,
    width: usize,
}

impl Column {
    /// Text.
    pub(super) fn left(title: &str) -> Self {
        Self { title: title.to_owned(), right: false, elastic: false, width: title.chars().count() }
    }

    /// Numbers.
    pub(super) fn right(title: &str) -> Self {
        Self { right: true, ..Self::left(title) }
    }

    /// Text that is cut where the terminal ends.
    pub(super) fn elastic(title: &str) -> Self {
        Self { elastic: true, ..Self::left(title) }
    }
}

/// Rows under titles. More rows can follow; columns then only grow.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// How wide a line may be; without a terminal nothing is cut.
    room: Option<usize>,
    titled: bool,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>, room: Option<usize>) -> Self {
        Self { columns, room, titled: false }
    }

    /// The rows as lines, at the first time below the titles. What a cell has beyond the columns is left out.
    pub(super) fn lines(&mut self, rows: &[Vec<String>]) -> Vec<String> {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
        for row in &rows {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(cell.chars().count());
            }
        }
        let widths = self.fitting();
        let mut lines = Vec::with_capacity(rows.len() + 1);
        if !std::mem::replace(&mut self.titled, true) {
            let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
            lines.push(self.line(&titles, &widths));
        }
        lines.extend(rows.iter().map(|row| self.line(row, &widths)));
        lines
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((column, cell), &width) in self.columns.iter().zip(cells).zip(widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let cell = clipped(cell, width);
            line.push_str(&if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The widths, with the widest elastic columns cut until the line fits or they are at their least.
    fn fitting(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| column.width).collect();
        let Some(room) = self.room else { return widths };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let mut surplus = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        while surplus > 0 {
            let elastic = widths.iter_mut().zip(&self.columns).filter(|(_, column)| column.elastic);
            let Some(widest) = elastic.map(|(width, _)| width).max() else { break };
            if *widest <= LEAST_ELASTIC {
                break;
            }
            *widest -= 1;
            surplus -= 1;
        }
        widths
    }
}

/// Facts about one thing, a line each: `name    value`. A value of several lines goes on below itself.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<(String, String)>);

impl Facts {
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// The same, unless there is nothing to say.
    pub(super) fn add_some(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.add(name, value);
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for (name, value) in &self.0 {
            for (number, part) in value.split('\n').enumerate() {
                let name = if number == 0 { name.as_str() } else { "" };
                lines.push(format!("{name:<width$}{GAP}{}", printable(part)).trim_end().to_owned());
            }
        }
        lines
    }
}

/// A cell that is empty would make the row hard to read.
fn shown(cell: &str) -> String {
    if cell.is_empty() { "-".to_owned() } else { printable(cell) }
}

const GAP: &str = "  ";
/// Less would say nothing.
const LEAST_ELASTIC: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(room: Option<usize>) -> Table {
        Table::new(vec![Column::left("GROUP"), Column::right("CHAT"), Column::elastic("REASON")], room)
    }

    fn row(group: &str, chat: &str, reason: &str) -> Vec<String> {
        vec![group.into(), chat.into(), reason.into()]
    }

    #[test]
    fn columns_are_aligned_numbers_to_the_right() {
        let lines = table(None).lines(&[row("orders", "-1001234567890", "no stock"), row("a", "42", "")]);
        assert_eq!(
            lines,
            [
                "GROUP             CHAT  REASON",
                "orders  -1001234567890  no stock",
                "a                   42  -",
            ]
        );
    }

    #[test]
    fn only_elastic_columns_are_cut_and_only_on_a_terminal() {
        let long = "x".repeat(100);
        let lines = table(Some(40)).lines(&[row("orders", "-1001234567890", &long)]);
        assert_eq!(lines[1].chars().count(), 40);
        assert!(lines[1].ends_with('…'), "{lines:?}");
        assert!(table(None).lines(&[row("orders", "1", &long)])[1].ends_with(&long));
    }

    #[test]
    fn later_rows_go_on_below_the_same_titles() {
        let mut table = table(None);
        table.lines(&[row("orders", "12345", "x")]);
        assert_eq!(table.lines(&[row("a", "1", "y")]), ["a           1  y"]);
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal_nor_break_the_row() {
        let lines = table(None).lines(&[row("a\nb", "1", "\u{1b}[2J")]);
        assert_eq!(lines[1], "a b       1  \u{FFFD}[2J");
    }

    #[test]
    fn facts_are_aligned_and_go_on_below_themselves() {
        let mut facts = Facts::default();
        facts.add("lag", "3");
        facts.add_some("conflict", "");
        facts.add("consumers", "a\nb");
        assert_eq!(facts.lines(), ["lag        3", "consumers  a", "           b"]);
    }
}
