//! Places: sorted sets whose scores stand for longitude and latitude.

mod search;
mod table;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

use super::Context;
use super::options::is_word;
use super::sorted_set::{AddOptions, add_scored};
use crate::engine::error::CommandError;
use crate::engine::number::float;
use crate::engine::reply::Reply;
use crate::engine::types::geo::Point;
use crate::engine::types::sorted_set::SortedSet;

pub use table::COMMANDS;

type Result<T = ()> = std::result::Result<T, CommandError>;

/// Longitude and latitude, which come in two words.
fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point> {
    let (longitude, latitude) = (float(longitude)?, float(latitude)?);
    Point::new(longitude, latitude).ok_or_else(|| {
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        CommandError::Text(text.into())
    })
}

/// The metres of one unit.
fn unit(argument: &[u8]) -> Result<f64> {
    match argument.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// A distance to a tenth of a thousandth of its unit.
fn write_distance(reply: &mut Reply, distance: f64) {
    const SCALE: u64 = 10_000;
    let parts = (distance * SCALE as f64).round_ties_even() as u64;
    reply.bulk(format!("{}.{:04}", parts / SCALE, parts % SCALE).as_bytes());
}

fn write_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if text == "-0" { b"0" } else { text.as_bytes() });
    }
}

fn geoadd(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, mut words) = (arguments[0], &arguments[1..]);
    let mut options = AddOptions::default();
    while let Some((word, rest)) = words.split_first() {
        if is_word(word, "NX") {
            options.absent_only = true;
        } else if is_word(word, "XX") {
            options.present_only = true;
        } else if is_word(word, "CH") {
            options.count_changes = true;
        } else {
            break;
        }
        words = rest;
    }
    let is_complete = !words.is_empty() && words.len().is_multiple_of(3);
    if !is_complete || options.absent_only && options.present_only {
        return Err(CommandError::Syntax);
    }
    let members = words
        .chunks_exact(3)
        .map(|words| Ok((words[2], point(words[0], words[1])?.score())))
        .collect::<Result<SmallVec<[_; 4]>>>()?;
    add_scored(context, key, options, members.into_iter())
}

fn geopos(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, members) = (arguments[0], &arguments[1..]);
    let set = context.keyspace.read::<SortedSet>(context.database, key)?;
    context.reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => write_point(context.reply, Point::of_score(score)),
            None => context.reply.null_array(),
        }
    }
    Ok(())
}

fn geohash(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, members) = (arguments[0], &arguments[1..]);
    let set = context.keyspace.read::<SortedSet>(context.database, key)?;
    context.reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => context.reply.bulk(&Point::of_score(score).geohash()),
            None => context.reply.null(),
        }
    }
    Ok(())
}

fn geodist(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let metres = match &arguments[3..] {
        [] => 1.0,
        [name] => unit(name)?,
        _ => return Err(CommandError::Syntax),
    };
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    let place = |member: &[u8]| set?.score(member).map(Point::of_score);
    match (place(arguments[1]), place(arguments[2])) {
        (Some(from), Some(to)) => write_distance(context.reply, from.distance(to) / metres),
        _ => context.reply.null(),
    }
    Ok(())
}
