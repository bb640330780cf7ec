//! LOLWUT: a swarm over the water, and the version below it.

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::engine::random::Random;

/// What a picture measures, in characters.
const COLUMNS: usize = 64;
const ROWS: usize = 14;

/// A mayfly, seen from the side: three rows of it.
const FLIES: [[&str; 3]; 3] =
    [[r"  \ | /", r"---(o)=", r"  / "], [r"_ \\", r" `-=@o", r"  ''"], [r" //_", r"<=@-.", r"  `"]];

/// LOLWUT `[VERSION version] [argument ...]`: numbers, all of which draw the same picture.
fn lolwut(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let numbers = match arguments {
        [word, version, rest @ ..] if is_word(word, "VERSION") => {
            integer(version)?;
            rest
        }
        arguments => arguments,
    };
    numbers.iter().try_for_each(|number| integer(number).map(drop))?;
    let text = draw(context.random);
    context.reply.verbatim(&text);
    Ok(())
}

fn draw(random: &mut Random) -> String {
    let mut rows = vec![vec![' '; COLUMNS]; ROWS];
    for _ in 0..6 + random.below(6) {
        let fly = FLIES[random.below(FLIES.len())];
        let (left, top) = (random.below(COLUMNS - 8), random.below(ROWS - 5));
        for (row, line) in fly.iter().enumerate() {
            for (column, letter) in line.chars().enumerate().filter(|(_, letter)| *letter != ' ') {
                rows[top + row][left + column] = letter;
            }
        }
    }
    for row in &mut rows[ROWS - 2..] {
        row.iter_mut().for_each(|place| *place = ['~', '~', '-', ' '][random.below(4)]);
    }
    let mut text = String::new();
    for row in rows {
        let line: String = row.into_iter().collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let version = env!("CARGO_PKG_VERSION");
    text + &format!("\nMayfly {version}: it lives a day, the swarm lives on. Redis ver. 7.2.4\n")
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("lolwut", -1, Flags::READONLY.union(Flags::FAST), Keys::NONE, lolwut,
        Docs::new("server", "5.0.0", "O(1)", "Draws a swarm, and tells the version.")),
];

#[cfg(test)]
mod tests {
    use crate::engine::reply::Protocol;
    use crate::engine::testing::{check_all, engine, run_line};

    #[test]
    fn the_picture_ends_with_the_version() {
        let mut engine = engine();
        for line in ["LOLWUT", "lolwut version 5 40 2", "LOLWUT 1 2 3"] {
            let reply = run_line(&mut engine, Protocol::Resp3, line);
            let text = String::from_utf8(reply).unwrap();
            assert!(text.contains("txt:") && text.contains('~'), "{text}");
            assert!(text.ends_with("Redis ver. 7.2.4\n\r\n"), "{text}");
        }
        let not_integer = "-ERR value is not an integer or out of range\r\n";
        check_all(&mut engine, &[("LOLWUT VERSION x", not_integer), ("LOLWUT x", not_integer)]);
    }
}
