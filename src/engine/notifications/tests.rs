//! Tests of which classes there are, and of their text.

use super::*;

#[test]
fn the_text_of_classes_is_redis_s() {
    let cases = [
        ("KEA", "AKE"),
        ("KEgxn", "gxnKE"),
        ("", ""),
        ("A", "A"),
        ("Kg", "gK"),
        ("Elshztdmnxe", "lshzxetdnEm"),
        ("KEAm", "AKEm"),
        ("KEAmn", "AnKEm"),
        ("KEg$lshzxetd", "AKE"),
        ("KE$g", "g$KE"),
        ("mn", "nm"),
        ("gg", "g"),
    ];
    for (given, shown) in cases {
        let classes = EventClasses::parse(given.as_bytes()).unwrap();
        assert_eq!(classes.text(), shown, "{given}");
        assert_eq!(EventClasses::parse(shown.as_bytes()), Ok(classes), "{given}");
    }
    for wrong in ["q", "K E", "KEa", "k"] {
        assert_eq!(EventClasses::parse(wrong.as_bytes()), Err(UnknownClass), "{wrong}");
    }
}
