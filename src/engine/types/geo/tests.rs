use std::collections::HashSet;
use std::ops::Bound;

use super::{Area, LATITUDE_MAX, LONGITUDE_MAX, Point, Shape};
use crate::engine::random::Random;

fn point(random: &mut Random) -> Point {
    let mut degrees = |max: f64| (random.below(2_000_001) as f64 / 1e6 - 1.0) * max;
    Point { longitude: degrees(LONGITUDE_MAX), latitude: degrees(LATITUDE_MAX) }
}

#[test]
fn a_score_gives_its_place_back_to_less_than_a_metre() {
    let mut random = Random::new(1);
    for _ in 0..2_000 {
        let from = point(&mut random);
        let score = from.score();
        let back = Point::of_score(score);
        assert!(from.distance(back) < 1.0, "{from:?} {back:?}");
        assert!(score >= 0.0 && score < (1u64 << 52) as f64);
        assert_eq!(back.score(), score);
    }
}

#[test]
fn only_points_of_the_projection_have_scores() {
    assert!(Point::new(180.0, 85.051_128_78).is_some());
    assert!(Point::new(-180.0, -85.051_128_78).is_some());
    for (longitude, latitude) in
        [(180.1, 0.0), (-180.1, 0.0), (0.0, 85.06), (0.0, -85.06), (f64::INFINITY, 0.0)]
    {
        assert_eq!(Point::new(longitude, latitude), None);
    }
    // Scores that no point has.
    for score in [-1.0, -1e300, 1e300, f64::INFINITY] {
        let Point { longitude, latitude } = Point::of_score(score);
        assert!(Point::new(longitude, latitude).is_some());
    }
}

#[test]
fn distances_are_those_of_a_sphere() {
    let origin = Point { longitude: 0.0, latitude: 0.0 };
    let quarter = std::f64::consts::FRAC_PI_2 * 6_372_797.560_856;
    let east = Point { longitude: 90.0, ..origin };
    let opposite = Point { longitude: 180.0, ..origin };
    assert!((origin.distance(east) - quarter).abs() < 1e-6);
    assert!((origin.distance(opposite) - 2.0 * quarter).abs() < 1e-6);
    assert_eq!(origin.distance(origin), 0.0);
    let mut random = Random::new(2);
    for _ in 0..2_000 {
        let from = point(&mut random);
        let to = Point { longitude: from.longitude - 180.0, latitude: -from.latitude };
        assert!((from.distance(to) - 2.0 * quarter).abs() < 1.0);
    }
}

/// To the last bit: nodes would disagree otherwise.
#[test]
fn distances_do_not_depend_on_the_machine() {
    let palermo = Point::of_score(Point { longitude: 13.361389, latitude: 38.115556 }.score());
    let catania = Point::of_score(Point { longitude: 15.087269, latitude: 37.502669 }.score());
    assert_eq!(palermo.distance(catania).to_bits(), DISTANCE.to_bits());
}

const DISTANCE: f64 = 166_274.15156960033;

#[test]
fn the_cells_of_an_area_hold_every_point_in_it_once() {
    let mut random = Random::new(3);
    let points: Vec<Point> = (0..3_000).map(|_| point(&mut random)).collect();
    for _ in 0..300 {
        // Cells are too narrow near the poles to have all that is near beside them.
        let center = point(&mut random);
        let center = Point { latitude: center.latitude * 0.7, ..center };
        let size = 10f64.powi(random.below(5) as i32 + 2) * 2.0;
        let shape = match random.below(2) {
            0 => Shape::Circle(size),
            _ => Shape::Rectangle(size, size * 1.5),
        };
        let area = Area { center, shape };
        let ranges: Vec<_> = area.scores().collect();
        assert!((1..=9).contains(&ranges.len()));
        let distinct: HashSet<String> = ranges.iter().map(|range| format!("{range:?}")).collect();
        assert_eq!(distinct.len(), ranges.len());
        for &point in &points {
            // Nor is it all beside them what is near across the date line.
            let is_near = (point.longitude - center.longitude).abs() < 90.0;
            let score = point.score();
            let holds = |range: &&super::ScoreRange| {
                let (Bound::Included(min), Bound::Excluded(max)) = **range else {
                    panic!("{range:?}")
                };
                (min..max).contains(&score)
            };
            if is_near && area.distance_within(point).is_some() {
                assert_eq!(ranges.iter().filter(holds).count(), 1, "{area:?} {point:?}");
            }
        }
    }
}
