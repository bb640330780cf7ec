//! GEOSEARCH, GEORADIUS and their kin: what lies in an area, to be answered or stored.
//!
//! They differ in where the centre and the shape are given, and in what else may be. As in Redis,
//! the type of the key is looked at first, then word by word, which decides what error a client
//! sees.

use super::super::Context;
use super::super::sorted_set::store;
use super::{Result, point, unit, write_distance, write_point};
use crate::engine::error::CommandError;
use crate::engine::number::{integer, parse_float};
use crate::engine::reply::Reply;
use crate::engine::types::geo::{Area, Point, Shape};
use crate::engine::types::sorted_set::SortedSet;

/// Which command it is, as far as its words are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Centre and radius come first; what is found may be stored.
    Radius,
    RadiusReadOnly,
    Search,
    SearchStore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// As the cells are searched.
    None,
    NearestFirst,
    FarthestFirst,
}

/// Where a search begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Center {
    Place(Point),
    /// The place of a member; `None` if there is not even a sorted set.
    Member(Option<Point>),
}

/// The words of a command, read.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    center: Option<Center>,
    /// With the metres of the unit that it was given in.
    shape: Option<(Shape, f64)>,
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    order: Order,
    /// 0: as many as there are.
    count: usize,
    /// The first ones found will do.
    any: bool,
    target: Option<&'a [u8]>,
    stores_distance: bool,
}

/// A member in the area.
struct Found<'a> {
    member: &'a [u8],
    score: f64,
    point: Point,
    metres: f64,
}

fn number(argument: &[u8], error: &'static str) -> Result<f64> {
    parse_float(argument).ok_or(CommandError::text(error))
}

/// A radius and its unit.
fn circle(radius: &[u8], name: &[u8]) -> Result<(Shape, f64)> {
    let radius = number(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    let metres = unit(name)?;
    Ok((Shape::Circle(radius * metres), metres))
}

/// Width, height and their unit.
fn rectangle(width: &[u8], height: &[u8], name: &[u8]) -> Result<(Shape, f64)> {
    let width = number(width, "ERR need numeric width")?;
    let height = number(height, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    let metres = unit(name)?;
    Ok((Shape::Rectangle(width * metres, height * metres), metres))
}

/// Where a member of the searched set is.
fn place_of(set: Option<&SortedSet>, member: &[u8]) -> Result<Center> {
    let Some(set) = set else { return Ok(Center::Member(None)) };
    match set.score(member) {
        Some(score) => Ok(Center::Member(Some(Point::of_score(score)))),
        None => Err(CommandError::text("ERR could not decode requested zset member")),
    }
}

impl<'a> Request<'a> {
    fn new(center: Option<Center>, shape: Option<(Shape, f64)>, target: Option<&'a [u8]>) -> Self {
        Self {
            center,
            shape,
            with_distance: false,
            with_hash: false,
            with_point: false,
            order: Order::None,
            count: 0,
            any: false,
            target,
            stores_distance: false,
        }
    }

    fn parse(
        mut self,
        form: Form,
        set: Option<&SortedSet>,
        mut words: &[&'a [u8]],
    ) -> Result<Self> {
        while let Some((word, rest)) = words.split_first() {
            let word = word.to_ascii_lowercase();
            words = match (word.as_slice(), rest) {
                (b"withdist" | b"withhash" | b"withcoord" | b"any" | b"asc" | b"desc", _) => {
                    self.set(&word);
                    rest
                }
                (b"count", [count, rest @ ..]) => {
                    let count = usize::try_from(integer(count)?).unwrap_or(0);
                    if count == 0 {
                        return Err(CommandError::text("ERR COUNT must be > 0"));
                    }
                    self.count = count;
                    rest
                }
                (b"store" | b"storedist", [target, rest @ ..]) if form == Form::Radius => {
                    self.target = Some(target);
                    self.stores_distance = word == b"storedist";
                    rest
                }
                (b"storedist", _) if form == Form::SearchStore => {
                    self.stores_distance = true;
                    rest
                }
                (word, rest) if form.is_search() => self.parse_area(set, word, rest)?,
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(self)
    }

    /// The options that are centre and shape; returns the words behind. Either may be given twice,
    /// but not in two ways.
    fn parse_area<'b>(
        &mut self,
        set: Option<&SortedSet>,
        word: &[u8],
        rest: &'b [&'a [u8]],
    ) -> Result<&'b [&'a [u8]]> {
        let by_place = matches!(self.center, Some(Center::Place(_)));
        let by_member = matches!(self.center, Some(Center::Member(_)));
        let by_circle = matches!(self.shape, Some((Shape::Circle(_), _)));
        let by_rectangle = matches!(self.shape, Some((Shape::Rectangle(..), _)));
        Ok(match (word, rest) {
            (b"frommember", [member, rest @ ..]) if !by_place => {
                self.center = Some(place_of(set, member)?);
                rest
            }
            (b"fromlonlat", [longitude, latitude, rest @ ..]) if !by_member => {
                self.center = Some(Center::Place(point(longitude, latitude)?));
                rest
            }
            (b"byradius", [radius, name, rest @ ..]) if !by_rectangle => {
                self.shape = Some(circle(radius, name)?);
                rest
            }
            (b"bybox", [width, height, name, rest @ ..]) if !by_circle => {
                self.shape = Some(rectangle(width, height, name)?);
                rest
            }
            _ => return Err(CommandError::Syntax),
        })
    }

    /// Precondition: `word` is an option without arguments, in lower case.
    fn set(&mut self, word: &[u8]) {
        match word {
            b"withdist" => self.with_distance = true,
            b"withhash" => self.with_hash = true,
            b"withcoord" => self.with_point = true,
            b"any" => self.any = true,
            b"asc" => self.order = Order::NearestFirst,
            _ => self.order = Order::FarthestFirst,
        }
    }

    /// Whether the words go together.
    fn check(&self, form: Form) -> Result {
        let shows = self.with_distance || self.with_hash || self.with_point;
        if self.target.is_some() && shows {
            let text = match form {
                Form::SearchStore => {
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD \
                     options"
                }
                _ => {
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                     WITHCOORD options"
                }
            };
            return Err(CommandError::text(text));
        }
        if form.is_search() {
            let name = if form == Form::Search { "GEOSEARCH" } else { "GEOSEARCHSTORE" };
            let missing = if self.center.is_none() {
                "FROMMEMBER or FROMLONLAT"
            } else if self.shape.is_none() {
                "BYRADIUS and BYBOX"
            } else {
                ""
            };
            if !missing.is_empty() {
                let text = format!("ERR exactly one of {missing} can be specified for {name}");
                return Err(CommandError::Text(text.into()));
            }
        }
        if self.any && self.count == 0 {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// What is asked for of a set, in its order.
    fn find<'b>(&self, set: &'b SortedSet, area: &Area) -> Vec<Found<'b>> {
        let mut found = Vec::new();
        let enough = if self.any { self.count } else { usize::MAX };
        'search: for (min, max) in area.scores() {
            for (member, score) in set.range(set.ranks_by_score(min, max)) {
                let point = Point::of_score(score);
                if let Some(metres) = area.distance_within(point) {
                    found.push(Found { member, score, point, metres });
                    if found.len() == enough {
                        break 'search;
                    }
                }
            }
        }
        let order = match self.order {
            // The nearest ones, unless any will do.
            Order::None if self.count > 0 && !self.any => Order::NearestFirst,
            order => order,
        };
        match order {
            Order::None => {}
            Order::NearestFirst => found.sort_by(|a, b| a.metres.total_cmp(&b.metres)),
            Order::FarthestFirst => found.sort_by(|a, b| b.metres.total_cmp(&a.metres)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    /// Answers what is found in `set`, `None` if that is not there, or returns it to be stored.
    fn run(
        &self,
        form: Form,
        set: Option<&SortedSet>,
        reply: &mut Reply,
    ) -> Result<Option<(&'a [u8], SortedSet)>> {
        self.check(form)?;
        let (found, unit_metres) = match (set, self.center, self.shape) {
            (
                Some(set),
                Some(Center::Place(center) | Center::Member(Some(center))),
                Some((shape, unit_metres)),
            ) => (self.find(set, &Area { center, shape }), unit_metres),
            _ => (Vec::new(), 1.0),
        };
        let Some(target) = self.target else {
            self.write(reply, &found, unit_metres);
            return Ok(None);
        };
        let mut stored = SortedSet::default();
        for found in found {
            let is_distance = self.stores_distance;
            let score = if is_distance { found.metres / unit_metres } else { found.score };
            stored.insert(found.member, score);
        }
        Ok(Some((target, stored)))
    }

    fn write(&self, reply: &mut Reply, found: &[Found<'_>], unit_metres: f64) {
        let shown = [self.with_distance, self.with_hash, self.with_point];
        let extras = shown.into_iter().filter(|&shown| shown).count();
        reply.array(found.len());
        for found in found {
            if extras > 0 {
                reply.array(1 + extras);
            }
            reply.bulk(found.member);
            if self.with_distance {
                write_distance(reply, found.metres / unit_metres);
            }
            if self.with_hash {
                reply.integer(found.score as i64);
            }
            if self.with_point {
                write_point(reply, found.point);
            }
        }
    }
}

impl Form {
    /// Whether centre and shape are options.
    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }
}

fn by_radius(context: &mut Context<'_>, arguments: &[&[u8]], form: Form) -> Result {
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    let center = Center::Place(point(arguments[1], arguments[2])?);
    let shape = circle(arguments[3], arguments[4])?;
    let request = Request::new(Some(center), Some(shape), None);
    let request = request.parse(form, set, &arguments[5..])?;
    let stored = request.run(form, set, context.reply)?;
    keep(context, stored, "georadiusstore")
}

fn by_member(context: &mut Context<'_>, arguments: &[&[u8]], form: Form) -> Result {
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    let center = place_of(set, arguments[1])?;
    // Without a set, the radius is not even read.
    let shape = set.map(|_| circle(arguments[2], arguments[3])).transpose()?;
    let request = Request::new(Some(center), shape, None);
    let request = request.parse(form, set, &arguments[4..])?;
    let stored = request.run(form, set, context.reply)?;
    keep(context, stored, "georadiusstore")
}

fn by_options(
    context: &mut Context<'_>,
    source: &[u8],
    target: Option<&[u8]>,
    words: &[&[u8]],
) -> Result {
    let form = if target.is_some() { Form::SearchStore } else { Form::Search };
    let set = context.keyspace.read::<SortedSet>(context.database, source)?;
    let request = Request::new(None, None, target).parse(form, set, words)?;
    let stored = request.run(form, set, context.reply)?;
    keep(context, stored, "geosearchstore")
}

/// Stores what is to be stored, and answers how many members that are.
fn keep(
    context: &mut Context<'_>,
    stored: Option<(&[u8], SortedSet)>,
    event: &'static str,
) -> Result {
    if let Some((target, set)) = stored {
        store(context, target, set, event);
    }
    Ok(())
}

pub(super) fn georadius(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    by_radius(context, arguments, Form::Radius)
}

pub(super) fn georadius_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    by_radius(context, arguments, Form::RadiusReadOnly)
}

pub(super) fn georadiusbymember(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    by_member(context, arguments, Form::Radius)
}

pub(super) fn georadiusbymember_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    by_member(context, arguments, Form::RadiusReadOnly)
}

pub(super) fn geosearch(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    by_options(context, arguments[0], None, &arguments[1..])
}

pub(super) fn geosearchstore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    by_options(context, arguments[1], Some(arguments[0]), &arguments[2..])
}
