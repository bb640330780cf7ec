//! `rdb` of the shared targets, for libFuzzer.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (targets::find("rdb").expect("it is one of them").run)(data);
});
