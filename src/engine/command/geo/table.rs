//! What is known of each command of the family.

use super::super::{CommandSpec, Docs, Flags, Keys};
use super::search::{
    georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore,
};
use super::{geoadd, geodist, geohash, geopos};

const GROW: Flags = Flags::WRITE.union(Flags::DENYOOM);
const GROW_MOVABLE: Flags = GROW.union(Flags::MOVABLE_KEYS);
const TWO_KEYS: Keys = Keys { first: 1, last: 2, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("geo", since, complexity, summary)
}

const PER_MEMBER: &str = "O(1) for each member asked for.";
const PER_FOUND: &str =
    "O(N+log(M)) with N members in the cells around the area and M members in all.";
const PER_STORED: &str =
    "O(N+log(M)) with N members in the cells around the area and M members in all, to find them.";

#[rustfmt::skip]
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("geoadd", -5, GROW, Keys::FIRST, geoadd,
        docs("3.2.0", "O(log(N)) for each member, where N is the length of the sorted set.",
            "Adds members with their places, or moves them.")),
    CommandSpec::engine("geodist", -4, Flags::READONLY, Keys::FIRST, geodist,
        docs("3.2.0", "O(1)", "Tells the distance of two members.")),
    CommandSpec::engine("geohash", -2, Flags::READONLY, Keys::FIRST, geohash,
        docs("3.2.0", PER_MEMBER, "Tells the places of members as geohashes.")),
    CommandSpec::engine("geopos", -2, Flags::READONLY, Keys::FIRST, geopos,
        docs("3.2.0", PER_MEMBER, "Tells longitude and latitude of members.")),
    CommandSpec::engine("georadius", -6, GROW_MOVABLE, Keys::FIRST, georadius,
        docs("3.2.0", PER_FOUND, "Gives or stores the members within a distance of a place.")),
    CommandSpec::engine("georadius_ro", -6, Flags::READONLY, Keys::FIRST, georadius_ro,
        docs("3.2.10", PER_FOUND, "Gives the members within a distance of a place.")),
    CommandSpec::engine("georadiusbymember", -5, GROW_MOVABLE, Keys::FIRST, georadiusbymember,
        docs("3.2.0", PER_FOUND, "Gives or stores the members within a distance of a member.")),
    CommandSpec::engine("georadiusbymember_ro", -5, Flags::READONLY, Keys::FIRST, georadiusbymember_ro,
        docs("3.2.10", PER_FOUND, "Gives the members within a distance of a member.")),
    CommandSpec::engine("geosearch", -7, Flags::READONLY, Keys::FIRST, geosearch,
        docs("6.2.0", PER_FOUND, "Gives the members in a circle or a box.")),
    CommandSpec::engine("geosearchstore", -8, GROW, TWO_KEYS, geosearchstore,
        docs("6.2.0", PER_STORED, "Stores the members in a circle or a box.")),
];
