//! Keeps the log readable: what goes on being wrong with a peer is said once, and then once a
//! while.

use std::collections::VecDeque;

use crate::limits::{COMPLAINT_MS, COMPLAINTS_MAX};
use crate::raft::types::Millis;

#[derive(Default)]
pub(super) struct Complaints {
    /// What was said when, oldest first.
    said: VecDeque<(String, Millis)>,
}

impl Complaints {
    /// Logs `text` unless it was logged a short while ago. Part of it may be a stranger's words,
    /// which shall not make up lines of their own.
    pub(super) fn say(&mut self, text: String, now_ms: Millis) {
        let text = text.replace(char::is_control, "?");
        if self.is_news(&text, now_ms) {
            log::warn!("{text}");
            self.said.push_back((text, now_ms));
        }
    }

    fn is_news(&mut self, text: &str, now_ms: Millis) -> bool {
        self.said.retain(|(_, said_ms)| now_ms.saturating_sub(*said_ms) < COMPLAINT_MS);
        if self.said.iter().any(|(said, _)| said == text) {
            return false;
        }
        if self.said.len() == COMPLAINTS_MAX {
            self.said.pop_front();
        }
        true
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(|(text, _)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_while_and_memory_is_bounded() {
        let mut complaints = Complaints::default();
        for now_ms in [0, 10, COMPLAINT_MS - 1] {
            complaints.say("refused".to_owned(), now_ms);
            complaints.say("refused again".to_owned(), now_ms);
        }
        let said = |complaints: &Complaints| {
            complaints.said.iter().map(|(text, ms)| (text.clone(), *ms)).collect::<Vec<_>>()
        };
        complaints.say("two\nlines".to_owned(), 5);
        assert_eq!(said(&complaints).pop(), Some(("two?lines".to_owned(), 5)));
        complaints.said.pop_back();
        let once = [("refused".to_owned(), 0), ("refused again".to_owned(), 0)];
        assert_eq!(said(&complaints), once);
        complaints.say("refused".to_owned(), COMPLAINT_MS);
        assert_eq!(said(&complaints), [("refused".to_owned(), COMPLAINT_MS)]);
        for number in 0..2 * COMPLAINTS_MAX {
            complaints.say(number.to_string(), COMPLAINT_MS);
        }
        assert_eq!(complaints.said.len(), COMPLAINTS_MAX);
    }
}
