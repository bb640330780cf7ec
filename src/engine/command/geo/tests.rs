use crate::engine::testing::{check_all, check3, engine};

const SYNTAX: &str = "-ERR syntax error\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const BAD_UNIT: &str = "-ERR unsupported unit provided. please use M, KM, FT, MI\r\n";
const NO_MEMBER: &str = "-ERR could not decode requested zset member\r\n";
const BOTH: &str = "*2\r\n$7\r\nPalermo\r\n$7\r\nCatania\r\n";

#[test]
fn members_are_added_with_their_places() {
    let cases = [
        ("GEOADD g 13.361389 38.115556", "-ERR wrong number of arguments for 'geoadd' command\r\n"),
        ("GEOADD g 13.361389 38.115556 a b", SYNTAX),
        ("GEOADD g NX XX 13 38 a", SYNTAX),
        ("GEOADD g NX CH NX", SYNTAX),
        ("GEOADD g x 38 a", "-ERR value is not a valid float\r\n"),
        ("GEOADD g 13 x a", "-ERR value is not a valid float\r\n"),
        ("GEOADD g 181 38 a", "-ERR invalid longitude,latitude pair 181.000000,38.000000\r\n"),
        (
            "GEOADD g 13 38 a -200.5 -90 b",
            "-ERR invalid longitude,latitude pair -200.500000,-90.000000\r\n",
        ),
        ("GEOADD g inf 38 a", "-ERR invalid longitude,latitude pair inf,38.000000\r\n"),
        ("EXISTS g", ":0\r\n"),
        ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2\r\n"),
        ("GEOADD g NX 0 0 Palermo 12.758489 38.788135 edge1", ":1\r\n"),
        ("GEOADD g XX CH 17.241510 38.788135 edge1 0 0 new", ":1\r\n"),
        ("GEOADD g CH 17.241510 38.788135 edge1 17.24151 38.788135 edge2", ":1\r\n"),
        ("GEOADD none XX 1 1 a", ":0\r\n"),
        ("EXISTS none", ":0\r\n"),
        ("ZSCORE g Palermo", "$16\r\n3479099956230698\r\n"),
        ("TYPE g", "+zset\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn the_type_of_the_key_is_looked_at_before_centre_and_shape() {
    let cases = [
        ("RPUSH l a", ":1\r\n"),
        ("GEOADD l 1 1 a", WRONG_TYPE),
        ("GEOADD l x 1 a", "-ERR value is not a valid float\r\n"),
        ("GEOPOS l a", WRONG_TYPE),
        ("GEOHASH l a", WRONG_TYPE),
        ("GEODIST l a b", WRONG_TYPE),
        ("GEODIST l a b yd", BAD_UNIT),
        ("GEORADIUS l x y 1 m", WRONG_TYPE),
        ("GEOSEARCH l FROMLONLAT x y BYRADIUS 1 m", WRONG_TYPE),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn places_and_distances_are_told() {
    let cases = [
        ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2\r\n"),
        ("GEOADD g 17.24151 38.788135 edge1 17.24151 38.788135 edge2", ":2\r\n"),
        ("GEODIST g Palermo Catania", "$11\r\n166274.1516\r\n"),
        ("GEODIST g Palermo Catania KM", "$8\r\n166.2742\r\n"),
        ("GEODIST g Palermo Catania mi", "$8\r\n103.3182\r\n"),
        ("GEODIST g Palermo Catania ft", "$11\r\n545518.8700\r\n"),
        ("GEODIST g Palermo Palermo", "$6\r\n0.0000\r\n"),
        ("GEODIST g Palermo none", "$-1\r\n"),
        ("GEODIST none a b", "$-1\r\n"),
        ("GEODIST g Palermo Catania yd", BAD_UNIT),
        ("GEODIST g Palermo Catania m m", SYNTAX),
        (
            "GEOHASH g Palermo none Catania",
            "*3\r\n$11\r\nsqc8b49rny0\r\n$-1\r\n$11\r\nsqdtr74hyu0\r\n",
        ),
        ("GEOHASH g", "*0\r\n"),
        ("GEOHASH none a", "*1\r\n$-1\r\n"),
        (
            "GEOPOS g Palermo none",
            "*2\r\n*2\r\n$20\r\n13.36138933897018433\r\n$20\r\n38.11555639549629859\r\n*-1\r\n",
        ),
        ("GEOPOS g", "*0\r\n"),
        ("GEOPOS none a", "*1\r\n*-1\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn members_around_a_place_are_found_or_stored() {
    let cases = [
        ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2\r\n"),
        ("GEOADD g 17.24151 38.788135 edge1 17.24151 38.788135 edge2", ":2\r\n"),
        ("GEORADIUS g 15 37 200 km", BOTH),
        ("GEORADIUS g 15 37 200 km DESC", BOTH),
        (
            "GEORADIUS g 15 37 200 km WITHDIST WITHCOORD WITHHASH COUNT 1",
            "*1\r\n*4\r\n$7\r\nCatania\r\n$7\r\n56.4413\r\n:3479447370796909\r\n*2\r\n$20\r\n\
            15.08726745843887329\r\n$20\r\n37.50266842333162032\r\n",
        ),
        ("GEORADIUS g 15 37 -1 km", "-ERR radius cannot be negative\r\n"),
        ("GEORADIUS g 15 37 x km", "-ERR need numeric radius\r\n"),
        ("GEORADIUS g 15 37 200 yd", BAD_UNIT),
        (
            "GEORADIUS g 15 97 200 km",
            "-ERR invalid longitude,latitude pair 15.000000,97.000000\r\n",
        ),
        ("GEORADIUS g 15 37 200 km FOO", SYNTAX),
        ("GEORADIUS g 15 37 200 km COUNT 0", "-ERR COUNT must be > 0\r\n"),
        ("GEORADIUS g 15 37 200 km COUNT x", "-ERR value is not an integer or out of range\r\n"),
        ("GEORADIUS g 15 37 200 km COUNT", SYNTAX),
        ("GEORADIUS g 15 37 200 km ANY", "-ERR the ANY argument requires COUNT argument\r\n"),
        (
            "GEORADIUS g 15 37 200 km WITHDIST STORE d",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
            WITHCOORD options\r\n",
        ),
        ("GEORADIUS g 15 37 200 km STORE", SYNTAX),
        ("GEORADIUS_RO g 15 37 200 km STORE d", SYNTAX),
        ("GEORADIUS none 15 37 200 km", "*0\r\n"),
        ("GEORADIUS none 15 37 200 yd", BAD_UNIT),
        ("GEORADIUSBYMEMBER g none 200 km", NO_MEMBER),
        ("GEORADIUSBYMEMBER none a x yd", "*0\r\n"),
        ("GEORADIUSBYMEMBER none a x yd FOO", SYNTAX),
        ("GEORADIUSBYMEMBER g Palermo 200 km ASC", BOTH),
        ("GEORADIUSBYMEMBER_RO g Palermo 200 km DESC COUNT 1", "*1\r\n$7\r\nCatania\r\n"),
        ("GEORADIUSBYMEMBER_RO g Palermo 200 km STOREDIST d", SYNTAX),
        ("GEORADIUS g 15 37 200 km STORE d", ":2\r\n"),
        ("ZRANGE d 0 -1", BOTH),
        ("GEODIST d Palermo Catania", "$11\r\n166274.1516\r\n"),
        ("GEORADIUS g 15 37 200 km STOREDIST d DESC COUNT 1", ":1\r\n"),
        ("ZRANGE d 0 -1", "*1\r\n$7\r\nPalermo\r\n"),
        ("GEORADIUSBYMEMBER g Palermo 1 m STORE d", ":1\r\n"),
        ("ZRANGE d 0 -1", "*1\r\n$7\r\nPalermo\r\n"),
        ("GEORADIUS g 0 0 1 m STORE d", ":0\r\n"),
        ("EXISTS d", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn members_in_an_area_are_found_or_stored() {
    let cases = [
        ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2\r\n"),
        ("GEOADD g 17.24151 38.788135 edge1 17.24151 38.788135 edge2", ":2\r\n"),
        ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km ASC", BOTH),
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC",
            "*4\r\n$7\r\nCatania\r\n$7\r\nPalermo\r\n$5\r\nedge1\r\n$5\r\nedge2\r\n",
        ),
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 2 WITHDIST",
            "*2\r\n*2\r\n$7\r\nCatania\r\n$7\r\n56.4413\r\n*2\r\n$7\r\nPalermo\r\n$8\r\n\
            190.4424\r\n",
        ),
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km DESC COUNT 1 ANY",
            "*1\r\n$7\r\nPalermo\r\n",
        ),
        (
            "GEOSEARCH g BYBOX 400 400 km FROMLONLAT 15 37 DESC",
            "*4\r\n$5\r\nedge1\r\n$5\r\nedge2\r\n$7\r\nPalermo\r\n$7\r\nCatania\r\n",
        ),
        ("GEOSEARCH g FROMLONLAT 15 37 FROMMEMBER Palermo BYRADIUS 1 m", SYNTAX),
        ("GEOSEARCH g FROMMEMBER Palermo FROMLONLAT 15 37 BYRADIUS 1 m", SYNTAX),
        ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m BYBOX 1 1 m", SYNTAX),
        ("GEOSEARCH g FROMMEMBER Palermo BYBOX 1 1 m BYRADIUS 1 m", SYNTAX),
        (
            "GEOSEARCH g FROMMEMBER Palermo ASC ASC ASC",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH\r\n",
        ),
        (
            "GEOSEARCH g BYRADIUS 1 m ASC ASC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH\r\n",
        ),
        ("GEOSEARCH g FROMMEMBER none BYRADIUS 1 m", NO_MEMBER),
        ("GEOSEARCH none FROMMEMBER none BYRADIUS 1 m", "*0\r\n"),
        (
            "GEOSEARCH g FROMMEMBER Palermo BYBOX -1 1 m",
            "-ERR height or width cannot be negative\r\n",
        ),
        ("GEOSEARCH g FROMMEMBER Palermo BYBOX x 1 m", "-ERR need numeric width\r\n"),
        ("GEOSEARCH g FROMMEMBER Palermo BYBOX 1 x m", "-ERR need numeric height\r\n"),
        ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m STOREDIST", SYNTAX),
        ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m STORE d", SYNTAX),
        (
            "GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD \
            options\r\n",
        ),
        (
            "GEOSEARCHSTORE d g FROMMEMBER Palermo ASC ASC ASC",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCHSTORE\r\n",
        ),
        (
            "GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km ANY",
            "-ERR the ANY argument requires COUNT argument\r\n",
        ),
        ("GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km", ":2\r\n"),
        ("ZRANGE d 0 -1", BOTH),
        ("GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 200 km STOREDIST COUNT 1 DESC", ":1\r\n"),
        ("ZRANGE d 0 -1", "*1\r\n$7\r\nCatania\r\n"),
        ("GEOSEARCHSTORE g g FROMMEMBER Catania BYBOX 1 1 m", ":1\r\n"),
        ("ZRANGE g 0 -1", "*1\r\n$7\r\nCatania\r\n"),
        ("GEOSEARCHSTORE d none FROMMEMBER a BYRADIUS 1 m", ":0\r\n"),
        ("EXISTS d", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn places_are_doubles_for_resp3() {
    let mut engine = engine();
    check3(
        &mut engine,
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        ":2\r\n",
    );
    check3(&mut engine, "GEODIST g Palermo Catania", "$11\r\n166274.1516\r\n");
    check3(&mut engine, "GEODIST g Palermo none", "_\r\n");
    check3(
        &mut engine,
        "GEOPOS g Palermo none",
        "*2\r\n*2\r\n,13.36138933897018433\r\n,38.11555639549629859\r\n_\r\n",
    );
    check3(&mut engine, "GEOHASH g none", "*1\r\n_\r\n");
    check3(
        &mut engine,
        "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 0 m WITHDIST WITHHASH WITHCOORD",
        "*1\r\n*4\r\n$7\r\nPalermo\r\n$6\r\n0.0000\r\n:3479099956230698\r\n*2\r\n\
            ,13.36138933897018433\r\n,38.11555639549629859\r\n",
    );
}
