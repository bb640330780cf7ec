//! What a key must do, one operation after the other: the same rules in the words of each of the
//! two checkers.

use stateright::semantics::SequentialSpec;
use todc_utils::specifications::Specification;

use super::record::{Op, Reply};

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    #[default]
    Absent,
    Number(i64),
    List(Vec<i64>),
}

impl State {
    /// Executes `op`, and gives the reply that it must have.
    pub fn execute(&mut self, op: Op) -> Reply {
        match op {
            Op::Get => match self {
                State::Number(value) => Reply::Number(*value),
                _ => Reply::Nil,
            },
            Op::Set(value) => self.replace(State::Number(value)),
            Op::SetIfAbsent(value) => match self {
                State::Absent => self.replace(State::Number(value)),
                _ => Reply::Nil,
            },
            Op::SetIfEqual { old, new } => match self {
                State::Number(value) if *value == old => self.replace(State::Number(new)),
                _ => Reply::Nil,
            },
            Op::Delete => self.delete(true),
            Op::DeleteIfEqual(value) => self.delete(*self == State::Number(value)),
            Op::Increment => {
                let State::Number(former) = *self else { return self.count(1) };
                self.count(former + 1)
            }
            Op::Append(value) => Reply::Number(self.append(value).len() as i64),
            Op::Range => match self {
                State::List(list) => Reply::List(list.clone()),
                _ => Reply::List(Vec::new()),
            },
            Op::AppendAndRange(value) => Reply::List(self.append(value).clone()),
        }
    }

    fn replace(&mut self, state: State) -> Reply {
        *self = state;
        Reply::Ok
    }

    fn count(&mut self, value: i64) -> Reply {
        *self = State::Number(value);
        Reply::Number(value)
    }

    fn delete(&mut self, applies: bool) -> Reply {
        let deleted = applies && *self != State::Absent;
        if deleted {
            *self = State::Absent;
        }
        Reply::Number(i64::from(deleted))
    }

    fn append(&mut self, value: i64) -> &Vec<i64> {
        if !matches!(self, State::List(_)) {
            *self = State::List(Vec::new());
        }
        let State::List(list) = self else { unreachable!("it was made one") };
        list.push(value);
        list
    }
}

/// An operation with its reply; `None` when nobody was told: then any will do.
pub type Step = (Op, Option<Reply>);

/// The rules for `todc_utils`.
pub struct KeyRules;

impl Specification for KeyRules {
    type State = State;
    type Operation = Step;

    fn init() -> State {
        State::default()
    }

    fn apply((op, reply): &Step, state: &State) -> (bool, State) {
        let mut next = state.clone();
        let expected = next.execute(*op);
        match reply {
            Some(reply) if *reply != expected => (false, state.clone()),
            _ => (true, next),
        }
    }
}

/// The rules for `stateright`, which keeps operations without an answer apart itself.
impl SequentialSpec for State {
    type Op = Op;
    type Ret = Reply;

    fn invoke(&mut self, op: &Op) -> Reply {
        self.execute(*op)
    }
}
