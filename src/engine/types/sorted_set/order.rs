//! The order of a large sorted set: (score, member) pairs in sorted chunks, with ranks.
//!
//! A chunk holds up to [`CHUNK_LEN_MAX`] items as two columns, scores and members; a member is its
//! position in the map that owns the names. `fences` repeats the first item of every chunk, so
//! that the search for a chunk reads one small array, and a Fenwick tree counts items per chunk,
//! so that a rank costs a logarithm. At a million members there are about 6000 chunks: the arrays
//! over chunks fit the second-level cache, and their shift when a chunk splits is shared by the
//! 128 insertions that filled it.
//!
//! Names are looked up only between equal scores. Invariants: no chunk is empty;
//! `fences[i]` is the first item of `chunks[i]`; items rise strictly by (score, member).

use std::ops::Range;

use super::ordered::Names;
use super::precedes;

const CHUNK_LEN_MAX: usize = 256;

/// Neighbours that together hold no more than this become one chunk. Well below the maximum, so
/// that a merge is not followed at once by a split.
const MERGED_LEN_MAX: usize = 160;

/// How many items of one score a search passes over by number before it compares names: four cache
/// lines.
const EQUALS_PASSED_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Fence {
    score: f64,
    member: u32,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    scores: Vec<f64>,
    members: Vec<u32>,
}

/// Where an item is. Between two chunks it is the start of the second; after the last item it is
/// the end of the last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    chunk: usize,
    offset: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Order {
    chunks: Vec<Chunk>,
    fences: Vec<Fence>,
    counts: Counts,
}

impl Chunk {
    fn len(&self) -> usize {
        self.scores.len()
    }

    fn fence(&self) -> Fence {
        Fence { score: self.scores[0], member: self.members[0] }
    }
}

impl Order {
    /// Takes items that are in order.
    pub fn from_sorted(items: impl Iterator<Item = (f64, u32)>) -> Self {
        let mut order = Self::default();
        for (score, member) in items {
            if order.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_LEN_MAX) {
                order.chunks.push(Chunk::default());
            }
            let chunk = order.chunks.last_mut().expect("invariant: pushed above");
            chunk.scores.push(score);
            chunk.members.push(member);
        }
        order.index_chunks();
        order
    }

    /// Where the first item lies for which `before` does not hold. Precondition: `before` holds
    /// for no item that follows one for which it does not.
    pub fn seek(&self, before: impl Fn(f64, u32) -> bool) -> Position {
        let position = self.seek_in_chunk(before);
        match self.chunks.get(position.chunk) {
            Some(chunk) if position.offset == chunk.len() => self.after(position.chunk),
            _ => position,
        }
    }

    /// Precondition: the item is absent.
    pub fn insert(&mut self, names: &Names, score: f64, name: &[u8], member: u32) {
        let before = |s, m| precedes(s, names.name(m), score, name);
        let mut at = self.seek_in_chunk(before);
        if self.chunks.is_empty() {
            self.chunks.push(Chunk { scores: vec![score], members: vec![member] });
            self.index_chunks();
            return;
        }
        if self.chunks[at.chunk].len() == CHUNK_LEN_MAX {
            at = self.split(at);
        }
        let chunk = &mut self.chunks[at.chunk];
        chunk.scores.insert(at.offset, score);
        chunk.members.insert(at.offset, member);
        if at.offset == 0 {
            self.fences[at.chunk] = Fence { score, member };
        }
        self.counts.add(at.chunk, 1);
    }

    /// Where a present item is.
    pub fn find(&self, names: &Names, score: f64, name: &[u8], member: u32) -> Position {
        let first = self.seek(|other, _| other < score);
        let equals = &self.chunks[first.chunk].members[first.offset..];
        // Few members share most scores: to pass over them costs less than a look at one name.
        let near = equals.iter().take(EQUALS_PASSED_MAX).position(|&other| other == member);
        match near {
            Some(distance) => Position { offset: first.offset + distance, ..first },
            None => self.seek(|s, m| precedes(s, names.name(m), score, name)),
        }
    }

    /// Gives every item the number that its member has in `numbers` now.
    pub fn renumber_all(&mut self, numbers: &[u32]) {
        for member in self.chunks.iter_mut().flat_map(|chunk| &mut chunk.members) {
            *member = numbers[*member as usize];
        }
        self.index_chunks();
    }

    /// Changes the score of the item at `at` if its neighbours in its chunk still enclose it.
    pub fn try_rescore(&mut self, names: &Names, at: Position, score: f64, name: &[u8]) -> bool {
        let chunk = &mut self.chunks[at.chunk];
        if at.offset == 0 || at.offset + 1 == chunk.len() {
            return false;
        }
        let (left, right) = (at.offset - 1, at.offset + 1);
        let stays = precedes(chunk.scores[left], names.name(chunk.members[left]), score, name)
            && precedes(score, name, chunk.scores[right], names.name(chunk.members[right]));
        if stays {
            chunk.scores[at.offset] = score;
        }
        stays
    }

    /// The item at `at` is now the one at `member` in the map.
    pub fn renumber(&mut self, at: Position, member: u32) {
        self.chunks[at.chunk].members[at.offset] = member;
        if at.offset == 0 {
            self.fences[at.chunk].member = member;
        }
    }

    pub fn remove(&mut self, at: Position) {
        let chunk = &mut self.chunks[at.chunk];
        chunk.scores.remove(at.offset);
        chunk.members.remove(at.offset);
        self.settle(at);
    }

    /// Removes the items of a range of ranks and tells which they were.
    pub fn remove_range(&mut self, ranks: Range<usize>) -> Vec<u32> {
        let mut removed = Vec::with_capacity(ranks.len());
        if ranks.is_empty() {
            return removed;
        }
        let start = self.locate(ranks.start);
        let mut at = start;
        while removed.len() < ranks.len() {
            let chunk = &mut self.chunks[at.chunk];
            let take = (ranks.len() - removed.len()).min(chunk.len() - at.offset);
            let part = at.offset..at.offset + take;
            chunk.scores.drain(part.clone());
            removed.extend(chunk.members.drain(part));
            at = Position { chunk: at.chunk + 1, offset: 0 };
        }
        if at.chunk == start.chunk + 1 {
            self.counts.subtract(start.chunk, removed.len() - 1);
            self.settle(start);
        } else {
            self.chunks.retain(|chunk| chunk.len() > 0);
            self.index_chunks();
        }
        removed
    }

    pub fn rank(&self, at: Position) -> usize {
        self.counts.before(at.chunk) + at.offset
    }

    /// Precondition: `rank` is at most the number of items.
    fn locate(&self, rank: usize) -> Position {
        let (chunk, offset) = self.counts.locate(rank);
        if chunk == self.chunks.len() { self.end() } else { Position { chunk, offset } }
    }

    /// Precondition: `rank` is below the number of items.
    pub fn at(&self, rank: usize) -> (f64, u32) {
        let at = self.locate(rank);
        let chunk = &self.chunks[at.chunk];
        (chunk.scores[at.offset], chunk.members[at.offset])
    }

    /// The items of a range of ranks, as (score, member).
    pub fn range(&self, ranks: Range<usize>) -> Items<'_> {
        let front = self.locate(ranks.start);
        let back = self.locate(ranks.end);
        Items { chunks: &self.chunks, front, back, remaining: ranks.len() }
    }

    fn end(&self) -> Position {
        match self.chunks.last() {
            Some(last) => Position { chunk: self.chunks.len() - 1, offset: last.len() },
            None => Position { chunk: 0, offset: 0 },
        }
    }

    fn after(&self, chunk: usize) -> Position {
        if chunk + 1 == self.chunks.len() {
            self.end()
        } else {
            Position { chunk: chunk + 1, offset: 0 }
        }
    }

    /// As [`Order::seek`], but names the end of a chunk rather than the start of the next: an
    /// insertion there leaves the fences alone.
    fn seek_in_chunk(&self, before: impl Fn(f64, u32) -> bool) -> Position {
        let following = self.fences.partition_point(|fence| before(fence.score, fence.member));
        let Some(index) = following.checked_sub(1) else {
            return Position { chunk: 0, offset: 0 };
        };
        let chunk = &self.chunks[index];
        let (mut low, mut high) = (1, chunk.len());
        while low < high {
            let middle = (low + high) / 2;
            if before(chunk.scores[middle], chunk.members[middle]) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Position { chunk: index, offset: low }
    }

    /// Makes room in a full chunk; tells where `at` is then.
    fn split(&mut self, at: Position) -> Position {
        let appends = at.chunk + 1 == self.chunks.len() && at.offset == CHUNK_LEN_MAX;
        // Rising scores (times, counters) leave full chunks behind rather than half-full ones.
        let keep = if appends { CHUNK_LEN_MAX - 1 } else { CHUNK_LEN_MAX / 2 };
        let chunk = &mut self.chunks[at.chunk];
        let right =
            Chunk { scores: chunk.scores.split_off(keep), members: chunk.members.split_off(keep) };
        self.fences.insert(at.chunk + 1, right.fence());
        self.chunks.insert(at.chunk + 1, right);
        self.count_chunks();
        if at.offset <= keep {
            at
        } else {
            Position { chunk: at.chunk + 1, offset: at.offset - keep }
        }
    }

    /// Brings the arrays over chunks up to date after one item left the chunk of `at`.
    fn settle(&mut self, at: Position) {
        let len = self.chunks[at.chunk].len();
        if len == 0 {
            self.chunks.remove(at.chunk);
            self.fences.remove(at.chunk);
            self.count_chunks();
            return;
        }
        if at.offset == 0 {
            self.fences[at.chunk] = self.chunks[at.chunk].fence();
        }
        match self.chunks.get(at.chunk + 1) {
            Some(next) if len < CHUNK_LEN_MAX / 4 && len + next.len() <= MERGED_LEN_MAX => {
                let mut next = self.chunks.remove(at.chunk + 1);
                self.fences.remove(at.chunk + 1);
                let chunk = &mut self.chunks[at.chunk];
                chunk.scores.append(&mut next.scores);
                chunk.members.append(&mut next.members);
                self.count_chunks();
            }
            _ => self.counts.subtract(at.chunk, 1),
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    #[cfg(test)]
    pub fn assert_invariants(&self, names: &Names) {
        assert_eq!(self.fences.len(), self.chunks.len());
        let mut before = 0;
        for (index, (chunk, fence)) in self.chunks.iter().zip(&self.fences).enumerate() {
            assert!((1..=CHUNK_LEN_MAX).contains(&chunk.len()));
            assert_eq!(chunk.scores.len(), chunk.members.len());
            assert_eq!((fence.score, fence.member), (chunk.scores[0], chunk.members[0]));
            assert_eq!(self.counts.before(index), before);
            before += chunk.len();
        }
        let items: Vec<_> = self.range(0..before).collect();
        for pair in items.windows(2) {
            let [(left_score, left), (right_score, right)] = [pair[0], pair[1]];
            assert!(precedes(left_score, names.name(left), right_score, names.name(right)));
        }
        for (score, member) in items {
            assert_eq!(names.score(member), score);
        }
    }

    fn index_chunks(&mut self) {
        self.fences.clear();
        self.fences.extend(self.chunks.iter().map(Chunk::fence));
        self.count_chunks();
    }

    fn count_chunks(&mut self) {
        self.counts.rebuild(self.chunks.iter().map(Chunk::len));
    }
}

/// A Fenwick tree of the number of items per chunk: `tree[i]` sums the `lowest set bit of i + 1`
/// chunks that end with chunk `i`. Source: Fenwick, "A new data structure for cumulative frequency
/// tables" (1994).
#[derive(Clone, Debug, Default)]
struct Counts {
    tree: Vec<u32>,
}

impl Counts {
    fn rebuild(&mut self, counts: impl Iterator<Item = usize>) {
        self.tree.clear();
        self.tree.extend(counts.map(|count| count as u32));
        for node in 1..=self.tree.len() {
            let parent = node + lowest_bit(node);
            if parent <= self.tree.len() {
                self.tree[parent - 1] += self.tree[node - 1];
            }
        }
    }

    fn add(&mut self, chunk: usize, count: usize) {
        let mut node = chunk + 1;
        while node <= self.tree.len() {
            self.tree[node - 1] += count as u32;
            node += lowest_bit(node);
        }
    }

    fn subtract(&mut self, chunk: usize, count: usize) {
        let mut node = chunk + 1;
        while node <= self.tree.len() {
            self.tree[node - 1] -= count as u32;
            node += lowest_bit(node);
        }
    }

    /// The number of items in the chunks before `chunk`.
    fn before(&self, chunk: usize) -> usize {
        let mut node = chunk;
        let mut sum = 0;
        while node > 0 {
            sum += self.tree[node - 1] as usize;
            node -= lowest_bit(node);
        }
        sum
    }

    /// The chunk that holds the item of rank `rank`, and how many items of the chunk precede it.
    fn locate(&self, rank: usize) -> (usize, usize) {
        let mut node = 0;
        let mut rest = rank;
        let mut step = self.tree.len().checked_ilog2().map_or(0, |bits| 1 << bits);
        while step > 0 {
            let next = node + step;
            if next <= self.tree.len() && self.tree[next - 1] as usize <= rest {
                rest -= self.tree[next - 1] as usize;
                node = next;
            }
            step /= 2;
        }
        (node, rest)
    }
}

fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}

/// The items of a range of ranks, from either end.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    chunks: &'a [Chunk],
    front: Position,
    back: Position,
    remaining: usize,
}

impl Iterator for Items<'_> {
    type Item = (f64, u32);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        if self.front.offset == self.chunks[self.front.chunk].len() {
            self.front = Position { chunk: self.front.chunk + 1, offset: 0 };
        }
        let chunk = &self.chunks[self.front.chunk];
        let item = (chunk.scores[self.front.offset], chunk.members[self.front.offset]);
        self.front.offset += 1;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl DoubleEndedIterator for Items<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        if self.back.offset == 0 {
            let chunk = self.back.chunk - 1;
            self.back = Position { chunk, offset: self.chunks[chunk].len() };
        }
        self.back.offset -= 1;
        let chunk = &self.chunks[self.back.chunk];
        Some((chunk.scores[self.back.offset], chunk.members[self.back.offset]))
    }
}
