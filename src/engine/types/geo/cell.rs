//! The grid of the world: at each step, every cell has four.

use std::ops::Bound;

use super::{Area, LATITUDE_MAX, LONGITUDE_MAX, Point};

/// So many bits each have latitude and longitude in a score.
pub const STEPS_MAX: u32 = 26;

/// The half of the equator in metres, as Web Mercator has it.
const WORLD_RADIUS_METRES: f64 = 20_037_726.37;

/// One cell of the grid that has 2^steps rows and as many columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The row's bits at even places, the column's at odd ones.
    bits: u64,
    steps: u32,
}

/// The ends of a range of scores.
pub type ScoreRange = (Bound<f64>, Bound<f64>);

/// The bits of a point's cell where latitudes reach to `latitude_max` on both sides.
pub fn interleaved(point: Point, latitude_max: f64, steps: u32) -> u64 {
    let index = |degrees: f64, max: f64| ((degrees + max) / (max + max) * scale(steps)) as u32;
    let row = spread(index(point.latitude, latitude_max));
    row | spread(index(point.longitude, LONGITUDE_MAX)) << 1
}

fn scale(steps: u32) -> f64 {
    (1u64 << steps) as f64
}

/// Puts a zero above each bit.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The bits at even places.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

impl Cell {
    pub fn new(bits: u64, steps: u32) -> Self {
        Self { bits, steps }
    }

    pub fn around(point: Point, steps: u32) -> Self {
        Self::new(interleaved(point, LATITUDE_MAX, steps), steps)
    }

    pub fn bits(self) -> u64 {
        self.bits
    }

    /// Degrees: west, south, east, north.
    pub fn edges(self) -> [f64; 4] {
        let edge = |index: f64, max: f64| -max + index / scale(self.steps) * (max + max);
        let (row, column) = (f64::from(gather(self.bits)), f64::from(gather(self.bits >> 1)));
        [
            edge(column, LONGITUDE_MAX),
            edge(row, LATITUDE_MAX),
            edge(column + 1.0, LONGITUDE_MAX),
            edge(row + 1.0, LATITUDE_MAX),
        ]
    }

    /// The scores of the points in it.
    pub fn scores(self) -> ScoreRange {
        let shift = (STEPS_MAX - self.steps) * 2;
        let score = |bits: u64| (bits << shift) as f64;
        (Bound::Included(score(self.bits)), Bound::Excluded(score(self.bits + 1)))
    }

    /// The cell so many columns to the east and rows to the north, around the world and over the
    /// poles' ends of the grid.
    fn neighbor(self, columns: i32, rows: i32) -> Self {
        let mask = (1u32 << self.steps) - 1;
        let moved = |index: u32, by: i32| match by {
            0 => index,
            by => index.wrapping_add_signed(by) & mask,
        };
        let row = spread(moved(gather(self.bits), rows));
        let column = spread(moved(gather(self.bits >> 1), columns));
        Self::new(row | column << 1, self.steps)
    }
}

/// The cells that an area reaches, none of them twice in a row: of a size that nine of them, a
/// square, hold all of it.
pub fn cover(area: &Area) -> impl Iterator<Item = Cell> {
    let bounds = area.bounds();
    let mut steps = steps_for(area.radius(), area.center.latitude);
    let mut center = Cell::around(area.center, steps);
    // Near an edge of its cell, the area may reach beyond the next one.
    let [_, _, _, north] = center.neighbor(0, 1).edges();
    let [_, south, _, _] = center.neighbor(0, -1).edges();
    let [_, _, east, _] = center.neighbor(1, 0).edges();
    let [west, _, _, _] = center.neighbor(-1, 0).edges();
    let is_outside =
        north < bounds.north || south > bounds.south || east < bounds.east || west > bounds.west;
    if steps > 1 && is_outside {
        steps -= 1;
        center = Cell::around(area.center, steps);
    }
    let [west, south, east, north] = center.edges();
    // With two rows and columns, every other cell is at both sides.
    let leaves_out = steps >= 2;
    let is_reached = move |&(columns, rows): &(i32, i32)| {
        !(leaves_out
            && (rows < 0 && south < bounds.south
                || rows > 0 && north > bounds.north
                || columns < 0 && west < bounds.west
                || columns > 0 && east > bounds.east))
    };
    const AROUND: [(i32, i32); 9] =
        [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    let mut last = None;
    AROUND
        .into_iter()
        .filter(is_reached)
        .map(move |(columns, rows)| center.neighbor(columns, rows))
        .filter(move |&cell| last.replace(cell) != Some(cell))
}

/// How fine a grid may be for nine of its cells to hold a circle of this radius, in metres.
fn steps_for(radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = 1;
    let mut reach = radius;
    while reach < WORLD_RADIUS_METRES {
        reach *= 2.0;
        steps += 1;
    }
    // Cells become narrow towards the poles.
    let narrow = match latitude.abs() {
        latitude if latitude > 80.0 => 2,
        latitude if latitude > 66.0 => 1,
        _ => 0,
    };
    (steps - 2 - narrow).clamp(1, STEPS_MAX as i32) as u32
}
