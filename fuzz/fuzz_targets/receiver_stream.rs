#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loopcast_harness::receiver_stream::run(data));
