//! Mutations of inputs: what goes wrong on a wire or is done on purpose, from a fixed seed.

/// Numbers that lengths and indexes are replaced with.
const EXTREMES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 62, u64::MAX];

pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Each name has a sequence of its own, always the same.
    pub fn new(name: &str) -> Self {
        let seed = |state: u64, byte| state.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
        Self { state: name.bytes().fold(0xcbf2_9ce4_8422_2325, seed) | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// One of the inputs with one to eight changes, of at most `bytes_max` bytes.
    pub fn mutate(&mut self, inputs: &[Vec<u8>], bytes_max: usize) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..1 << self.below(4) {
            self.change(&mut bytes, inputs);
        }
        bytes.truncate(bytes_max);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.push(self.next() as u8);
            return;
        }
        let at = self.below(bytes.len());
        let len = 1 + self.below((bytes.len() - at).min(64));
        match self.below(10) {
            0 | 1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.next() as u8,
            3 => bytes.truncate(at),
            4 => {
                // A length, or whatever a number of this width is there.
                let width = 1 << self.below(4);
                let number = EXTREMES[self.below(EXTREMES.len())].to_le_bytes();
                let end = (at + width).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            5 => {
                let part = bytes[at..at + len].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, part);
            }
            6 => drop(bytes.drain(at..at + len)),
            7 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            8 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len() + 1);
                let part = other[from..].iter().copied().take(len).collect::<Vec<_>>();
                bytes.splice(at..at, part);
            }
            _ => {
                for byte in &mut bytes[at..at + len] {
                    *byte = byte.wrapping_add(1);
                }
            }
        }
    }
}

#[test]
fn a_sequence_is_the_same_each_time_and_changes_its_inputs() {
    let inputs = [b"hello".to_vec(), (0..100).collect(), b"GET k".to_vec()];
    let (mut one, mut two, mut other) = (Mutator::new("a"), Mutator::new("a"), Mutator::new("b"));
    let made: Vec<Vec<u8>> = (0..1000).map(|_| one.mutate(&inputs, 50)).collect();
    assert!(made.iter().all(|input| *input == two.mutate(&inputs, 50) && input.len() <= 50));
    assert!(made.iter().any(|input| *input != other.mutate(&inputs, 50)));
    let unchanged = made.iter().filter(|input| inputs.contains(input)).count();
    assert!(unchanged < 50, "{unchanged} of 1000 are as they were");
}
