//! Makes a sequence that shows a difference short: by replaying parts of it on empty servers.

use std::time::{Duration, Instant};

use super::generate::{Step, is_resp3};
use super::pair::{Difference, line};

/// After this a sequence is short enough, or will not become so.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The shortest part found that still shows the same kind of difference by `fails`.
pub fn shrink(
    mut steps: Vec<Step>,
    mut found: Difference,
    mut fails: impl FnMut(&[Step]) -> Option<Difference>,
) -> (Vec<Step>, Difference) {
    let deadline = Instant::now() + TIME_MAX;
    let kind = found.kind();
    steps.truncate(found.step);
    let mut chunk = steps.len().div_ceil(2).max(1);
    loop {
        let before = steps.len();
        let mut start = 0;
        while start < steps.len() {
            if Instant::now() > deadline {
                return (steps, found);
            }
            let end = (start + chunk).min(steps.len());
            let rest = [&steps[..start], &steps[end..]].concat();
            match fails(&rest).filter(|difference| difference.kind() == kind) {
                Some(difference) => {
                    steps = rest;
                    steps.truncate(difference.step);
                    found = difference;
                }
                None => start = end,
            }
        }
        if chunk == 1 && steps.len() == before {
            return (steps, found);
        }
        chunk = chunk.div_ceil(2);
    }
}

/// A sequence as it is typed into redis-cli, a connection after the other where there are several.
pub fn script(steps: &[Step]) -> String {
    let mut text = String::new();
    let mut current = None;
    for step in steps {
        if current != Some(step.connection) {
            let protocol = if is_resp3(step.connection) { "-3" } else { "-2" };
            text += &format!("  # connection {} (redis-cli {protocol})\n", step.connection);
            current = Some(step.connection);
        }
        let rest = match (step.rests, step.blocks) {
            (true, _) => "   # and wait",
            (_, true) => "   # waits until it is served, or the connection is needed",
            _ => "",
        };
        text += &format!("  {}{rest}\n", line(&step.words));
    }
    text
}

#[test]
fn a_sequence_is_shrunk_to_what_matters() {
    let step = |word: &str| Step {
        connection: 0,
        words: vec![word.as_bytes().to_vec()],
        rests: false,
        blocks: false,
    };
    let words: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let steps: Vec<Step> = words.iter().map(|word| step(word)).collect();
    let fails = |steps: &[Step]| {
        let at = |word: &str| steps.iter().position(|step| step.words[0] == word.as_bytes());
        (at("17")? < at("60")?).then(|| Difference {
            step: at("60").unwrap_or_default() + 1,
            ..Difference::told("x", String::new(), String::new())
        })
    };
    let found = fails(&steps).unwrap();
    let (short, _) = shrink(steps, found, fails);
    let words: Vec<String> = short.iter().map(Step::name).collect();
    assert_eq!(words, ["17", "60"]);
}
