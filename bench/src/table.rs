//! Tables for people (aligned columns) and for programs (CSV).

/// Rows of equal width under a head. The first column is text, the others are numbers.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.head.len());
        self.rows.push(row);
    }

    pub fn to_text(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width =
            |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for row in all() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => line.push_str(&format!("{cell:<width$}")),
                    _ => line.push_str(&format!("  {cell:>width$}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// What a table says of a goal.
pub fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// One line of CSV; cells with a comma or a quote are quoted (RFC 4180).
pub fn csv_line(cells: &[String]) -> String {
    let quoted: Vec<String> = cells
        .iter()
        .map(|cell| match cell.contains([',', '"', '\n']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        })
        .collect();
    quoted.join(",") + "\n"
}

/// The cells of one line of CSV.
pub fn csv_cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let cell = cells.last_mut().expect("invariant: never empty");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cell.push(c),
        }
    }
    cells
}

#[test]
fn csv_survives_a_round_trip() {
    let cells = ["plain", "a, b", "say \"no\"", ""].map(str::to_owned);
    let line = csv_line(&cells);
    assert_eq!(line, "plain,\"a, b\",\"say \"\"no\"\"\",\n");
    assert_eq!(csv_cells(line.trim_end()), cells);
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let mut table = Table::new(&["work", "µs"]);
    table.push(vec!["a".into(), "12345".into()]);
    assert_eq!(table.to_text(), "work     µs\na     12345\n");
}
