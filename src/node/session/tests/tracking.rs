//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO.

use super::*;
use crate::engine::pubsub::Subscriber;
use crate::engine::tracking::Terms;

const TARGET: Subscriber = Subscriber { stream: 1, connection: 42 };

/// The reply to a line that waits for the client that it redirects to.
fn redirect(bench: &mut Bench, line: &str, target: Option<Subscriber>) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let (outcome, mut reply) = bench.outcome(&words);
    let Outcome::Wait(Wait::Redirect(redirecting)) = outcome else { panic!("{line}: {outcome:?}") };
    assert_eq!(redirecting.id, 5);
    finish_redirect(&redirecting, target, &mut bench.session, &mut reply);
    shown(&reply)
}

fn flags(bench: &mut Bench) -> String {
    let reply = bench.say("CLIENT TRACKINGINFO");
    let words = reply.split('|').filter(|word| !word.starts_with(['*', '$']));
    words.skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_cannot_be_asked_for_is_refused_in_redis_s_words() {
    let cases = [
        ("CLIENT TRACKING", "-ERR wrong number of arguments for 'client|tracking' command|"),
        ("CLIENT TRACKING x", "-ERR syntax error|"),
        ("CLIENT TRACKING ON x", "-ERR syntax error|"),
        ("CLIENT TRACKING ON REDIRECT", "-ERR syntax error|"),
        ("CLIENT TRACKING ON BCAST PREFIX", "-ERR syntax error|"),
        ("CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer or out of range|"),
        (
            "CLIENT TRACKING ON REDIRECT 0",
            "-ERR The client ID you want redirect to does not exist|",
        ),
        (
            "CLIENT TRACKING ON REDIRECT -1 x",
            "-ERR The client ID you want redirect to does not exist|",
        ),
        ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled|"),
        ("CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST|"),
        (
            "CLIENT TRACKING ON OPTIN OPTOUT",
            "-ERR You can't specify both OPTIN mode and OPTOUT mode|",
        ),
        (
            "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
            "-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single \
             client must not overlap.|",
        ),
        (
            "CLIENT CACHING YES",
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with \
             OPTIN or OPTOUT mode enabled|",
        ),
        ("CLIENT GETREDIR", ":-1|"),
        ("CLIENT TRACKING OFF BCAST OPTIN", "+OK|"),
        ("CLIENT TRACKING OFF PREFIX a", "+OK|"),
    ];
    let mut bench = Bench::new();
    bench.check(&cases);
    assert_eq!(bench.session.take_tracking_change(), None);
}

#[test]
fn modes_change_only_through_off() {
    let mut bench = Bench::new();
    let bcast = "-ERR You can't switch BCAST mode on/off before disabling tracking for this \
                 client, and then re-enabling it with a different mode.|";
    let option = "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                  client, and then re-enabling it with a different mode.|";
    bench.check(&[
        ("CLIENT TRACKING ON", "+OK|"),
        ("CLIENT GETREDIR", ":0|"),
        ("CLIENT TRACKING ON BCAST", bcast),
        ("CLIENT TRACKING ON OPTIN", "+OK|"),
        ("CLIENT TRACKING ON OPTOUT", option),
    ]);
    assert_eq!(flags(&mut bench), "on optin redirect :0 prefixes ");
    bench.check(&[("CLIENT TRACKING ON NOLOOP", "+OK|")]);
    assert_eq!(flags(&mut bench), "on noloop redirect :0 prefixes ");
    bench.check(&[
        ("CLIENT TRACKING OFF", "+OK|"),
        ("CLIENT TRACKING ON BCAST PREFIX b PREFIX a", "+OK|"),
        ("CLIENT TRACKING ON", bcast),
        ("CLIENT TRACKING ON BCAST PREFIX c", "+OK|"),
        (
            "CLIENT TRACKING ON BCAST PREFIX abc",
            "-ERR Prefix 'abc' overlaps with an existing prefix 'a'. Prefixes for a single client \
             must not overlap.|",
        ),
    ]);
    assert_eq!(flags(&mut bench), "on bcast redirect :0 prefixes a b c ");
}

#[test]
fn caching_is_for_the_next_command() {
    let mut bench = Bench::new();
    let of_optin = "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.|";
    let of_optout =
        "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.|";
    bench.check(&[
        ("CLIENT TRACKING ON", "+OK|"),
        ("CLIENT CACHING YES", of_optin),
        ("CLIENT CACHING NO", of_optout),
    ]);
    assert!(bench.session.tracks_next());
    bench
        .check(&[("CLIENT TRACKING ON OPTIN", "+OK|"), ("CLIENT CACHING x", "-ERR syntax error|")]);
    assert!(!bench.session.tracks_next());
    bench.check(&[("CLIENT CACHING NO", of_optout), ("CLIENT CACHING YES", "+OK|")]);
    assert_eq!(flags(&mut bench), "on optin caching-yes redirect :0 prefixes ");
    bench.session.end_caching(b"Client");
    assert!(bench.session.tracks_next());
    bench.session.end_caching(b"get");
    assert!(!bench.session.tracks_next());
    // All of a transaction.
    bench.check(&[("CLIENT CACHING YES", "+OK|")]);
    let user = Arc::clone(&bench.session.user);
    bench.session.transaction = Some(Box::new(Transaction::new(0, user)));
    bench.session.end_caching(b"multi");
    bench.session.end_caching(b"get");
    assert!(bench.session.tracks_next());
    bench.session.transaction = None;
    bench.session.end_caching(b"exec");
    assert!(!bench.session.tracks_next());
    bench.check(&[
        ("CLIENT TRACKING OFF", "+OK|"),
        ("CLIENT TRACKING ON OPTOUT", "+OK|"),
        ("CLIENT CACHING YES", of_optin),
    ]);
    assert!(bench.session.tracks_next());
    bench.check(&[("CLIENT CACHING NO", "+OK|")]);
    assert_eq!(flags(&mut bench), "on optout caching-no redirect :0 prefixes ");
    assert!(!bench.session.tracks_next());
}

#[test]
fn a_redirect_needs_its_client_and_tells_of_its_end() {
    let mut bench = Bench::new();
    let none = "-ERR The client ID you want redirect to does not exist|";
    assert_eq!(redirect(&mut bench, "CLIENT TRACKING ON REDIRECT 5", None), none);
    // The option is looked at before what follows it.
    assert_eq!(redirect(&mut bench, "CLIENT TRACKING ON REDIRECT 5 x", None), none);
    let twice = "CLIENT TRACKING ON REDIRECT 5 REDIRECT 5";
    let single = "-ERR A client can only redirect to a single other client|";
    assert_eq!(redirect(&mut bench, twice, Some(TARGET)), single);
    let wrong = "CLIENT TRACKING x REDIRECT 5";
    assert_eq!(redirect(&mut bench, wrong, Some(TARGET)), "-ERR syntax error|");
    assert_eq!(bench.session.take_tracking_change(), None);
    let right = "CLIENT TRACKING ON REDIRECT 5 NOLOOP";
    assert_eq!(redirect(&mut bench, right, Some(TARGET)), "+OK|");
    let terms = Terms { session: 7, is_noloop: true, prefixes: None, target: Some(TARGET) };
    assert_eq!(bench.session.take_tracking_change(), Some(Some(terms)));
    assert_eq!(bench.say("CLIENT GETREDIR"), ":5|");
    let mut told = Reply::new(Protocol::Resp2);
    bench.session.break_redirect(&mut told);
    assert_eq!(shown(&told), "");
    bench.session.protocol = Protocol::Resp3;
    let mut told = Reply::new(Protocol::Resp3);
    bench.session.break_redirect(&mut told);
    assert_eq!(shown(&told), ">2|$21|tracking-redir-broken|:5|");
    bench.session.protocol = Protocol::Resp2;
    assert_eq!(flags(&mut bench), "on noloop broken_redirect redirect :5 prefixes ");
    assert_eq!(bench.say("RESET"), "+RESET|");
    assert_eq!(bench.session.take_tracking_change(), Some(None));
    assert_eq!(flags(&mut bench), "off redirect :-1 prefixes ");
}

#[test]
fn client_list_marks_who_tracks() {
    let mut bench = Bench::new();
    let line = |bench: &Bench| {
        let mut out = Vec::new();
        let buffers = Buffers { input: 0, input_free: 0, output: 0 };
        describe(&bench.session, &buffers, 1000, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert!(line(&bench).contains(" flags=N ") && line(&bench).contains(" redir=-1 "));
    bench.check(&[("CLIENT TRACKING ON BCAST", "+OK|")]);
    assert!(line(&bench).contains(" flags=tB ") && line(&bench).contains(" redir=0 "));
    bench.check(&[("CLIENT TRACKING OFF", "+OK|")]);
    assert_eq!(redirect(&mut bench, "CLIENT TRACKING ON REDIRECT 5", Some(TARGET)), "+OK|");
    bench.session.break_redirect(&mut Reply::default());
    assert!(line(&bench).contains(" flags=tR ") && line(&bench).contains(" redir=5 "));
}
