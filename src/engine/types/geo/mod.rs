//! Places on Earth as scores of a sorted set: 26 bits each of latitude and longitude, interleaved,
//! so that what is near has often a near score. Redis's projection, radius of the Earth and way to
//! search.
//!
//! Distances decide what a write stores, so all nodes must compute the same ones: the functions of
//! angles come from `libm`, whose results do not depend on the machine. What else is used here,
//! IEEE 754 defines to the last bit.

mod cell;
#[cfg(test)]
mod tests;

use cell::Cell;
pub use cell::ScoreRange;

const LONGITUDE_MAX: f64 = 180.0;
/// Where Web Mercator ends, so that the world is a square.
const LATITUDE_MAX: f64 = 85.051_128_78;

const EARTH_RADIUS_METRES: f64 = 6_372_797.560_856;

/// In degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub longitude: f64,
    pub latitude: f64,
}

/// Around a centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Radius in metres.
    Circle(f64),
    /// Width and height in metres.
    Rectangle(f64, f64),
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub center: Point,
    pub shape: Shape,
}

/// Degrees that an area reaches to, which may lie beyond the ends of the world.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Point {
    /// `None` where there is no score for it.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let is_valid = longitude.abs() <= LONGITUDE_MAX && latitude.abs() <= LATITUDE_MAX;
        is_valid.then_some(Self { longitude, latitude })
    }

    /// 52 bits, which a double holds exactly.
    pub fn score(self) -> f64 {
        Cell::around(self, cell::STEPS_MAX).bits() as f64
    }

    /// The middle of the places that have this score.
    pub fn of_score(score: f64) -> Self {
        // A score that no place has gives some place all the same; below zero as C has it.
        let bits = if score < 0.0 { score as i64 as u64 } else { score as u64 };
        let [west, south, east, north] = Cell::new(bits, cell::STEPS_MAX).edges();
        Self {
            longitude: ((west + east) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((south + north) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The way along the surface of a sphere, in metres.
    pub fn distance(self, other: Self) -> f64 {
        let longitudes = other.longitude.to_radians_exactly() - self.longitude.to_radians_exactly();
        let across = libm::sin(longitudes / 2.0);
        if across == 0.0 {
            return self.latitude_distance(other);
        }
        let [from, to] = [self, other].map(|point| point.latitude.to_radians_exactly());
        let along = libm::sin((to - from) / 2.0);
        let haversine = along * along + libm::cos(from) * libm::cos(to) * across * across;
        // Rounding may carry the way to the other side of the world beyond it.
        2.0 * EARTH_RADIUS_METRES * libm::asin(haversine.sqrt().min(1.0))
    }

    fn latitude_distance(self, other: Self) -> f64 {
        let [from, to] = [self, other].map(|point| point.latitude.to_radians_exactly());
        EARTH_RADIUS_METRES * (to - from).abs()
    }

    /// The geohash that others know: of the whole range of latitudes, in their base 32. Of its 11
    /// characters the score has bits for 10; the last is always `0`.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = cell::interleaved(self, 90.0, cell::STEPS_MAX);
        let mut text = [ALPHABET[0]; 11];
        for (position, character) in text[..10].iter_mut().enumerate() {
            let shift = cell::STEPS_MAX * 2 - 5 * (position as u32 + 1);
            *character = ALPHABET[(bits >> shift) as usize % ALPHABET.len()];
        }
        text
    }
}

/// [`f64::to_radians`] promises no particular rounding.
trait Radians {
    fn to_radians_exactly(self) -> f64;
}

impl Radians for f64 {
    fn to_radians_exactly(self) -> f64 {
        self * (std::f64::consts::PI / 180.0)
    }
}

impl Area {
    /// The distance of a point in metres; `None` if it lies outside.
    pub fn distance_within(&self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle(radius) => {
                let distance = self.center.distance(point);
                (distance <= radius).then_some(distance)
            }
            Shape::Rectangle(width, height) => {
                let beside = Point { longitude: self.center.longitude, ..point };
                let is_within = self.center.latitude_distance(point) <= height / 2.0
                    && point.distance(beside) <= width / 2.0;
                is_within.then(|| self.center.distance(point))
            }
        }
    }

    /// The scores where points of the area may be, in the order in which Redis searches them: the
    /// cell of the centre, then those around it that the area reaches.
    pub fn scores(&self) -> impl Iterator<Item = ScoreRange> {
        cell::cover(self).map(|cell| cell.scores())
    }

    /// Half the way across it, in metres.
    fn radius(&self) -> f64 {
        match self.shape {
            Shape::Circle(radius) => radius,
            Shape::Rectangle(width, height) => {
                let (width, height) = (width / 2.0, height / 2.0);
                (width * width + height * height).sqrt()
            }
        }
    }

    fn bounds(&self) -> Bounds {
        let (width, height) = match self.shape {
            Shape::Circle(radius) => (radius, radius),
            Shape::Rectangle(width, height) => (width / 2.0, height / 2.0),
        };
        let Point { longitude, latitude } = self.center;
        let degrees = |radians: f64| radians / (std::f64::consts::PI / 180.0);
        let latitudes = degrees(height / EARTH_RADIUS_METRES);
        // Degrees of longitude are shorter at the edge that is nearer to a pole.
        let edge = if latitude < 0.0 { latitude - latitudes } else { latitude + latitudes };
        let circle = libm::cos(edge.to_radians_exactly());
        let longitudes = degrees(width / EARTH_RADIUS_METRES / circle);
        Bounds {
            west: longitude - longitudes,
            south: latitude - latitudes,
            east: longitude + longitudes,
            north: latitude + latitudes,
        }
    }
}
