//! What is known of each command of the family.

use super::super::{CommandSpec, Docs, Flags, Keys};
use super::combine::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
use super::pick::{bzmpop, bzpopmax, bzpopmin, zmpop, zpopmax, zpopmin, zrandmember, zscan};
use super::range::{
    zcount, zlexcount, zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex,
    zremrangebyrank, zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
use super::{zadd, zcard, zincrby, zmscore, zrank, zrem, zrevrank, zscore};

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const READ_MOVABLE: Flags = Flags::READONLY.union(Flags::MOVABLE_KEYS);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_MOVABLE: Flags = Flags::WRITE.union(Flags::MOVABLE_KEYS);
const GROW: Flags = Flags::WRITE.union(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.union(Flags::FAST);
const GROW_MOVABLE: Flags = GROW.union(Flags::MOVABLE_KEYS);
const WAIT_FAST: Flags = WRITE_FAST.union(Flags::BLOCKING);
const WAIT_MOVABLE: Flags = WRITE_MOVABLE.union(Flags::BLOCKING);
/// All but the time-out at the end.
const KEYS_THEN_TIMEOUT: Keys = Keys { first: 1, last: -2, step: 1 };
const TWO_KEYS: Keys = Keys { first: 1, last: 2, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("sorted-set", since, complexity, summary)
}

const PER_ADDED: &str = "O(log(N)) for each member added, where N is the length of the sorted set.";
const PER_SEARCH: &str = "O(log(N)) where N is the length of the sorted set.";
const DIFFERENCE: &str =
    "O(L + (N-K)log(N)) with L members in all, N in the first and K in the result.";
const INTERSECTION: &str =
    "O(N*K)+O(M*log(M)) with N members in the smallest of K sets and M in the result.";
const PER_SMALLEST: &str = "O(N*K) with N members in the smallest of K sorted sets.";
const POP_ANY: &str = "O(K) + O(M*log(N)) with K keys, N members in the sorted set and M removed.";
const PER_MEMBER: &str = "O(N) where N is the number of members asked for.";
const POP: &str =
    "O(log(N)*M) with N the length of the sorted set and M the number of members removed.";
const PER_PICK: &str = "O(N) where N is the number of members given.";
const RANGE: &str =
    "O(log(N)+M) with N the length of the sorted set and M the number of members given.";
const RANGE_STORED: &str =
    "O(log(N)+M) with N the length of the sorted set and M the number of members stored.";
const PER_REMOVED: &str =
    "O(M*log(N)) with N the length of the sorted set and M the number of members to be removed.";
const RANGE_REMOVED: &str =
    "O(log(N)+M) with N the length of the sorted set and M the number of members removed.";
const PER_CALL: &str =
    "O(1) for each call, O(N) for a whole iteration, where N is the length of the sorted set.";
const UNION: &str = "O(N)+O(M*log(M)) with N members in all and M in the result.";

#[rustfmt::skip]
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("bzmpop", -5, WAIT_MOVABLE, Keys::NONE, bzmpop,
        docs("7.0.0", POP_ANY,
            "Removes and gives members of the first sorted set that has any, or waits for some.")),
    CommandSpec::engine("bzpopmax", -3, WAIT_FAST, KEYS_THEN_TIMEOUT, bzpopmax,
        docs("5.0.0", PER_SEARCH,
            "Removes and gives the member with the highest score, or waits for one.")),
    CommandSpec::engine("bzpopmin", -3, WAIT_FAST, KEYS_THEN_TIMEOUT, bzpopmin,
        docs("5.0.0", PER_SEARCH,
            "Removes and gives the member with the lowest score, or waits for one.")),
    CommandSpec::engine("zadd", -4, GROW_FAST, Keys::FIRST, zadd,
        docs("1.2.0", PER_ADDED, "Adds members with scores, or changes the scores of members.")),
    CommandSpec::engine("zcard", 2, READ_FAST, Keys::FIRST, zcard,
        docs("1.2.0", "O(1)", "Tells how many members a sorted set has.")),
    CommandSpec::engine("zcount", 4, READ_FAST, Keys::FIRST, zcount,
        docs("2.0.0", PER_SEARCH, "Counts the members whose scores lie in a range.")),
    CommandSpec::engine("zdiff", -3, READ_MOVABLE, Keys::NONE, zdiff,
        docs("6.2.0", DIFFERENCE,
            "Gives the members of the first sorted set that no other one has.")),
    CommandSpec::engine("zdiffstore", -4, GROW_MOVABLE, Keys::FIRST, zdiffstore,
        docs("6.2.0", DIFFERENCE,
            "Stores the members of the first sorted set that no other one has.")),
    CommandSpec::engine("zincrby", 4, GROW_FAST, Keys::FIRST, zincrby,
        docs("1.2.0", PER_SEARCH, "Adds to the score of a member.")),
    CommandSpec::engine("zinter", -3, READ_MOVABLE, Keys::NONE, zinter,
        docs("6.2.0", INTERSECTION, "Gives the members that all sorted sets have.")),
    CommandSpec::engine("zintercard", -3, READ_MOVABLE, Keys::NONE, zintercard,
        docs("7.0.0", PER_SMALLEST, "Counts the members that all sorted sets have.")),
    CommandSpec::engine("zinterstore", -4, GROW_MOVABLE, Keys::FIRST, zinterstore,
        docs("2.0.0", INTERSECTION, "Stores the members that all sorted sets have.")),
    CommandSpec::engine("zlexcount", 4, READ_FAST, Keys::FIRST, zlexcount,
        docs("2.8.9", PER_SEARCH, "Counts the members that lie between two members.")),
    CommandSpec::engine("zmpop", -4, WRITE_MOVABLE, Keys::NONE, zmpop,
        docs("7.0.0", POP_ANY,
            "Removes and gives members of the first sorted set that is not empty.")),
    CommandSpec::engine("zmscore", -3, READ_FAST, Keys::FIRST, zmscore,
        docs("6.2.0", PER_MEMBER, "Gives the scores of several members.")),
    CommandSpec::engine("zpopmax", -2, WRITE_FAST, Keys::FIRST, zpopmax,
        docs("5.0.0", POP, "Removes and gives the members with the highest scores.")),
    CommandSpec::engine("zpopmin", -2, WRITE_FAST, Keys::FIRST, zpopmin,
        docs("5.0.0", POP, "Removes and gives the members with the lowest scores.")),
    CommandSpec::engine("zrandmember", -2, Flags::READONLY, Keys::FIRST, zrandmember,
        docs("6.2.0", PER_PICK, "Gives members picked at random.")),
    CommandSpec::engine("zrange", -4, Flags::READONLY, Keys::FIRST, zrange,
        docs("1.2.0", RANGE, "Gives the members in a range of ranks, scores or members.")),
    CommandSpec::engine("zrangebylex", -4, Flags::READONLY, Keys::FIRST, zrangebylex,
        docs("2.8.9", RANGE, "Gives the members that lie between two members.")),
    CommandSpec::engine("zrangebyscore", -4, Flags::READONLY, Keys::FIRST, zrangebyscore,
        docs("1.0.5", RANGE, "Gives the members whose scores lie in a range.")),
    CommandSpec::engine("zrangestore", -5, GROW, TWO_KEYS, zrangestore,
        docs("6.2.0", RANGE_STORED, "Stores a range of a sorted set under another key.")),
    CommandSpec::engine("zrank", -3, READ_FAST, Keys::FIRST, zrank,
        docs("2.0.0", "O(log(N))", "Gives the rank of a member, counted from the lowest score.")),
    CommandSpec::engine("zrem", -3, WRITE_FAST, Keys::FIRST, zrem,
        docs("1.2.0", PER_REMOVED, "Removes members.")),
    CommandSpec::engine("zremrangebylex", 4, Flags::WRITE, Keys::FIRST, zremrangebylex,
        docs("2.8.9", RANGE_REMOVED, "Removes the members that lie between two members.")),
    CommandSpec::engine("zremrangebyrank", 4, Flags::WRITE, Keys::FIRST, zremrangebyrank,
        docs("2.0.0", RANGE_REMOVED, "Removes the members in a range of ranks.")),
    CommandSpec::engine("zremrangebyscore", 4, Flags::WRITE, Keys::FIRST, zremrangebyscore,
        docs("1.2.0", RANGE_REMOVED, "Removes the members whose scores lie in a range.")),
    CommandSpec::engine("zrevrange", -4, Flags::READONLY, Keys::FIRST, zrevrange,
        docs("1.2.0", RANGE,
            "Gives the members in a range of ranks, from the highest score down.")),
    CommandSpec::engine("zrevrangebylex", -4, Flags::READONLY, Keys::FIRST, zrevrangebylex,
        docs("2.8.9", RANGE,
            "Gives the members that lie between two members, from the greater down.")),
    CommandSpec::engine("zrevrangebyscore", -4, Flags::READONLY, Keys::FIRST, zrevrangebyscore,
        docs("2.2.0", RANGE,
            "Gives the members whose scores lie in a range, from the highest score down.")),
    CommandSpec::engine("zrevrank", -3, READ_FAST, Keys::FIRST, zrevrank,
        docs("2.0.0", "O(log(N))",
            "Gives the rank of a member, counted from the highest score.")),
    CommandSpec::engine("zscan", -3, Flags::READONLY, Keys::FIRST, zscan,
        docs("2.8.0", PER_CALL, "Visits the members and scores a part at a time.")),
    CommandSpec::engine("zscore", 3, READ_FAST, Keys::FIRST, zscore,
        docs("1.2.0", "O(1)", "Gives the score of a member.")),
    CommandSpec::engine("zunion", -3, READ_MOVABLE, Keys::NONE, zunion,
        docs("6.2.0", UNION, "Gives the members that any of the sorted sets has.")),
    CommandSpec::engine("zunionstore", -4, GROW_MOVABLE, Keys::FIRST, zunionstore,
        docs("2.0.0", UNION, "Stores the members that any of the sorted sets has.")),
];
