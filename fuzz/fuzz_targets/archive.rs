#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loopcast_harness::archive::run(data));
