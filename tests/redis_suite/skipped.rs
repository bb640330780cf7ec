//! The list of what is left out, and why.

use std::fmt;

/// A row of `skipped.txt`: unit, test and reason, with a tab between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Skipped {
    /// Name of the unit as the suite has it; `*` for a tag in all units.
    pub unit: String,
    pub what: What,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Every test that bears this tag of the suite.
    Tag(String),
    /// `*`: the whole unit.
    Unit,
    /// All tests of this name in the unit.
    Test(String),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.what {
            What::Tag(tag) => format!("tag:{tag}"),
            What::Unit => "*".to_owned(),
            What::Test(name) => name.clone(),
        };
        write!(f, "{} | {what} | {}", self.unit, self.reason)
    }
}

impl Skipped {
    /// Whether it passes, and only takes longer than it is worth in each run.
    pub fn is_slow(&self) -> bool {
        self.reason.starts_with("slow: ")
    }
}

/// Reads the list: empty lines and those that begin with `#` say nothing.
pub fn parse(text: &str) -> Vec<Skipped> {
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(row).collect()
}

fn row(line: &str) -> Skipped {
    let columns: Vec<&str> = line.split('\t').collect();
    let [unit, what, reason] = columns[..] else {
        panic!("skipped.txt: not unit, test and reason with tabs between them: {line}");
    };
    assert!(reason.len() > 10, "skipped.txt: a reason is missing: {line}");
    let what = match what.strip_prefix("tag:") {
        Some(tag) => What::Tag(tag.to_owned()),
        None if unit == "*" => panic!("skipped.txt: only tags are left out everywhere: {line}"),
        None if what == "*" => What::Unit,
        // The suite takes such a name for a regular expression, which might leave out others.
        None if what.starts_with('/') => panic!("skipped.txt: not a name: {line}"),
        None => What::Test(what.to_owned()),
    };
    Skipped { unit: unit.to_owned(), what, reason: reason.to_owned() }
}

#[test]
fn a_list_has_tags_units_and_tests() {
    let text = "# unit, test, reason\n\n*\ttag:slow\ttakes minutes\nunit/tls\t*\tno TLS on this \
                port\nunit/dump\tA name\tneeds another server\n";
    let rows = parse(text);
    let whats: Vec<&What> = rows.iter().map(|row| &row.what).collect();
    assert_eq!(whats, [&What::Tag("slow".into()), &What::Unit, &What::Test("A name".into())]);
    assert_eq!(rows[1].unit, "unit/tls");
    assert_eq!(rows[2].reason, "needs another server");
}

#[test]
fn a_row_needs_its_columns() {
    let cases = ["unit/dump\tA name", "unit/dump\tA name\t", "*\tA name\tfor no reason at all"];
    for case in cases {
        let parsed = std::panic::catch_unwind(|| parse(case));
        assert!(parsed.is_err(), "{case:?} was taken for {parsed:?}");
    }
}
