//! Rules in, rules out; what they allow; and that what is printed makes the same user again.

use proptest::prelude::*;

use super::{Acl, DEFAULT_USER, Denial, Seed, User, parse_line};
use crate::engine::command::lookup;

/// The words of a line; what stands in parentheses is one.
fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes).collect()
}

/// What ACL LIST shows behind the flags of a fresh user to whom these rules were given, or the
/// error.
fn set(rules: &str) -> String {
    let mut acl = Acl::default();
    match acl.set_user(b"u", &words(rules)) {
        Ok(()) => {
            let line = String::from_utf8(acl.get(b"u").unwrap().line()).unwrap();
            line.strip_prefix("user u off sanitize-payload ").unwrap_or(&line).to_owned()
        }
        Err(error) => {
            assert!(acl.get(b"u").is_none(), "{rules}");
            error.to_string()
        }
    }
}

#[test]
fn rules_on_commands_are_kept_in_order_without_those_that_others_replace() {
    let cases = [
        ("", "-@all"),
        ("+@read", "-@all +@read"),
        ("+get -get +@read", "-@all -get +@read"),
        ("+@all -@hash -@slow +hget", "+@all -@hash -@slow +hget"),
        ("+@all -@hash -@slow +hget -@hash", "+@all -@slow +hget -@hash"),
        ("+@all -@hash -@slow +hget -@hash +@hash", "+@all -@slow +hget +@hash"),
        ("+@all -@hash -@all", "-@all"),
        ("-@string -@slow +@all", "+@all"),
        ("+@HASH +@hash +@HaSh", "-@all +@hash"),
        ("+HGET +hget +hGeT", "-@all +hget"),
        ("+@hash +@slow +@set +@set +@slow +@hash", "-@all +@set +@slow +@hash"),
        ("+hget -hset +hset -hget", "-@all +hset -hget"),
        (
            "+client|list +client|list +config|get +config +acl|list -acl",
            "-@all +client|list +config -acl",
        ),
        ("+select|0 +select|0 +memory|usage +memory", "-@all +select|0 +memory"),
        ("-@dangerous", "-@all -@dangerous"),
        ("+config +config|get -config|set +config", "-@all +config"),
        ("allcommands nocommands", "-@all"),
        ("ALLCOMMANDS -keys", "+@all -keys"),
        ("+select|0 +select|1 -select", "-@all -select"),
        ("+GET|X", "-@all +get|x"),
        ("+config -config|SET", "-@all +config -config|set"),
    ];
    for (rules, expected) in cases {
        assert_eq!(set(rules), format!("resetchannels {expected}"), "{rules}");
    }
}

/// What redis-server makes of these rules.
#[test]
fn keys_channels_passwords_and_selectors_are_those_of_redis() {
    let cases = [
        ("~x allkeys", "~* resetchannels -@all"),
        ("~x ~x ~y", "~x ~y resetchannels -@all"),
        ("%R~x ~x", "~x resetchannels -@all"),
        ("~x %R~x", "~x resetchannels -@all"),
        ("%R~x %W~x", "~x resetchannels -@all"),
        ("%RW~x %W~y %r~z", "~x %W~y %R~z resetchannels -@all"),
        ("%R", "%R~ resetchannels -@all"),
        ("%R~*", "%R~* resetchannels -@all"),
        ("%RW~*", "~* resetchannels -@all"),
        ("%R~* %W~*", "~* resetchannels -@all"),
        ("~* resetkeys ~x", "~x resetchannels -@all"),
        ("allchannels resetchannels &x", "resetchannels &x -@all"),
        ("&x &*", "&* -@all"),
        ("&x &x &y", "resetchannels &x &y -@all"),
        ("~", "~ resetchannels -@all"),
        ("&", "resetchannels & -@all"),
        (">a <a", "resetchannels -@all"),
        (">x resetpass", "resetchannels -@all"),
        ("(+get ~x)", "resetchannels -@all (~x resetchannels -@all +get)"),
        ("( +get ~x )", "resetchannels -@all (~x resetchannels -@all +get)"),
        ("(+get ~x allkeys)", "resetchannels -@all (~* resetchannels -@all +get)"),
        (
            "(allcommands allkeys allchannels) ()",
            "resetchannels -@all (~* &* +@all) (resetchannels -@all)",
        ),
        ("(+get) clearselectors", "resetchannels -@all"),
        ("(+get) reset", "resetchannels -@all"),
        ("skip-sanitize-payload reset", "resetchannels -@all"),
        (
            ">x ~k (+get)",
            "#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 ~k resetchannels \
             -@all (resetchannels -@all +get)",
        ),
        ("on nopass", "user u on nopass sanitize-payload resetchannels -@all"),
        (
            "nopass >a",
            "#ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb resetchannels -@all",
        ),
        (">a nopass", "user u off nopass sanitize-payload resetchannels -@all"),
        ("skip-sanitize-payload", "user u off skip-sanitize-payload resetchannels -@all"),
    ];
    for (rules, expected) in cases {
        assert_eq!(set(rules), expected, "{rules}");
    }
}

/// What redis-server says to these rules.
#[test]
fn mistakes_are_told_in_the_words_of_redis_and_change_nothing() {
    const UNKNOWN: &str = "Unknown command or category name in ACL";
    const COVERED: &str = "is not valid and does not have any effect. Try";
    const HASH: &str = "The password hash must be exactly 64 characters and contain only lowercase \
         hexadecimal characters";
    const GONE: &str = "The password you are trying to remove from the user does not exist";
    let upper = format!("#{}", "A".repeat(64));
    let cases = [
        ("foo", "foo", "Syntax error"),
        ("+nope", "+nope", UNKNOWN),
        ("+@nope", "+@nope", UNKNOWN),
        ("+", "+", UNKNOWN),
        ("+@", "+@", UNKNOWN),
        ("+client|nope", "+client|nope", UNKNOWN),
        ("-select|0", "-select|0", UNKNOWN),
        ("+nope|", "+nope|", UNKNOWN),
        ("+get|x|y", "+get|x|y", UNKNOWN),
        ("+client|", "+client|", "Syntax error"),
        ("+select|", "+select|", "Syntax error"),
        ("+client|id|x", "+client|id|x", "Allowing first-arg of a subcommand is not supported"),
        ("%~x", "%~x", "Syntax error"),
        ("%X~x", "%X~x", "Syntax error"),
        ("%Rx", "%Rx", "Syntax error"),
        ("%RR~x", "%RR~x", "Syntax error"),
        ("%", "%", "Syntax error"),
        (")", ")", "Syntax error"),
        ("(on)", "(on)", "Syntax error"),
        ("(>x)", "(>x)", "Syntax error"),
        ("(+nope)", "(+nope)", UNKNOWN),
        ("(+get (~x)", "(+get (~x)", "Syntax error"),
        ("<a", "<a", GONE),
        ("#abc", "#abc", HASH),
        ("!abc", "!abc", HASH),
        (&upper, &upper, HASH),
    ];
    for (rules, rule, text) in cases {
        assert_eq!(set(rules), format!("Error in ACL SETUSER modifier '{rule}': {text}"));
    }
    for (rules, covered) in [("~* ~x", "allkeys"), ("allkeys %R~x", "allkeys"), ("&* &x", "allch")]
    {
        let text = set(rules);
        assert!(text.contains(COVERED) && text.contains(covered), "{rules}: {text}");
    }
    for (rules, start) in
        [("(+get", "(+get"), ("(+get ~x", "(+get"), ("()x", "()x"), ("(+get (~x", "(+get")]
    {
        let text = format!("Unmatched parenthesis in acl selector starting at '{start}'.");
        assert_eq!(set(rules), text);
    }
    let mut acl = Acl::default();
    for name in [&b"a b"[..], b"a\0", b"a\n"] {
        let error = acl.set_user(name, &[]).unwrap_err();
        assert_eq!(error.to_string(), "Usernames can't contain spaces or null characters");
    }
    let before = acl.clone();
    assert!(acl.set_user(b"default", &words("off ~y")).is_err());
    assert_eq!(acl, before);
}

fn denial(rules: &str, line: &str) -> String {
    let mut acl = Acl::default();
    acl.set_user(b"u", &words(rules)).unwrap();
    let argv = words(line);
    let user = acl.get(b"u").unwrap();
    match user.check(lookup(argv[0]).unwrap(), &argv) {
        Ok(()) => "ok".to_owned(),
        Err(Denial::Command(name)) => name.to_owned(),
        Err(Denial::Key(key)) => format!("~{}", String::from_utf8_lossy(key)),
        Err(Denial::Channel(channel)) => format!("&{}", String::from_utf8_lossy(channel)),
    }
}

#[test]
fn users_may_do_what_one_of_their_selectors_allows() {
    let cases = [
        ("+get ~k*", "get k1", "ok"),
        ("+get ~k*", "get x", "~x"),
        ("+get ~k*", "set k1 1", "set"),
        ("+get ~k*", "GET", "ok"),
        ("+@all ~a ~b", "mget a b", "ok"),
        ("+@all ~a ~b", "mget a c b", "~c"),
        // Read and write.
        ("+@all %R~r %W~w", "get r", "ok"),
        ("+@all %R~r %W~w", "get w", "~w"),
        ("+@all %R~r %W~w", "set w 1", "ok"),
        ("+@all %R~r %W~w", "set w 1 get", "~w"),
        ("+@all %R~r %W~w", "set r 1", "~r"),
        ("+@all %R~r %W~w", "copy r w", "ok"),
        ("+@all %R~r %W~w", "copy w r", "~w"),
        ("+@all %R~r %W~w", "copy r r2", "~r2"),
        ("+@all %R~r %W~w", "exists r w", "ok"),
        ("+@all %R~r %W~w", "exists x", "~x"),
        ("+@all %R~r %W~w", "incr w", "~w"),
        ("+@all %R~r %W~w", "zunionstore w 1 r", "ok"),
        ("+@all %R~r %W~w", "sort r store w", "ok"),
        ("+@all %R~r %W~w", "sort r store r", "~r"),
        ("+@all %R~r %W~w", "bitfield r get u8 0", "ok"),
        ("+@all %R~r %W~w", "bitfield r set u8 0 1", "~r"),
        ("+@all %R~r %W~w", "xread streams r 0", "ok"),
        ("+@all %R~r %W~w", "xread streams w 0", "~w"),
        // Subcommands, categories and first arguments.
        ("+config -config|set", "config get x", "ok"),
        ("+config -config|set", "CONFIG SET x y", "config|set"),
        ("+config|get", "config get x", "ok"),
        ("+config|get", "config resetstat", "config|resetstat"),
        ("+client|id", "client list", "client|list"),
        ("+@slow", "config set a b", "ok"),
        ("+@admin", "client id", "client|id"),
        ("+@admin", "client kill x", "ok"),
        ("+@all -@dangerous", "acl list", "acl|list"),
        ("+@all -@dangerous", "acl whoami", "ok"),
        ("+@read", "acl whoami", "acl|whoami"),
        ("+@keyspace", "acl list", "acl|list"),
        ("+select|1", "select 1", "ok"),
        ("+select|1", "select 0", "select"),
        ("+select|1 -@connection", "select 1", "select"),
        ("+GET|K allkeys", "get k", "ok"),
        // Nobody is kept from saying who he is.
        ("", "auth a b", "ok"),
        ("", "hello", "ok"),
        ("", "reset", "ok"),
        ("", "quit", "ok"),
        ("", "ping", "ping"),
        ("", "multi", "multi"),
        // Channels.
        ("+@all &a*", "publish a1 m", "ok"),
        ("+@all &a*", "publish b m", "&b"),
        ("+@all &a*", "spublish b m", "&b"),
        ("+@all &a*", "subscribe a1 a2", "ok"),
        ("+@all &a*", "subscribe a1 b", "&b"),
        ("+@all &a*", "ssubscribe b", "&b"),
        ("+@all &a*", "psubscribe a*", "ok"),
        ("+@all &a*", "psubscribe a1", "&a1"),
        ("+@all &a*", "unsubscribe b", "ok"),
        ("+@all", "pubsub channels", "ok"),
        // Selectors: all of a command has to be allowed by one of them.
        ("+get ~a (+set ~b)", "get a", "ok"),
        ("+get ~a (+set ~b)", "set b 1", "ok"),
        ("+get ~a (+set ~b)", "set a 1", "~a"),
        ("+get ~a (+set ~b)", "get b", "~b"),
        ("+get ~a (+set ~b)", "del a", "del"),
        ("(+mget ~a) (+mget ~b)", "mget a b", "~b"),
        ("(+publish) (allcommands &x)", "publish y 1", "&y"),
    ];
    for (rules, line, expected) in cases {
        assert_eq!(denial(rules, line), expected, "{rules}: {line}");
    }
}

#[test]
fn only_who_may_do_everything_is_unrestricted() {
    for (rules, expected) in [
        ("allkeys allchannels allcommands", true),
        ("allkeys allchannels allcommands -get", false),
        ("allkeys allchannels allcommands -get +get", true),
        ("allkeys allcommands", false),
        ("allchannels allcommands ~a", false),
        ("(~* &* +@all)", true),
    ] {
        let mut acl = Acl::default();
        acl.set_user(b"u", &words(rules)).unwrap();
        assert_eq!(acl.get(b"u").unwrap().is_unrestricted(), expected, "{rules}");
    }
    assert!(Acl::default().default_user().is_unrestricted());
}

#[test]
fn passwords_admit_while_the_user_is_on() {
    let mut acl = Acl::default();
    let mut check = |rules: &str, password: &[u8], expected: bool| {
        acl.set_user(b"u", &words(rules)).unwrap();
        assert_eq!(acl.get(b"u").unwrap().admits(password), expected, "{rules}");
    };
    check(">one >two", b"one", false);
    check("on", b"one", true);
    check("on", b"two", true);
    check("on", b"three", false);
    check("<one", b"one", false);
    check("nopass", b"anything", true);
    check("off", b"anything", false);
    check("on resetpass", b"", false);
}

#[test]
fn users_that_follow_each_other_under_one_name_are_told_apart() {
    let mut acl = Acl::default();
    acl.set_user(b"u", &[]).unwrap();
    let first = acl.get(b"u").unwrap().number;
    acl.set_user(b"u", &[b"on"]).unwrap();
    assert_eq!(acl.get(b"u").unwrap().number, first);
    assert_eq!(acl.remove_users(&[b"u", b"v"]), Ok(1));
    acl.set_user(b"u", &[]).unwrap();
    assert_ne!(acl.get(b"u").unwrap().number, first);
    let error = acl.remove_users(&[b"u", b"default"]).unwrap_err();
    assert_eq!(error.to_string(), "The 'default' user cannot be removed");
    assert!(acl.get(b"u").is_some());
}

#[test]
fn files_replace_all_users_and_leave_those_who_stay_who_they_are() {
    let mut acl = Acl::default();
    for name in [b"a", b"b"] {
        acl.set_user(name, &words("on >p ~x +get")).unwrap();
    }
    let number = acl.get(b"a").unwrap().number;
    let lines: Vec<_> = ["user c on", "user a on +set", "# nobody", ""]
        .iter()
        .filter_map(|line| parse_line(line.as_bytes()).unwrap())
        .collect();
    acl.replace_users(&lines).unwrap();
    let names: Vec<_> = acl.users().map(|user| user.name.as_slice()).collect();
    assert_eq!(names, [&b"a"[..], b"c", b"default"]);
    assert_eq!(acl.get(b"a").unwrap().number, number);
    assert_eq!(
        String::from_utf8(acl.get(b"a").unwrap().line()).unwrap(),
        "user a on sanitize-payload resetchannels -@all +set"
    );
    let before = acl.clone();
    let twice = [lines[0].clone(), lines[0].clone()];
    assert!(acl.replace_users(&twice).is_err());
    assert_eq!(acl, before);
}

fn any_rule() -> impl Strategy<Value = String> {
    let words = "on|off|nopass|resetpass|>a|>b|<a|allkeys|resetkeys|~a*|~b|%R~a*|%W~b|%RW~*|%R~*|\
        %W~*|&c|&d*|&*|allchannels|resetchannels|+@all|-@all|allcommands|nocommands|reset|\
        clearselectors|sanitize-payload|skip-sanitize-payload";
    let words: Vec<String> = words.split('|').map(str::to_owned).collect();
    let commands = prop::sample::select(vec![
        "get",
        "set",
        "config",
        "config|get",
        "config|set",
        "client",
        "client|id",
        "select",
        "@read",
        "@write",
        "@admin",
        "@slow",
        "@dangerous",
        "@string",
        "@connection",
        "acl|list",
    ]);
    let on_commands = (prop::bool::ANY, commands)
        .prop_map(|(allows, what)| format!("{}{what}", if allows { '+' } else { '-' }));
    let first_arguments = prop::sample::select(vec!["+select|0", "+select|1", "+get|x"]);
    prop_oneof![
        3 => prop::sample::select(words),
        4 => on_commands,
        1 => first_arguments.prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What is printed makes the same user, in all that it may do and in what rules on it mean.
    #[test]
    fn a_printed_user_reads_back_the_same(
        rules in prop::collection::vec(any_rule(), 0..14),
        inner in prop::collection::vec(any_rule(), 0..5),
    ) {
        let mut acl = Acl::default();
        for rule in &rules {
            // Some do not go together; then the user stays as it was.
            let _ = acl.set_user(b"u", &[rule.as_bytes()]);
        }
        let selector = format!("({})", inner.join(" "));
        let _ = acl.set_user(b"u", &[selector.as_bytes()]);
        let seed = acl.to_seed();
        let again = Acl::restore(&seed, &acl.numbers(), acl.next_number(), acl.is_seeded());
        prop_assert_eq!(again.as_ref(), Some(&acl));
        if let Some(user) = acl.get(b"u") {
            let mut other = User::new(b"u", user.number, true);
            for rule in user.rules() {
                prop_assert!(other.apply(&rule, true).is_ok());
            }
            prop_assert_eq!(other.line(), user.line());
        }
    }
}

#[test]
fn what_is_said_of_the_default_user_counts_for_more_than_requirepass() {
    let admitted = |rules: &[&[u8]]| {
        let line = (DEFAULT_USER.to_vec(), rules.iter().map(|rule| rule.to_vec()).collect());
        let users = if rules.is_empty() { Vec::new() } else { vec![line] };
        let seed = Seed { requirepass: b"foo".to_vec(), users, ..Seed::default() };
        let acl = Acl::seed(&seed).unwrap();
        assert_eq!(acl.requirepass(), b"foo");
        [&b"foo"[..], b"bar"].map(|password| acl.default_user().admits(password))
    };
    assert_eq!(admitted(&[]), [true, false]);
    assert_eq!(admitted(&[b"on", b">bar"]), [false, true]);
    assert_eq!(admitted(&[b"on", b"nopass"]), [true, true]);
}
